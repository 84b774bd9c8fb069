"""What a program in the sandbox cannot use up, by level and user; each limit is first shown to let the same through."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from pytest_upskill.calls.locks import alone
from pytest_upskill.kernels.sandbox.limits import MIB
from tests.kernels.sandbox.conftest import Box, own_name


def processes_called(mark: str) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                name = (folder / "comm").read_text(encoding="ascii", errors="replace").strip()
            except OSError:
                continue
            if name == mark:
                found.append(int(folder.name))
    return found


def test_a_fork_bomb_ends_at_the_limit_of_processes(any_box: Box, program: Path) -> None:
    # One at a time, whoever runs tests: where users share an id, the kernel counts the processes of both bombs.
    with alone(Path(tempfile.gettempdir()) / f"upskill-bombs-{os.getuid()}.lock"):
        bombed = any_box.attack("bomb", processes=20)
    assert bombed.ended == "processes"
    assert bombed.words == "it was stopped at its limit of processes"
    assert processes_called(program.name) == []


def test_forks_below_the_limit_are_let_be(box: Box) -> None:
    ran = box.attack("forks:60", processes=100)
    assert (ran.ended, ran.stdout) == ("exited", "made 60\nforks:60 yes\n")


def test_what_leaves_its_session_and_its_parent_ends_with_the_command(any_box: Box) -> None:
    name = own_name("escape")
    ran = any_box.attack(f"escape:{name}")
    assert (ran.ended, ran.stdout) == ("exited", f"escape:{name} yes\n")
    assert processes_called(name) == []


def test_outside_the_same_outlives_the_command(program: Path) -> None:
    name = own_name("loose")
    subprocess.run([program, f"escape:{name}"], check=True, stdout=subprocess.DEVNULL)
    found = processes_called(name)
    for pid in found:
        os.kill(pid, 9)
    assert len(found) == 1


FILLING = {
    "fill:.": "large files",
    "litter:2500": "many empty files",
    "hold:64": "files that are deleted while open",
    "unread:64": "such files of a process that hides",
    "leave:hold:64": "such files of a process whose first thread has ended",
}
CROWDS = {"crowd:grow:16": "plain", "crowd:leave:grow:16": "without their first threads"}


@pytest.mark.parametrize("word", [pytest.param(word, id=name) for word, name in FILLING.items()])
def test_the_disk_is_not_filled(word: str, box: Box) -> None:
    assert box.attack(word, disk_bytes=8 * MIB).ended == "disk"


@pytest.mark.parametrize("word", [*FILLING, *CROWDS])
def test_with_larger_limits_the_same_is_let_be(word: str, bare_box: Box) -> None:
    assert bare_box.attack(word).stdout == f"{word} yes\n"


def test_with_a_device_that_reserves_address_space_what_is_resident_has_its_limit(box: Box) -> None:
    assert box.attack("grow:128", devices=True, memory_bytes=64 * MIB).ended == "memory"
    assert box.attack("grow:16", devices=True, memory_bytes=64 * MIB).stdout == "grow:16 yes\n"


@pytest.mark.parametrize("folder", ["/dev/shm", "/tmp"])
def test_memory_is_not_filled_by_files(folder: str, box: Box) -> None:
    assert box.attack(f"fill:{folder}", disk_bytes=8 * MIB).stdout == f"fill:{folder} no\n"


def test_outside_it_is(bare_box: Box) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        assert bare_box.attack(f"fill:{folder}").stdout == f"fill:{folder} yes\n"


def test_one_file_has_its_limit(box: Box) -> None:
    command = "exec head -c 3000000 /dev/zero > a"
    assert box.run("sh", "-c", command).code == 0
    assert box.run("sh", "-c", command, file_bytes=MIB).ended == "disk"


@pytest.mark.parametrize("word", [pytest.param(word, id=name) for word, name in CROWDS.items()])
def test_processes_that_are_small_each_share_one_limit_of_memory(word: str, box: Box) -> None:
    crowded = box.attack(word, memory_bytes=64 * MIB)
    assert (crowded.ended, crowded.words) == ("memory", "it was stopped at its memory limit")


def test_100_gib_are_not_to_be_had(box: Box, program: Path) -> None:
    assert box.attack("map:100").stdout == "map:100 no\n"
    assert subprocess.run([program, "map:100"], check=True, capture_output=True).stdout == b"map:100 yes\n"


def test_processor_time_has_a_limit(box: Box) -> None:
    assert box.attack("spin", cpu_seconds=0.2).ended == "cpu"


def test_the_kernel_says_that_processor_time_is_used_up_before_it_kills(box: Box) -> None:
    assert box.run("sh", "-c", "ulimit -St; ulimit -Ht", cpu_seconds=2.5).stdout.split() == ["3", "4"]


def test_time_has_a_limit(box: Box) -> None:
    ran = box.attack("sleep:20", wall_seconds=0.2)
    assert (ran.code, ran.ended, ran.words) == (None, "wall", "it was stopped at its time limit")


def test_a_signal_is_told_from_an_exit(any_box: Box) -> None:
    ran = any_box.run("sh", "-c", "kill -SEGV $$ || exit 9")
    if any_box.level == "landlock 3" and any_box.user.name != "root":
        # Such a kernel cannot tell a signal to oneself from one to the user's other processes.
        assert ran.code == 9
    else:
        assert (ran.code, ran.signal, ran.ended, ran.words) == (None, 11, "signal", "it was ended by SIGSEGV")
    ran = any_box.run("sh", "-c", "exit 7")
    assert (ran.code, ran.signal, ran.ended, ran.words) == (7, None, "exited", "it ended with exit code 7")


def test_output_is_kept_to_a_mib_and_read_to_its_end(box: Box) -> None:
    ran = box.attack("say:3000")
    assert (ran.ended, len(ran.stdout)) == ("exited", MIB)


def test_a_process_that_holds_the_output_open_is_not_waited_for(box: Box) -> None:
    ran = box.run("sh", "-c", "sleep 30 & echo said; exit 3", wall_seconds=20)
    assert (ran.code, ran.stdout) == (3, "said\n")
