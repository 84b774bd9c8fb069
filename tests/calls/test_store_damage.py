"""A damaged store is moved aside, what can be read of it is kept, and both are said; it is never an error."""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.calls.store import Store, StoreError
from pytest_upskill.calls.store_tools import verify
from pytest_upskill.types import Reply, Usage

COUNT = 300
PAGE = 4096
ENDPOINT = "openai:m"
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


def key(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def reply(number: int) -> Reply:
    return Reply(f"{number} " + "x" * 600, "m-1", Usage(10, 5), "stop", 0.5)


KEYS = [key(number) for number in range(COUNT)]


async def filled(store: Store, numbers: Iterable[int]) -> None:
    await asyncio.gather(*(store.put(key(number), reply(number), ENDPOINT) for number in numbers))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store as a run leaves it."""
    folder = tmp_path_factory.mktemp("whole")

    async def fill() -> None:
        store = Store(folder)
        await filled(store, range(COUNT))
        await store.add_batch("batch_1", ENDPOINT, KEYS[:3])
        await store.close()

    asyncio.run(fill())
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "store")
    return tmp_path / "store"


def spoil(folder: Path, change: Callable[[bytearray], object]) -> None:
    path = folder / "store.sqlite3"
    data = bytearray(path.read_bytes())
    change(data)
    # In place: a process that has it open must see it.
    with path.open("r+b") as file:
        file.write(data)
        file.truncate(len(data))


def zero_page(number: int) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        data[number * PAGE : (number + 1) * PAGE] = bytes(PAGE)

    return change


def cut(data: bytearray) -> None:
    del data[len(data) // 2 :]


def empty(data: bytearray) -> None:
    data.clear()


def garbage(data: bytearray) -> None:
    data[:] = b"no database" * 100


def sentence(folder: Path, why: str, kept: str) -> re.Pattern[str]:
    path = re.escape(str(folder / "store.sqlite3"))
    parent = re.escape(str(folder))
    name = r"store\.sqlite3\.corrupt-\d{8}T\d{6}(-\d+)?"
    return re.compile(
        rf"{path}: damaged \({why}\), and moved to ({name}); a new store was begun with {kept} that could still be "
        rf"read, and what else it held is asked for again; `pytest-upskill cache verify {parent}/"
        rf"{name}` says what is wrong with it"
    )


def used(folder: Path, use: Callable[[Store], object]) -> tuple[int, list[str]]:
    """Use a store, then everything else; return how many replies were there and what was said."""
    said: list[str] = []

    async def run() -> int:
        store = Store(folder, said.append)
        result = use(store)
        if asyncio.iscoroutine(result):
            await result
        there = [store.get(one) for one in KEYS]
        assert [answer for number, answer in enumerate(there) if answer not in (None, reply(number))] == []
        await filled(store, range(COUNT))
        assert [store.get(one) for one in KEYS] == [reply(number) for number in range(COUNT)]
        assert store.present(KEYS) == set(KEYS)
        await store.close()
        return COUNT - there.count(None)

    return asyncio.run(run()), said


USES: dict[str, Callable[[Store], object]] = {
    "get": lambda store: [store.get(one) for one in KEYS],
    "put": lambda store: filled(store, range(0, COUNT, 3)),
    "present": lambda store: store.present(KEYS),
    "history": lambda store: store.history(ENDPOINT),
    "batches": lambda store: store.open_batches(ENDPOINT),
}
EVERY_USE = pytest.mark.parametrize("use", USES.values(), ids=USES)


@EVERY_USE
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (garbage, "file is not a database"),
        (empty, "file is empty"),
        (zero_page(0), "file is not a database"),
    ],
    ids=["garbage", "empty", "no header"],
)
def test_a_file_of_which_nothing_can_be_read_is_moved_aside(
    folder: Path, use: Callable[[Store], object], change: Callable[[bytearray], object], why: str
) -> None:
    spoil(folder, change)
    before = (folder / "store.sqlite3").read_bytes()
    _, said = used(folder, use)
    assert len(said) == 1
    match = sentence(folder, why, "no replies").fullmatch(said[0])
    assert match, said
    assert (folder / match[1]).read_bytes() == before


@EVERY_USE
def test_a_file_of_which_the_end_is_missing_keeps_what_is_left(
    folder: Path, use: Callable[[Store], object]
) -> None:
    spoil(folder, cut)
    there, said = used(folder, use)
    assert len(said) == 1
    assert 0 < there <= COUNT
    match = sentence(folder, "database disk image is malformed", r"(\d+) replies").fullmatch(said[0])
    assert match, said


def test_the_rows_around_a_damaged_page_are_kept(folder: Path) -> None:
    spoil(folder, zero_page(40))
    there, said = used(folder, USES["get"])
    assert COUNT - 10 < there < COUNT
    assert len(said) == 1
    kept = sentence(folder, "database disk image is malformed", rf"{there} replies")
    assert kept.fullmatch(said[0]), said


def test_open_batches_and_endpoints_outlive_a_damaged_page(folder: Path) -> None:
    spoil(folder, zero_page(40))
    said: list[str] = []
    store = Store(folder, said.append)
    for one in KEYS:
        store.get(one)
    assert said
    history = store.history(ENDPOINT)
    assert history is not None
    assert (history.input_tokens, history.output_tokens, history.latency) == (10.0, 5.0, 0.5)
    (batch,) = store.open_batches(ENDPOINT)
    assert (batch.id, batch.keys) == ("batch_1", frozenset(KEYS[:3]))
    asyncio.run(store.close())


def test_a_file_that_is_damaged_in_the_middle_of_a_run_is_mended_in_it(folder: Path) -> None:
    def use(store: Store) -> None:
        assert store.get(KEYS[0]) == reply(0)
        spoil(folder, lambda data: [zero_page(number)(data) for number in range(1, len(data) // PAGE, 2)])

    _, said = used(folder, use)
    assert len([one for one in said if " moved to " in one]) == 1


def test_a_reply_that_was_changed_counts_as_missing_and_is_said_once(folder: Path) -> None:
    path = folder / "store.sqlite3"
    with closing(sqlite3.connect(path)) as connection, connection:
        for number in (3, 4):
            row = connection.execute("SELECT reply FROM replies WHERE key = ?", (KEYS[number],)).fetchone()
            changed = row[0].replace(b"x", b"y", 1)
            connection.execute("UPDATE replies SET reply = ? WHERE key = ?", (changed, KEYS[number]))
    there, said = used(folder, lambda store: None)
    assert there == COUNT - 2
    assert said == [
        f"{path}: a stored reply does not match its checksum and is left out, as is every other such one; "
        f"`pytest-upskill cache verify {path}` lists them"
    ]


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_whatever_bytes_are_changed_no_run_fails_and_no_reply_is_wrong(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("changed") / "store"
    shutil.copytree(whole, folder)
    size = (folder / "store.sqlite3").stat().st_size
    places = data.draw(
        st.lists(st.tuples(st.integers(0, size - 1), st.binary(min_size=1, max_size=64)), max_size=30)
    )

    def change(content: bytearray) -> None:
        for place, some in places:
            content[place : place + len(some)] = some[: size - place]

    spoil(folder, change)
    rotten = bool(verify(folder / "store.sqlite3").wrong)
    said: list[str] = []

    async def run() -> None:
        store = Store(folder, said.append)
        result = data.draw(st.sampled_from(list(USES.values())))(store)
        if asyncio.iscoroutine(result):
            await result
        there = [store.get(one) for one in KEYS]
        assert [answer for number, answer in enumerate(there) if answer not in (None, reply(number))] == []
        assert said or rotten or None not in there
        await filled(store, range(COUNT))
        await store.close()

    asyncio.run(run())
    shutil.rmtree(folder)


def test_an_earlier_damaged_file_is_never_overwritten(folder: Path) -> None:
    for turn in range(3):
        (folder / "store.sqlite3").write_bytes(b"%d" % turn * 2000)
        used(folder, lambda store: None)
    moved = sorted(path.read_bytes()[:1] for path in folder.glob("store.sqlite3.corrupt-*"))
    assert moved == [b"0", b"1", b"2"]


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
    stop = random.Random(1)
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
    stop.shuffle(put)
    assert len(put) == 120
    said: list[str] = []
    store = Store(folder, said.append)
    assert [one for one in put if store.get(one) is None] == []
    assert COUNT - 10 < sum(store.get(one) is not None for one in KEYS) < COUNT
    asyncio.run(store.close())
    notices = [line for line in lines if line.startswith("NOTICE")] + said
    assert len(notices) == 1
    assert len(list(folder.glob("*.corrupt-*[0-9]"))) == 1


def test_a_process_that_has_a_moved_file_open_goes_over_to_the_new_one(folder: Path) -> None:
    async def use() -> None:
        first, second = Store(folder), Store(folder)
        assert first.get(KEYS[0]) == reply(0)
        await filled(first, [0])
        spoil(folder, lambda data: [zero_page(number)(data) for number in range(1, len(data) // PAGE)])
        await filled(second, [1])  # finds it and mends it
        assert first._reader._opened
        assert first._reader._opened.stale()
        await filled(first, [2])
        await first.close()
        assert second.get(KEYS[2]) == reply(2)
        await filled(second, [3])
        await second.close()

    asyncio.run(use())
    store = Store(folder)
    assert [store.get(KEYS[number]) for number in (1, 2, 3)] == [reply(number) for number in (1, 2, 3)]
    asyncio.run(store.close())


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
