"""The store: what is put is on the disk, comes back as it was, and is found by what determines it alone."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.calls.store import SCHEMA_VERSION, Store, StoreError
from pytest_upskill.types import Reply, Usage

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
    raw(folder, "INSERT INTO replies VALUES (?, ?)", KEY, text)
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
    ["", "{", "[]", "null", "1", '"x"', json.dumps(without("text")), json.dumps(without("usage")),
     json.dumps({**WRITTEN, "text": None}), json.dumps({**WRITTEN, "usage": None}), b"\xff\xfe\x00", b"\xff"],
    ids=ascii,
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


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite3").write_bytes(b"no database" * 100)
    path = tmp_path / "store.sqlite3"
    assert refused(tmp_path) == {f"{path}: cannot be used as a store: file is not a database; {ADVICE}"}


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


def test_a_database_of_somebody_else_is_refused(tmp_path: Path) -> None:
    raw(tmp_path, "CREATE TABLE replies (id INTEGER)")
    path = tmp_path / "store.sqlite3"
    for said in refused(tmp_path):
        assert said.startswith(f"{path}: cannot be ")
        assert said.endswith(f"; {ADVICE}")


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


def test_a_page_that_is_damaged_is_said_when_it_is_read(tmp_path: Path) -> None:
    rows = [(str(number).encode(), replace(REPLY, text="x" * 500)) for number in range(200)]
    asyncio.run(put(tmp_path, *rows))
    path = tmp_path / "store.sqlite3"
    data = bytearray(path.read_bytes())
    data[8192:] = b"\xff" * (len(data) - 8192)
    path.write_bytes(data)
    said = f"{path}: cannot be read: database disk image is malformed; {ADVICE}"
    with pytest.raises(StoreError) as caught:
        asyncio.run(got(tmp_path, *(key for key, _ in rows)))
    assert str(caught.value) == said
    with pytest.raises(StoreError) as caught:
        Store(tmp_path).present([key for key, _ in rows])
    assert str(caught.value) == said
