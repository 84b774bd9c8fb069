"""Compiled kernels on disk: found by content, whole or not at all, made once."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.kernels.artefacts import Artefacts, key_of
from pytest_upskill.kernels.data import Artefact, Facts
from tests.kernels.test_toolchain import found, program, toolkit

FACTS = Facts("sm_90a", ("k",), ((0, 8), (8, 4)), 40, 16, 8, 12, 256, 400, 100, ("vprintf",), ("m",), ("t",))
CUBIN = b"\x7fELF\n\0\n" * 50
DIGEST = hashlib.sha256(CUBIN).hexdigest()
ARTEFACT = Artefact(CUBIN, FACTS, "nvcc 13.0.88", DIGEST)
KEY = key_of("source", "prelude")


def files(folder: Path) -> list[Path]:
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != "locks" and path.name != ".gitignore"
    ]


def test_what_was_put_is_found_and_marked_as_cached(tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path / "new")
    assert artefacts.get(KEY) is None
    artefacts.put(KEY, ARTEFACT)
    found = artefacts.get(KEY)
    assert found == Artefact(ARTEFACT.cubin, FACTS, "nvcc 13.0.88", DIGEST, cached=True)
    assert Artefacts(tmp_path / "new").get(KEY) == found
    assert artefacts.get(key_of("other")) is None


def test_what_is_not_the_cubin_that_it_says_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path)
    artefacts.put(KEY, replace(ARTEFACT, digest="d" * 64))
    assert artefacts.get(KEY) is None


@pytest.mark.skipif(sys.platform == "win32", reason="the pretended compiler is a shell script")
def test_a_toolkit_with_another_header_or_other_settings_has_another_identity(tmp_path: Path) -> None:
    toolkit(tmp_path / "cuda")
    environment = {
        "CUDA_HOME": str(tmp_path / "cuda"),
        "PATH": str(program(tmp_path / "gcc/bin/gcc").parent),
    }
    identities = {found(environment).identity}
    for name in ("include/cuda_bf16.h", "bin/nvcc.profile", "bin/cudafe++"):
        program(tmp_path / "cuda" / name, "old")
        identities.add(found(environment).identity)
        program(tmp_path / "cuda" / name, "newer")
        identities.add(found(environment).identity)
    assert len(identities) == 7
    assert all(each.splitlines()[-1].startswith(str(tmp_path / "gcc/bin/gcc")) for each in identities)


def test_putting_leaves_one_file_and_nothing_unfinished(tmp_path: Path) -> None:
    for _ in range(3):
        Artefacts(tmp_path).put(KEY, ARTEFACT)
    assert len(files(tmp_path)) == 1


def test_every_part_and_its_place_makes_another_key() -> None:
    keys = {key_of("a", "b"), key_of("ab", ""), key_of("", "ab"), key_of("b", "a"), key_of("a", "b", "")}
    assert len(keys) == 5
    assert all(len(key) == 64 for key in keys)
    assert key_of("\ud800") != key_of("?")


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_damaged_entry_is_as_if_it_were_not_there_and_is_replaced(data: st.DataObject) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        artefacts = Artefacts(Path(name))
        artefacts.put(KEY, ARTEFACT)
        (path,) = files(Path(name))
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content[: data.draw(st.sampled_from([len(content), place]))])
        assert artefacts.get(KEY) is None
        artefacts.put(KEY, ARTEFACT)
        assert artefacts.get(KEY) is not None


def test_a_folder_that_cannot_be_made_keeps_nothing_and_hurts_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    artefacts = Artefacts(tmp_path / "file")
    with artefacts.making(KEY):
        artefacts.put(KEY, ARTEFACT)
    assert artefacts.get(KEY) is None


def test_a_key_is_made_by_one_thread_at_a_time(tmp_path: Path) -> None:
    artefacts, within, most = Artefacts(tmp_path), threading.Semaphore(0), []

    def make(_: int) -> None:
        with artefacts.making(KEY):
            within.release()
            most.append(within._value)
            within.acquire()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(make, range(40)))
    assert max(most) == 1


HOLD = """
import sys, time
from pathlib import Path
from pytest_upskill.kernels.artefacts import Artefacts
with Artefacts(Path(sys.argv[1])).making(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_process_that_is_killed_while_it_makes_a_key_lets_go_of_it(tmp_path: Path) -> None:
    entered = threading.Event()

    def wait() -> None:
        with Artefacts(tmp_path).making(KEY):
            entered.set()

    command = [sys.executable, "-c", HOLD, str(tmp_path), KEY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not entered.wait(0.2)
        process.kill()
        assert entered.wait(60)
        waiting.join()


def test_another_key_does_not_wait(tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path)
    with artefacts.making("a" * 64), artefacts.making("b" * 64):
        pass


def test_readers_and_writers_at_the_same_time_see_whole_entries(tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path)
    artefacts.put(KEY, ARTEFACT)

    def work(number: int) -> bool:
        if number % 2:
            artefacts.put(KEY, ARTEFACT)
        return artefacts.get(KEY) is not None

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(400)))
    assert len(files(tmp_path)) == 1


def test_git_takes_no_notice_of_them(tmp_path: Path) -> None:
    Artefacts(tmp_path).put(KEY, ARTEFACT)
    assert (tmp_path / ".gitignore").read_text() == "*\n"
