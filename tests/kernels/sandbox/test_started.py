"""A command that goes on beside us: what it is given, and that it never outlives whoever started it."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.sandbox import Limits, Sandbox
from tests.kernels.sandbox.conftest import LEVELS, own_name
from tests.kernels.sandbox.driver import ROOT, kind_of
from tests.kernels.sandbox.test_limits import processes_called

LIMITS = Limits(wall_seconds=20)


@pytest.fixture(name="sandbox", params=LEVELS)
def _sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    kind = kind_of(request.param)
    if isinstance(kind, str):
        pytest.skip(kind)
    with Sandbox(kind) as sandbox:
        yield sandbox


@pytest.fixture(name="bare")
def _bare() -> Iterator[Sandbox]:
    kind = kind_of("none")
    assert not isinstance(kind, str)
    with Sandbox(kind) as sandbox:
        yield sandbox


@pytest.fixture(name="work")
def _work() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="upskill-work-") as name:
        yield Path(name)


def test_it_talks_over_the_socket_that_it_is_given(sandbox: Sandbox, work: Path, program: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command, keep = [str(program), f"answer:{theirs.fileno()}"], [theirs.fileno()]
        started = sandbox.start(
            command, workdir=work, readable=[program.parent], limits=LIMITS, pass_fds=keep
        )
        theirs.close()
        ours.sendall(b"hello\n")
        assert ours.recv(100) == b"got hello\n"
        assert started.wait(10).ended == "exited"
        # Nobody holds the other end any more, its supervisor least of all.
        assert ours.recv(100) == b""


def test_its_last_words_are_kept(sandbox: Sandbox, work: Path) -> None:
    started = sandbox.start(["sh", "-c", "echo gone >&2; exit 4"], workdir=work, readable=(), limits=LIMITS)
    ran = started.wait()
    assert (ran.code, ran.stdout, ran.stderr) == (4, b"", b"gone\n")


def test_it_gets_no_other_descriptor(sandbox: Sandbox, bare: Sandbox, work: Path, program: Path) -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    try:
        asked = [str(program), "descriptors"]
        ran = sandbox.run(asked, workdir=work, readable=[program.parent], limits=LIMITS)
        outside = subprocess.run(asked, capture_output=True, close_fds=False, check=True)
    finally:
        os.close(read)
        os.close(write)
    assert (ran.stdout, outside.stdout) == (b"descriptors no\n", b"descriptors yes\n")


def test_it_types_nothing_into_a_terminal(sandbox: Sandbox, bare: Sandbox, work: Path, program: Path) -> None:
    said = []
    for one in (sandbox, bare):
        master, slave = pty.openpty()
        command = ["sh", "-c", f"{program} type:{slave} terminal > answer"]
        started = one.start(command, workdir=work, readable=[program.parent], limits=LIMITS, pass_fds=[slave])
        started.wait()
        os.close(master)
        os.close(slave)
        said.append((work / "answer").read_text(encoding="ascii").split()[1])
        (work / "answer").unlink()
    if said[1] == "no":
        pytest.skip("only root types into a terminal on this machine")
    assert said == ["no", "yes"]


def test_it_is_waited_for_no_longer_than_is_asked(sandbox: Sandbox, work: Path) -> None:
    started = sandbox.start(["sleep", "20"], workdir=work, readable=(), limits=LIMITS)
    with pytest.raises(TimeoutError):
        started.wait(0.1)
    started.kill()
    assert started.wait().ended == "killed"
    started.kill()


def test_closing_the_sandbox_ends_all_that_runs(sandbox: Sandbox, work: Path, program: Path) -> None:
    command = ["sh", "-c", f"{program} escape:{own_name('closed')}; sleep 20"]
    all_started = [
        sandbox.start(command, workdir=work, readable=[program.parent], limits=LIMITS) for _ in range(3)
    ]
    wait_for(lambda: len(processes_called(own_name("closed"))) == 3)
    sandbox.close()
    assert processes_called(own_name("closed")) == []
    assert [started.wait(0).ended for started in all_started] == ["killed"] * 3


def test_it_goes_on_when_the_thread_that_started_it_ends(sandbox: Sandbox, work: Path) -> None:
    found = []

    def start() -> None:
        found.append(sandbox.start(["sleep", "20"], workdir=work, readable=(), limits=LIMITS))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    with pytest.raises(TimeoutError):
        found[0].wait(0.3)
    found[0].kill()


@pytest.mark.parametrize("level", LEVELS)
def test_it_ends_with_a_parent_that_is_killed(level: str, program: Path, work: Path) -> None:
    kind = kind_of(level)
    if isinstance(kind, str):
        pytest.skip(kind)
    code = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from pytest_upskill.kernels.sandbox import Limits, Sandbox
from tests.kernels.sandbox.driver import kind_of
with Sandbox(kind_of({level!r})) as sandbox:
    sandbox.start(["sh", "-c", "{program} escape:{own_name("orphan")}; sleep 20"], workdir=Path({str(work)!r}),
                  readable=[Path({str(program.parent)!r})], limits=Limits())
    time.sleep(20)
"""
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        wait_for(lambda: processes_called(own_name("orphan")) != [])
        parent.kill()
    wait_for(lambda: processes_called(own_name("orphan")) == [])


def test_it_ends_with_its_supervisor(sandbox: Sandbox, work: Path) -> None:
    command = ["sh", "-c", "echo > written; exec sleep 19"]
    started = sandbox.start(command, workdir=work, readable=(), limits=LIMITS)
    wait_for((work / "written").exists)
    os.kill(started.pid, signal.SIGKILL)
    with pytest.raises(ScorerError, match=r"could not be run in the sandbox: its supervisor ended with -9$"):
        started.wait(10)
    wait_for(lambda: not any(b"sleep\x0019" in line for line in command_lines()))


