"""What else the store knows: what replies of an endpoint were like, and which batches are open."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_upskill.calls.store import History, Store, endpoint_of
from pytest_upskill.types import Model, Reply, Usage

GPT = "openai:gpt-5.5"
REPLY = Reply("yes", "m-1", Usage(10, 4), "stop", 0.5)


def put(folder: Path, *rows: tuple[str, Reply]) -> None:
    async def use() -> None:
        store = Store(folder)
        for number, (endpoint, reply) in enumerate(rows):
            await store.put(b"%d" % number, reply, endpoint)
        await store.close()

    asyncio.run(use())


def test_history_is_the_mean_over_the_replies_of_one_endpoint(tmp_path: Path) -> None:
    slow = replace(REPLY, usage=Usage(20, 8), latency=1.5)
    put(tmp_path, (GPT, REPLY), (GPT, slow), ("openai:other", replace(slow, latency=9.0)))
    assert Store(tmp_path).history(GPT) == History(2, 15.0, 6.0, 1.0)


def test_history_leaves_out_what_a_server_did_not_say(tmp_path: Path) -> None:
    put(
        tmp_path,
        (GPT, REPLY),
        (GPT, replace(REPLY, usage=Usage(None, 6))),
        ("mute", replace(REPLY, usage=Usage())),
    )
    assert Store(tmp_path).history(GPT) == History(2, 10.0, 5.0, 0.5)
    assert Store(tmp_path).history("mute") == History(1, None, None, 0.5)


def test_history_knows_nothing_of_an_endpoint_without_replies_and_makes_no_file(tmp_path: Path) -> None:
    assert Store(tmp_path / "none").history(GPT) is None
    assert Store(tmp_path / "none").open_batches(GPT) == []
    assert list(tmp_path.iterdir()) == []
    put(tmp_path, ("other", REPLY))
    assert Store(tmp_path).history(GPT) is None


@pytest.mark.parametrize(
    "reply",
    [
        replace(REPLY, usage=Usage(2**70, -(2**70))),
        replace(REPLY, latency=float("inf")),
        replace(REPLY, usage=Usage("many", True)),  # type: ignore[arg-type]
    ],
    ids=["too large", "infinite", "no number"],
)
def test_a_figure_that_no_column_holds_keeps_no_reply_from_being_stored(tmp_path: Path, reply: Reply) -> None:
    put(tmp_path, (f"{GPT}\ud800", reply), (GPT, REPLY))
    store = Store(tmp_path)
    assert store.get(b"0") == reply
    assert store.history(GPT) == History(1, 10.0, 4.0, 0.5)
    assert store.history(f"{GPT}\ud800") is not None
    asyncio.run(store.close())


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (Model("m", "openai", "gpt-5.5"), "openai:gpt-5.5"),
        (Model("m", "openai", "a/b:Q4", base_url="http://localhost:8080/v1"), "openai:a/b:Q4@http://localhost:8080/v1"),
        (Model("m", "openai", "x", base_url="https://me:pw@h.org:1/v1/?k=1#f"), "openai:x@https://h.org:1/v1"),
        (Model("m", "openai", "x", base_url="http://me:pw@[::1]:1"), "openai:x@http://[::1]:1"),
        (Model("m", "openai", "x", base_url="http://me:pw@[::1"), "openai:x"),
        (Model("m", "openai", "x", base_url=""), "openai:x"),
    ],
)  # fmt: skip
def test_an_endpoint_is_named_without_what_may_be_secret(model: Model, name: str) -> None:
    assert endpoint_of(model) == name


def test_a_batch_stays_open_until_it_is_forgotten(tmp_path: Path) -> None:
    begun = time.time()

    async def add() -> None:
        store = Store(tmp_path)
        await store.add_batch("batch_1", GPT, [b"a", b"\xff" * 32, b"a"])
        await store.add_batch("batch_2", "other", [b"c"])
        await store.close()

    asyncio.run(add())
    (batch,) = Store(tmp_path).open_batches(GPT)
    assert (batch.id, batch.endpoint, batch.keys) == ("batch_1", GPT, frozenset([b"a", b"\xff" * 32]))
    assert begun - 1 < batch.created < time.time() + 1

    async def forget() -> None:
        store = Store(tmp_path)
        await store.forget_batch("batch_1")
        await store.forget_batch("batch_of_nobody")
        await store.close()

    asyncio.run(forget())
    assert Store(tmp_path).open_batches(GPT) == []
    assert [batch.id for batch in Store(tmp_path).open_batches("other")] == ["batch_2"]


def test_batches_come_oldest_first(tmp_path: Path) -> None:
    async def add() -> None:
        store = Store(tmp_path)
        for name in "cab":
            await store.add_batch(name, GPT, [])
        await store.close()

    asyncio.run(add())
    assert [batch.id for batch in Store(tmp_path).open_batches(GPT)] == ["c", "a", "b"]


def test_a_damaged_batch_is_left_out_and_said(tmp_path: Path) -> None:
    async def add() -> None:
        store = Store(tmp_path)
        await store.add_batch("good", GPT, [b"a"])
        await store.add_batch("bad", GPT, [b"b"])
        await store.close()

    asyncio.run(add())
    path = tmp_path / "store.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE batches SET keys = '[\"00\"]' WHERE id = 'bad'")
    said: list[str] = []
    assert [batch.id for batch in Store(tmp_path, said.append).open_batches(GPT)] == ["good"]
    assert said == [
        f"{path}: a batch that was handed in does not match its checksum and is left out, as is every other such one; "
        f"`pytest-upskill cache verify {path}` lists them"
    ]
