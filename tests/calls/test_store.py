"""The store: what is put is on the disk, comes back as it was, and is found by what determines it alone."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.calls.rows import PUT, row_of_data
from pytest_upskill.calls.store import SCHEMA_VERSION, Store, StoreError, endpoint_of
from pytest_upskill.types import Model, RateLimits, Reply, Usage, Window

KEY = b"k" * 32
REPLY = Reply("yes", "m-1", Usage(10, None), "stop", 0.25)
ADVICE = "move it away, or name another folder with --upskill-cache-dir"


async def put(folder: Path, *rows: tuple[bytes, Reply]) -> None:
    store = Store(folder)
    try:
        await asyncio.gather(*(store.put(key, reply) for key, reply in rows))
    finally:
        await store.close()


async def got(folder: Path, *keys: bytes) -> list[Reply | None]:
    store = Store(folder)
    try:
        return [store.get(key) for key in keys]
    finally:
        await store.close()


def round_trip(folder: Path, reply: Reply) -> Reply | None:
    asyncio.run(put(folder, (KEY, reply)))
    return asyncio.run(got(folder, KEY))[0]


def raw(folder: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(folder / "store.sqlite3")
    with connection:
        connection.execute(statement, values)
    connection.close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "two\nlines\r\n",
        "a\0b",
        "\ud800 and \udc80\ud83d",
        "\ud83d\ude00",
        "\U0001f600 é",
        "\x1b[31m",
        '"\\u0000',
    ],
    ids=ascii,
)
def test_odd_texts_come_back_as_they_were(text: str, tmp_path: Path) -> None:
    reply = Reply(text, model=text, usage=Usage(0, 2**62), stop_reason=text, latency=1e-9)
    assert round_trip(tmp_path, reply) == reply


def test_a_reply_comes_back_with_the_time_at_which_it_was_stored(tmp_path: Path) -> None:
    before = time.time()
    found = round_trip(tmp_path, replace(REPLY, date=1.0))
    assert found is not None
    assert found.date is not None
    assert before <= found.date <= time.time()
    raw(tmp_path, "UPDATE replies SET created = ?", 86400.5)
    (found,) = asyncio.run(got(tmp_path, KEY))
    assert found is not None
    assert found.date == 86400.5


def test_a_time_that_is_none_costs_no_reply(tmp_path: Path) -> None:
    asyncio.run(put(tmp_path, (KEY, REPLY)))
    raw(tmp_path, "UPDATE replies SET created = ?", b"yesterday")
    (found,) = asyncio.run(got(tmp_path, KEY))
    assert found == REPLY
    assert found.date is None


@settings(deadline=None, max_examples=50)
@given(st.text(st.characters(exclude_categories=())), st.none() | st.integers(0, 10**12))
def test_any_text_comes_back_as_it_was(folder: Path, text: str, count: int | None) -> None:
    reply = replace(REPLY, text=text, usage=Usage(count, count))
    assert round_trip(folder, reply) == reply


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


def test_ten_megabytes_come_back(tmp_path: Path) -> None:
    reply = replace(REPLY, text="0123456789" * 1_000_000)
    assert round_trip(tmp_path, reply) == reply


def test_what_was_not_put_is_not_there(tmp_path: Path) -> None:
    asyncio.run(put(tmp_path, (KEY, REPLY)))
    assert asyncio.run(got(tmp_path, b"other")) == [None]


def test_a_reply_that_is_put_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    round_trip(tmp_path, REPLY)
    assert round_trip(tmp_path, replace(REPLY, text="no")) == replace(REPLY, text="no")


def test_present_tells_what_is_there_and_makes_no_file(tmp_path: Path) -> None:
    keys = [str(number).encode() for number in range(2000)]
    assert Store(tmp_path / "none").present(keys) == set()
    assert list(tmp_path.iterdir()) == []
    asyncio.run(put(tmp_path, *((key, REPLY) for key in keys[::2])))
    assert Store(tmp_path).present(keys) == set(keys[::2])
    assert Store(tmp_path).present([]) == set()


def test_the_folder_ignores_itself_and_a_gitignore_that_is_there_stays(tmp_path: Path) -> None:
    round_trip(tmp_path / "a" / "b", REPLY)
    assert (tmp_path / "a" / "b" / ".gitignore").read_text() == "*\n"
    (tmp_path / "a" / "b" / ".gitignore").write_text("mine\n")
    round_trip(tmp_path / "a" / "b", REPLY)
    assert (tmp_path / "a" / "b" / ".gitignore").read_text() == "mine\n"


# What other versions wrote.

WRITTEN: dict[str, Any] = {
    "text": "yes", "model": "m-1", "usage": {"input_tokens": 10, "output_tokens": None},
    "stop_reason": "stop", "latency": 0.25,
}  # fmt: skip


def stored(folder: Path, text: str | bytes) -> Reply | None:
    asyncio.run(put(folder, (b"another", REPLY)))
    data = text.encode() if isinstance(text, str) else text
    raw(folder, PUT, *row_of_data(KEY, data, "", 0.0))
    return asyncio.run(got(folder, KEY))[0]


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in WRITTEN.items() if key != name}


@pytest.mark.parametrize(
    ("row", "reply"),
    [
        (WRITTEN, REPLY),
        ({**WRITTEN, "thoughts": "hm"}, REPLY),
        ({**WRITTEN, "usage": {**WRITTEN["usage"], "cached_tokens": 3}}, REPLY),
        (without("stop_reason"), replace(REPLY, stop_reason=None)),
        ({**WRITTEN, "usage": {"input_tokens": 10}}, REPLY),
    ],
    ids=["as now", "one field more", "one count more", "one field less", "one count less"],
)
def test_a_reply_that_another_version_wrote_is_read_as_far_as_it_is_known(
    row: dict[str, Any], reply: Reply, tmp_path: Path
) -> None:
    assert stored(tmp_path, json.dumps(row)) == reply


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, "[]", "null", "1", '"x"', json.dumps(without("text")), json.dumps(without("usage")),
     json.dumps({**WRITTEN, "text": None}), json.dumps({**WRITTEN, "usage": None}), b"\xff\xfe\x00", b"\xff"],
    ids=lambda text: ascii(text)[:40],
)  # fmt: skip
def test_a_reply_that_cannot_be_understood_is_as_good_as_none(text: str | bytes, tmp_path: Path) -> None:
    assert stored(tmp_path, text) is None


# What cannot be used is said in one sentence.


def refused(folder: Path) -> set[str]:
    """Return what reading, writing and looking up say; the file must be there for the last."""
    said: set[str] = set()

    async def use() -> None:
        store = Store(folder)
        with pytest.raises(StoreError) as caught:
            store.get(KEY)
        said.add(str(caught.value))
        with pytest.raises(StoreError) as caught:
            await asyncio.wait_for(store.put(KEY, REPLY), 10)
        said.add(str(caught.value))
        await store.close()

    asyncio.run(use())
    if (folder / "store.sqlite3").exists():
        with pytest.raises(StoreError) as caught:
            Store(folder).present([KEY])
        said.add(str(caught.value))
    return said


def test_a_file_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite3").mkdir()
    path = tmp_path / "store.sqlite3"
    assert refused(tmp_path) == {f"{path}: cannot be used as a store: unable to open database file; {ADVICE}"}


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    asyncio.run(put(tmp_path, (KEY, REPLY)))
    raw(tmp_path, f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    path = tmp_path / "store.sqlite3"
    assert refused(tmp_path) == {
        f"{path}: written by another version of pytest-upskill (schema {SCHEMA_VERSION + 1}, this one reads "
        f"{SCHEMA_VERSION}): {ADVICE}"
    }


def test_a_database_of_somebody_else_is_refused_and_stays(tmp_path: Path) -> None:
    raw(tmp_path, "CREATE TABLE replies (id INTEGER)")
    path = tmp_path / "store.sqlite3"
    assert refused(tmp_path) == {f"{path}: a database of another program: {ADVICE}"}
    raw(tmp_path, "INSERT INTO replies VALUES (1)")


def test_a_file_whose_tables_are_not_those_of_its_version_is_refused(tmp_path: Path) -> None:
    raw(tmp_path, "PRAGMA user_version=1")
    path = tmp_path / "store.sqlite3"
    said = f"{path}: cannot be used as a store: no such table: replies; {ADVICE}"
    assert refused(tmp_path) == {said}


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.write_text("")
    assert refused(folder) == {
        f"{folder}: cannot be written: File exists; name another folder with --upskill-cache-dir"
    }


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "folder"
    assert refused(folder) == {
        f"{folder}: cannot be written: Not a directory; name another folder with --upskill-cache-dir"
    }


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    yield tmp_path
    tmp_path.chmod(stat.S_IRWXU)


def test_a_folder_that_cannot_be_written_is_refused(read_only: Path) -> None:
    advice = "name another folder with --upskill-cache-dir"
    assert refused(read_only) == {f"{read_only}: cannot be written: Permission denied; {advice}"}


# What a disk can say.


async def failed_put(folder: Path, hindrance: str) -> str:
    """Return what a put says after a statement was run on the store's own connection."""
    store = Store(folder)
    await store.put(KEY, REPLY)
    await asyncio.get_running_loop().run_in_executor(
        store._thread, lambda: store._writer.run(hinder(hindrance))
    )
    with pytest.raises(StoreError) as caught:
        await store.put(b"another", replace(REPLY, text="x" * 1_000_000))
    assert store.get(KEY) == REPLY
    await store.close()
    return str(caught.value)


