"""Stores for the tests of `pytest-upskill cache`, and the command itself."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sqlite3
import time
from pathlib import Path

import pytest

from pytest_upskill.calls.store import Store
from pytest_upskill.cli import main
from pytest_upskill.types import Reply, Usage

GLM = "openai:glm@http://localhost:8080/v1"
TODAY = time.strftime("%Y-%m-%d")
STORE = ".upskill/store.sqlite3"


def key(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def reply(number: int) -> Reply:
    return Reply(f"{number} é " + "x" * 1000, "m-1", Usage(10, 5), "stop", 0.5)


def fill(folder: Path, first: int, last: int, endpoint: str = GLM) -> None:
    async def put() -> None:
        store = Store(folder)
        await asyncio.gather(
            *(store.put(key(number), reply(number), endpoint) for number in range(first, last))
        )
        await store.close()

    asyncio.run(put())


def add_batch(folder: Path) -> None:
    async def add() -> None:
        store = Store(folder)
        await store.add_batch("batch_1", GLM, [key(0)])
        await store.close()

    asyncio.run(add())


def raw(folder: Path, statement: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(folder / "store.sqlite3")) as connection, connection:
        connection.execute(statement, values)


def cache(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str], str]:
    code = main(["cache", *words])
    said = capsys.readouterr()
    return code, said.out.splitlines(), said.err


def age(folder: Path, numbers: range, days: float) -> None:
    made = time.time() - 86400 * days
    with contextlib.closing(sqlite3.connect(folder / "store.sqlite3")) as connection, connection:
        rows = [(made, key(number)) for number in numbers]
        connection.executemany("UPDATE replies SET created = ? WHERE key = ?", rows)
