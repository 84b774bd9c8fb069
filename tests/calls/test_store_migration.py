"""A store that version 1 wrote is brought to this version, with every reply that was paid for."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest

from pytest_upskill.calls.store import SCHEMA_VERSION, History, Store
from pytest_upskill.types import Reply, Usage

# What version 1 did, to the letter.
TABLE = "CREATE TABLE IF NOT EXISTS replies (key BLOB PRIMARY KEY, reply BLOB NOT NULL) WITHOUT ROWID"
OPENER = """
import asyncio, sys
from pathlib import Path
from pytest_upskill.calls.store import Store
store = Store(Path(sys.argv[1]), lambda sentence: print(sentence))
print("begun", flush=True)
found = store.present([bytes.fromhex(line.strip()) for line in sys.stdin])
asyncio.run(store.close())
print(len(found), flush=True)
"""


def key(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def reply(number: int) -> Reply:
    return Reply(f"{number} " + "é" * 300, "m-1", Usage(number, 2 * number), "stop", 0.5)


def encoded(made: Reply) -> bytes:
    fields = asdict(made)
    del fields["limits"]
    return json.dumps(fields, ensure_ascii=False).encode()


def version_1(folder: Path, count: int, *more: tuple[bytes, bytes | str]) -> None:
    folder.mkdir(exist_ok=True)
    with closing(sqlite3.connect(folder / "store.sqlite3")) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(TABLE)
        connection.execute("PRAGMA user_version=1")
        rows = [(key(number), encoded(reply(number))) for number in range(count)]
        connection.executemany("INSERT INTO replies VALUES (?, ?)", [*rows, *more])


def version(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "store.sqlite3")) as connection:
        found: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return found


def got(folder: Path, count: int) -> list[Reply | None]:
    async def use() -> list[Reply | None]:
        store = Store(folder)
        found = [store.get(key(number)) for number in range(count)]
        await store.close()
        return found

    return asyncio.run(use())


def test_every_reply_of_version_1_comes_back_as_it_was(tmp_path: Path) -> None:
    version_1(tmp_path, 200)
    assert got(tmp_path, 200) == [reply(number) for number in range(200)]
    assert version(tmp_path) == SCHEMA_VERSION


def test_a_reply_that_was_stored_as_text_comes_back(tmp_path: Path) -> None:
    version_1(tmp_path, 0, (key(1), encoded(reply(1)).decode()))
    assert got(tmp_path, 2) == [None, reply(1)]


def test_a_row_that_cannot_be_understood_keeps_nothing_from_being_moved(tmp_path: Path) -> None:
    version_1(tmp_path, 3, (key(3), b"\xff"), (key(4), "{"))
    assert got(tmp_path, 5) == [reply(0), reply(1), reply(2), None, None]


def test_replies_of_version_1_have_no_endpoint_and_count_as_made_when_they_were_moved(tmp_path: Path) -> None:
    version_1(tmp_path, 3)
    begun = time.time()
    store = Store(tmp_path)
    assert store.history("openai:gpt") is None
    assert store.history("") == History(3, 1.0, 2.0, 0.5)
    with closing(sqlite3.connect(store.path)) as connection:
        oldest, newest = connection.execute("SELECT MIN(created), MAX(created) FROM replies").fetchone()
    assert begun - 1 < oldest <= newest < time.time() + 1
    asyncio.run(store.close())


def opener(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", OPENER, str(folder)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_processes_that_open_it_at_once_all_find_every_reply(tmp_path: Path) -> None:
    version_1(tmp_path, 2000)
    keys = "\n".join(key(number).hex() for number in range(2000))
    processes = [opener(tmp_path) for _ in range(4)]
    for process in processes:
        if process.stdin is None:
            raise RuntimeError("no standard input")
        process.stdin.write(keys)
        process.stdin.close()
    for process in processes:
        with process:
            out = process.stdout.read() if process.stdout else ""
            err = process.stderr.read() if process.stderr else ""
        assert (out, err) == ("begun\n2000\n", "")


@pytest.mark.parametrize("turn", range(4))
def test_a_move_that_is_killed_half_way_is_made_again(tmp_path: Path, turn: int) -> None:
    version_1(tmp_path, 4000)
    with opener(tmp_path) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("no standard streams")
        process.stdout.readline()
        process.stdin.close()
        time.sleep(random.Random(turn).uniform(0.0, 0.06))
        process.kill()
    assert got(tmp_path, 4000) == [reply(number) for number in range(4000)]
    assert not list(tmp_path.glob("*.corrupt-*"))


def test_a_damaged_store_of_version_1_keeps_what_can_be_read(tmp_path: Path) -> None:
    version_1(tmp_path, 500)
    path = tmp_path / "store.sqlite3"
    data = bytearray(path.read_bytes())
    middle = len(data) // 4096 // 2 * 4096
    data[middle : middle + 4096] = bytes(4096)
    path.write_bytes(data)
    found = got(tmp_path, 500)
    kept = [answer for answer in found if answer is not None]
    assert 400 < len(kept) < 500
    assert [answer for answer in found if answer not in (None, reply(found.index(answer)))] == []
    assert version(tmp_path) == SCHEMA_VERSION
    assert len(list(tmp_path.glob("store.sqlite3.corrupt-*"))) == 1