def hinder(statement: str) -> Callable[[sqlite3.Connection], list[Any]]:
    return lambda connection: connection.execute(statement).fetchall()


@pytest.mark.parametrize(
    ("hindrance", "why"),
    [
        (
            "PRAGMA max_page_count=1",
            "database or disk is full; make room, or name another folder with --upskill-cache-dir",
        ),
        ("PRAGMA query_only=ON", f"attempt to write a readonly database; {ADVICE}"),
    ],
    ids=["full", "read-only"],
)
def test_a_disk_that_takes_nothing_is_said_and_what_is_stored_stays(
    tmp_path: Path, hindrance: str, why: str
) -> None:
    path = tmp_path / "store.sqlite3"
    said = asyncio.run(failed_put(tmp_path, hindrance))
    assert said == f"{path}: cannot be written: {why}"
    assert not list(tmp_path.glob("*.corrupt-*"))


# Nothing but the fields of a reply is stored.


@dataclass(frozen=True)
class Chatty(Reply):
    """A reply as a plugin's provider may make one."""

    headers: str = "authorization: canary"


def test_no_header_and_no_key_can_get_into_the_file(tmp_path: Path) -> None:
    limits = RateLimits(Window(1.0, 1.0, 1.0))
    address = "https://user:canary@localhost:8080/v1/?key=canary#canary"
    endpoint = endpoint_of(Model("m", "openai", "gpt", base_url=address, api_key_env="canary"))

    def search() -> None:
        for path in tmp_path.iterdir():
            assert b"canary" not in path.read_bytes()

    async def use() -> None:
        store = Store(tmp_path)
        await store.put(KEY, Chatty("yes", limits=limits), endpoint)
        await store.add_batch("batch", endpoint, [KEY])
        search()  # the log is not yet brought over
        await store.close()

    asyncio.run(use())
    search()
    assert b"https://localhost:8080/v1" in (tmp_path / "store.sqlite3").read_bytes()
