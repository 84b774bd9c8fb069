"""Mending a store under those who use it, and when it is killed, loses nothing and is done once."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_upskill.calls.store import Store, StoreError
from pytest_upskill.calls.store_file import StoreFile
from pytest_upskill.calls.store_tools import mend
from tests.calls.damage import (
    COUNT,
    KEYS,
    PAGE,
    filled,
    garbage,
    key,
    made,
    reply,
    spoil,
    used,
    zero_page,
)

USER = """
import asyncio, hashlib, sys
from pathlib import Path
from pytest_upskill.calls.store import Store
from pytest_upskill.types import Reply

async def main(folder, name):
    store = Store(Path(folder), lambda sentence: print("NOTICE", sentence, flush=True))
    print("READY", flush=True)
    sys.stdin.readline()
    for number in range(40):
        key = hashlib.sha256(f"{name}-{number}".encode()).digest()
        store.get(key)
        await store.put(key, Reply(name), "e")
        print("PUT", key.hex(), flush=True)
    await store.close()

asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "store")
    return tmp_path / "store"


def test_replies_that_are_only_in_the_log_are_kept(folder: Path, tmp_path: Path) -> None:
    left = tmp_path / "left"

    async def die() -> None:
        store = Store(folder)
        await filled(store, range(COUNT, COUNT + 20))
        shutil.copytree(folder, left)  # as a process leaves it that is killed here
        await store.close()

    asyncio.run(die())
    assert (left / "store.sqlite3-wal").stat().st_size > 0
    spoil(left, zero_page(40))
    said: list[str] = []
    store = Store(left, said.append)
    for one in KEYS:
        store.get(one)
    assert [store.get(key(number)) for number in range(COUNT, COUNT + 20)] == [
        reply(number) for number in range(COUNT, COUNT + 20)
    ]
    asyncio.run(store.close())
    assert len(said) == 1


class Killed(BaseException):
    """As good as SIGKILL: nothing of ours catches it."""


@pytest.mark.parametrize("step", range(1, 6))
def test_a_mending_that_is_killed_at_any_step_is_taken_up_again(
    folder: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0

    def counted(real: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def move(path: Path, target: Path) -> Path:
            nonlocal steps
            steps += 1
            if steps == step:
                raise Killed
            return real(path, target)

        return move

    other = Store(folder)  # as long as somebody has it open, there is a log to be moved with it
    other.get(KEYS[0])
    spoil(folder, zero_page(40))
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", counted(Path.rename))
        patched.setattr(Path, "replace", counted(Path.replace))
        store = Store(folder)
        with suppress(Killed):
            for one in KEYS:
                store.get(one)
        asyncio.run(store.close())
    assert steps == min(step, 4)  # the file, its log, the log's index, the new file
    there, said = used(folder, lambda store: None)
    assert COUNT - 10 < there < COUNT
    assert len(said) == (1 if step < 5 else 0)
    assert not list(folder.glob("*.mending"))
    asyncio.run(other.close())


def test_what_cannot_be_moved_aside_is_refused_in_a_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(folder, garbage)

    def rename(path: Path, target: Path) -> Path:
        raise PermissionError(13, "used by another process")

    monkeypatch.setattr(Path, "rename", rename)
    path = folder / "store.sqlite3"
    store = Store(folder)
    with pytest.raises(StoreError) as caught:
        store.get(KEYS[0])
    assert str(caught.value) == (
        f"{path}: damaged (file is not a database), and cannot be moved aside: used by another process; end other "
        "test runs that use it, or name another folder with --upskill-cache-dir"
    )
    asyncio.run(store.close())


def started(folder: Path, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", USER, str(folder), name]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    if process.stdout is None or process.stdout.readline() != "READY\n":
        raise RuntimeError(process.stderr.read() if process.stderr else "")
    return process


def test_processes_that_find_it_at_the_same_moment_mend_it_once_and_lose_nothing(folder: Path) -> None:
    spoil(folder, zero_page(40))
    processes = [started(folder, name) for name in "abc"]
    for process in processes:
        if process.stdin:
            process.stdin.write("go\n")
            process.stdin.flush()
    lines: list[str] = []
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        lines += out.splitlines()
    put = [bytes.fromhex(line.removeprefix("PUT ")) for line in lines if line.startswith("PUT ")]
    assert len(put) == 120
    said: list[str] = []
    store = Store(folder, said.append)
    assert [one for one in put if store.get(one) is None] == []
    assert COUNT - 10 < sum(store.get(one) is not None for one in KEYS) < COUNT
    asyncio.run(store.close())
    notices = [line for line in lines if line.startswith("NOTICE")] + said
    assert len(notices) == 1
    assert len(list(folder.glob("*.corrupt-*[0-9]"))) == 1


def ruin(data: bytearray) -> None:
    for number in range(1, len(data) // PAGE):
        zero_page(number)(data)


def test_a_file_that_two_have_open_is_mended_once_though_both_find_the_damage(folder: Path) -> None:
    said: list[str] = []

    async def use() -> None:
        first, second = Store(folder, said.append), Store(folder, said.append)
        for store in (first, second):
            assert store.get(KEYS[0]) == reply(0)
            await filled(store, [0])
        spoil(folder, ruin)
        await filled(second, [1])
        await filled(first, [2])
        for store in (first, second):
            assert [store.get(KEYS[number]) for number in (1, 2)] == [reply(1), reply(2)]
            await store.close()

    asyncio.run(use())
    assert Store(folder).present(KEYS) >= {KEYS[1], KEYS[2]}
    assert len(said) == 1
    assert len(list(folder.glob("*.corrupt-*[0-9]"))) == 1


def test_whoever_has_a_moved_file_open_goes_over_to_the_new_one(folder: Path) -> None:
    async def use() -> None:
        store = Store(folder)
        assert store.get(KEYS[0]) == reply(0)
        await filled(store, [0])
        mend(StoreFile(folder / "store.sqlite3", lambda _: None))  # what it has open is sound
        await filled(store, [COUNT])
        assert Store(folder).present([key(COUNT)]) == {key(COUNT)}
        other = Store(folder)
        await filled(other, [COUNT + 1])
        assert store.get(key(COUNT + 1)) == reply(COUNT + 1)
        await store.close()
        await filled(other, [COUNT + 2])
        await other.close()

    asyncio.run(use())
    added = [key(COUNT + number) for number in range(3)]
    assert Store(folder).present([*KEYS, *added]) == {*KEYS, *added}


def test_a_store_that_is_removed_in_the_middle_of_a_run_is_begun_again(folder: Path) -> None:
    async def use() -> None:
        store = Store(folder)
        assert store.get(KEYS[0]) == reply(0)
        await filled(store, [0])
        shutil.rmtree(folder)
        await filled(store, [1])
        assert store.get(KEYS[1]) == reply(1)
        await store.close()

    asyncio.run(use())
    assert Store(folder).present(KEYS) == {KEYS[1]}


def test_the_log_of_a_database_that_somebody_removed_is_not_applied_to_the_next(
    folder: Path, tmp_path: Path
) -> None:
    left = tmp_path / "left"

    async def die() -> None:
        store = Store(folder)
        await filled(store, range(COUNT))
        shutil.copytree(folder, left)
        await store.close()

    asyncio.run(die())
    (left / "store.sqlite3").unlink()
    there, said = used(left, lambda store: None)
    assert (there, said) == (0, [])