def test_a_program_that_is_not_there_is_told_in_a_sentence(sandbox: Sandbox, work: Path) -> None:
    with pytest.raises(ScorerError) as caught:
        sandbox.run(["no-such-compiler"], workdir=work, readable=(), limits=LIMITS)
    assert str(caught.value) == (
        "no-such-compiler cannot be started in the sandbox: it is no program on /usr/local/bin:/usr/bin:/bin"
    )


def test_a_folder_that_is_not_there_is_told_in_a_sentence(sandbox: Sandbox, work: Path) -> None:
    with pytest.raises(ScorerError) as caught:
        sandbox.run(["true"], workdir=work, readable=[work / "none"], limits=LIMITS)
    assert str(caught.value) == f"the sandbox cannot show {work}/none to true: it is not there"


def test_its_environment_holds_what_is_given_and_little_more(
    sandbox: Sandbox, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    ran = sandbox.run(["env"], workdir=work, readable=(), limits=LIMITS, environment={"GIVEN": "1"})
    names = {line.partition("=")[0] for line in ran.stdout.decode().splitlines()}
    assert names - {"PWD"} == {"PATH", "LANG", "TMPDIR", "GIVEN"}


def test_it_reads_what_it_is_fed(sandbox: Sandbox, work: Path) -> None:
    text = b"x" * 300_000
    assert sandbox.run(["cat"], workdir=work, readable=(), limits=LIMITS, stdin=text).stdout == text
    assert sandbox.run(["true"], workdir=work, readable=(), limits=LIMITS, stdin=text).code == 0


def test_with_a_device_it_sees_itself_and_has_address_space_for_a_driver(
    sandbox: Sandbox, work: Path
) -> None:
    def run(*command: str, devices: bool) -> bytes:
        return sandbox.run(command, workdir=work, readable=(), limits=LIMITS, devices=devices).stdout

    assert b"[stack]" in run("cat", "/proc/self/maps", devices=True)
    words = "ulimit -v; ulimit -d"
    assert run("sh", "-c", words, devices=True).decode().split() == ["unlimited", "unlimited"]
    kib = str(LIMITS.memory_bytes // 1024)
    assert run("sh", "-c", words, devices=False).decode().split() == [kib, "unlimited"]


def test_with_a_device_a_pair_of_sockets_talks_to_itself_alone(
    sandbox: Sandbox, bare: Sandbox, work: Path, open_folder: Path, program: Path
) -> None:
    place = open_folder / f"letters-{sandbox.level}"
    words = [f"dgram:{place}", "swell", "mail", "pair"]
    said = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as letters:
        letters.bind(str(place))
        place.chmod(0o777)
        for one in (sandbox, bare):
            ran = one.run(
                [str(program), *words], workdir=work, readable=[program.parent], limits=LIMITS, devices=True
            )
            said.append([line.split()[1] for line in ran.stdout.decode().splitlines()])
    assert said == [["no", "no", "no", "yes"], ["yes"] * 4]


def test_without_a_device_there_are_no_pairs_of_sockets(sandbox: Sandbox, work: Path, program: Path) -> None:
    ran = sandbox.run([str(program), "pair"], workdir=work, readable=[program.parent], limits=LIMITS)
    assert ran.stdout == b"pair no\n"


def test_a_file_with_another_name_elsewhere_keeps_its_owner(sandbox: Sandbox, work: Path) -> None:
    folder = work / "work"
    folder.mkdir()
    store = work / "artefact"
    store.write_text("kept\n", encoding="ascii")
    (folder / "linked").hardlink_to(store)
    (folder / "own").write_text("own\n", encoding="ascii")
    command = ["sh", "-c", "cat linked own; echo more >> own; (echo more >> linked) 2> /dev/null"]
    ran = sandbox.run(command, workdir=folder, readable=(), limits=LIMITS)
    assert ran.stdout == b"kept\nown\n"
    assert (folder / "own").read_text(encoding="ascii") == "own\nmore\n"
    if os.geteuid() == 0:
        assert (store.stat().st_uid, store.read_text(encoding="ascii")) == (0, "kept\n")


def command_lines() -> Iterator[bytes]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                yield (folder / "cmdline").read_bytes()
            except OSError:
                continue


def wait_for(answer: object, seconds: float = 10.0) -> None:
    assert callable(answer)
    end = time.monotonic() + seconds
    while not answer():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_whoever_waits_for_a_command_wakes_when_another_thread_closes_the_sandbox(
    sandbox: Sandbox, work: Path
) -> None:
    ended: list[str] = []

    def run() -> None:
        command = ["sh", "-c", "echo > begun; sleep 60"]
        ended.append(sandbox.run(command, workdir=work, readable=(), limits=Limits(wall_seconds=90)).ended)

    waiting = threading.Thread(target=run, daemon=True)
    waiting.start()
    while not (work / "begun").exists() and waiting.is_alive():
        time.sleep(0.02)
    sandbox.close()
    waiting.join(10)
    assert ended == ["killed"]


def test_a_sandbox_that_is_closed_starts_nothing(sandbox: Sandbox, work: Path) -> None:
    sandbox.close()
    with pytest.raises(ScorerError) as error:
        sandbox.run(["true"], workdir=work, readable=(), limits=LIMITS)
    assert str(error.value) == "the run is over: true is not started in the sandbox any more"
