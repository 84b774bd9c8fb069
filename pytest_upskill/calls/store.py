"""The store: replies on disk, by a digest of everything that determines them."""

from __future__ import annotations

import asyncio
import shlex
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pytest_upskill.calls.access import Access
from pytest_upskill.calls.keys import endpoint_of, reply_key, request_digest
from pytest_upskill.calls.rows import (
    PUT,
    PUT_BATCH,
    StoredBatch,
    batch_of,
    batch_row,
    decode,
    intact,
    row_of,
    tidy,
)
from pytest_upskill.calls.schema import SCHEMA_VERSION, transaction
from pytest_upskill.calls.store_file import FILE, StoreError, StoreFile, advice, there
from pytest_upskill.types import Reply

__all__ = [
    "FILE",
    "SCHEMA_VERSION",
    "History",
    "Store",
    "StoreError",
    "StoredBatch",
    "endpoint_of",
    "reply_key",
    "request_digest",
]

_CHUNK = 500
_GET = "SELECT reply, checksum, created FROM replies WHERE key = ?"
_HISTORY = (
    "SELECT COUNT(*), AVG(input_tokens), AVG(output_tokens), AVG(latency) FROM replies WHERE endpoint = ?"
)
_BATCHES = "SELECT endpoint, id, created, checksum, keys FROM batches WHERE endpoint = ? ORDER BY created, id"
_FORGET = "DELETE FROM batches WHERE id = ?"
_DAMAGED: tuple[Any, ...] = ()
_Found = TypeVar("_Found")
_Statement = tuple[str, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class History:
    """What replies of an endpoint were like on average; latency in seconds, None where no reply says it."""

    replies: int
    input_tokens: float | None
    output_tokens: float | None
    latency: float | None


def _silent(_: str) -> None:
    pass


class Store:
    """Replies in an SQLite file in WAL mode; a reply is on the disk before `put` returns.

    `get` belongs to the engine's thread; writes go through one thread of their own, those that wait
    together in one transaction, so that the loop never waits for the disk. A file that turns out to be damaged
    is moved aside, whoever finds it, and what can still be read is kept.

    Args:
        folder: where the file is or will be.
        notice: told in a whole sentence what was found damaged, on the thread that found it; must not use the store.
    """

    def __init__(self, folder: Path, notice: Callable[[str], None] | None = None) -> None:
        self.path = folder / FILE
        self._notice = notice or _silent
        self._file = StoreFile(self.path, self._notice)
        self._reader = Access(self._file)
        self._writer = Access(self._file)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="upskill-store")
        self._waiting: list[tuple[_Statement, asyncio.Future[None]]] = []
        self._flusher: asyncio.Task[None] | None = None
        self._told_of_rot = False

    def present(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return those keys that have a reply; makes no file. Any thread."""

        def look(connection: sqlite3.Connection) -> set[bytes]:
            found: set[bytes] = set()
            for start in range(0, len(keys), _CHUNK):
                found.update(_in_chunk(connection, keys[start : start + _CHUNK]))
            return found

        return self._looked_up(look) or set()

    def get(self, key: bytes) -> Reply | None:
        """Return the stored reply; None if there is none, or one that cannot be understood. Engine's thread only.

        Raises:
            StoreError: the file cannot be used.
        """

        def look(connection: sqlite3.Connection) -> tuple[Any, ...] | None:
            row: tuple[Any, ...] | None = connection.execute(_GET, (key,)).fetchone()
            return row if row is None or intact(key, *row[:2]) else _DAMAGED

        try:
            found = self._reader.run(look, bool)
        except sqlite3.Error as error:
            raise self._unreadable(error) from None
        if found:
            return _dated(decode(found[0]), found[2])
        if found is _DAMAGED:
            self._tell_of_rot("a stored reply")
        return None

    def history(self, endpoint: str) -> History | None:
        """Return what the replies of an endpoint were like; None if there is none. Makes no file. Any thread."""
        found = self._looked_up(lambda connection: connection.execute(_HISTORY, (tidy(endpoint),)).fetchone())
        return History(*found) if found and found[0] else None

    def open_batches(self, endpoint: str) -> list[StoredBatch]:
        """Return the batches of an endpoint that were added and not forgotten, oldest first. Any thread."""
        rows = self._looked_up(lambda connection: connection.execute(_BATCHES, (tidy(endpoint),)).fetchall())
        found = [batch_of(*row) for row in rows or ()]
        if None in found:
            self._tell_of_rot("a batch that was handed in")
        return [batch for batch in found if batch is not None]

    async def put(self, key: bytes, reply: Reply, endpoint: str = "") -> None:
        """Write a reply; returned means that it is on the disk.

        Args:
            key: see `reply_key`.
            reply: what a call returned.
            endpoint: who answered, see `endpoint_of`.

        Raises:
            StoreError: it could not be written.
        """
        await self._written(PUT, row_of(key, reply, endpoint, time.time()))

    async def add_batch(self, id: str, endpoint: str, keys: Iterable[bytes]) -> None:  # noqa: A002 - a batch has an id
        """Write down a batch that was handed in, to be resumed after a restart.

        Raises:
            StoreError: it could not be written.
        """
        await self._written(PUT_BATCH, batch_row(id, endpoint, keys, time.time()))

    async def forget_batch(self, id: str) -> None:  # noqa: A002
        """Strike out a batch whose results are stored, or that never will have any.

        Raises:
            StoreError: it could not be written.
        """
        await self._written(_FORGET, (tidy(id),))

    async def close(self) -> None:
        """Write what waits and close the file."""
        if self._flusher is not None:
            await asyncio.wait([self._flusher])
        # A flusher that was cancelled leaves rows behind: they are paid for.
        await self._flush()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._writer.close)
        self._thread.shutdown()
        self._reader.close()

    async def _written(self, statement: str, values: tuple[object, ...]) -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append(((statement, values), done))
        if self._flusher is None or self._flusher.done():
            self._flusher = loop.create_task(self._flush())
        await done

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            group, self._waiting = self._waiting, []
            try:
                error = await loop.run_in_executor(self._thread, self._write, [entry[0] for entry in group])
            except asyncio.CancelledError:
                self._waiting[:0] = group
                raise
            for _, done in group:
                if done.done():
                    continue  # cancelled
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)

    def _write(self, statements: Sequence[_Statement]) -> StoreError | None:
        def write(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                for statement, values in statements:
                    connection.execute(statement, values)

        try:
            self._writer.run(write)
        except StoreError as error:
            return error
        except Exception as error:  # noqa: BLE001 - or those who wait would wait for ever
            return StoreError(f"{self.path}: cannot be written: {error}; {advice(error)}")
        return None

    def _looked_up(self, look: Callable[[sqlite3.Connection], _Found]) -> _Found | None:
        if not there(self.path):
            return None
        with closing(Access(self._file)) as access:
            try:
                return access.run(look)
            except sqlite3.Error as error:
                raise self._unreadable(error) from None

    def _unreadable(self, error: sqlite3.Error) -> StoreError:
        return StoreError(f"{self.path}: cannot be read: {error}; {advice(error)}")

    def _tell_of_rot(self, what: str) -> None:
        if not self._told_of_rot:
            self._told_of_rot = True
            look = f"pytest-upskill cache verify {shlex.quote(str(self.path))}"
            self._notice(
                f"{self.path}: {what} does not match its checksum and is left out, as is every other such one; "
                f"`{look}` lists them"
            )


def _dated(reply: Reply | None, created: object) -> Reply | None:
    # No checksum covers the column, and it may hold anything.
    return replace(reply, date=created) if reply is not None and isinstance(created, float) else reply


def _in_chunk(connection: sqlite3.Connection, keys: Sequence[bytes]) -> Iterable[bytes]:
    marks = ",".join("?" * len(keys))
    query = f"SELECT key FROM replies WHERE key IN ({marks})"  # noqa: S608 - nothing but question marks
    return (row[0] for row in connection.execute(query, keys))
