"""A damaged store is moved aside, what can be read of it is kept, and both are said; it is never an error."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.calls.store import Store
from pytest_upskill.calls.store_tools import verify
from tests.calls.damage import (
    COUNT,
    ENDPOINT,
    KEYS,
    PAGE,
    cut,
    empty,
    filled,
    garbage,
    made,
    reply,
    spoil,
    used,
    zero_page,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "store")
    return tmp_path / "store"


def sentence(folder: Path, why: str, kept: str) -> re.Pattern[str]:
    path = re.escape(str(folder / "store.sqlite3"))
    parent = re.escape(str(folder))
    name = r"store\.sqlite3\.corrupt-\d{8}T\d{6}(-\d+)?"
    return re.compile(
        rf"{path}: damaged \({why}\), and moved to ({name}); a new store was begun with {kept} that could still be "
        rf"read, and what else it held is asked for again; `pytest-upskill cache verify {parent}/"
        rf"{name}` says what is wrong with it"
    )


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
    # Before that stands whose file it is, and of which version.
    places = data.draw(
        st.lists(st.tuples(st.integers(100, size - 1), st.binary(min_size=1, max_size=64)), max_size=30)
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
