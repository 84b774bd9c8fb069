"""The store: replies on disk, by a digest of everything that determines them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from pytest_upskill.errors import UpskillError
from pytest_upskill.types import Model, Provider, Reply, Request, Usage

FILE = "store.sqlite3"
SCHEMA_VERSION = 1
_CHUNK = 500
_TABLE = "CREATE TABLE IF NOT EXISTS replies (key BLOB PRIMARY KEY, reply TEXT NOT NULL) WITHOUT ROWID"


class StoreError(UpskillError):
    """The store cannot be used."""


def request_digest(model: Model, provider: Provider, request: Request) -> bytes:
    """Return the digest of a request: the same for all of its runs."""
    parts = [
        model.provider,
        provider.version,
        model.base_url,
        request.model,
        request.parameters,
        request.system,
        [[message.role, message.content] for message in request.messages],
    ]
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=dict)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def reply_key(digest: bytes, run: int) -> bytes:
    """Return the key of one run of a request."""
    return hashlib.sha256(b"%s %d" % (digest, run)).digest()


def _encode(reply: Reply) -> str:
    return json.dumps(asdict(reply), separators=(",", ":"))


def _decode(text: str) -> Reply:
    data = json.loads(text)
    return Reply(**{**data, "usage": Usage(**data["usage"])})


class Store:
    """Replies in an SQLite file in WAL mode; a reply is on the disk before `put` returns.

    `get` belongs to the engine's thread; writes go through one thread of their own, those that wait
    together in one transaction, so that the loop never waits for the disk.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="upskill-store")
        self._waiting: list[tuple[bytes, str, asyncio.Future[None]]] = []
        self._flusher: asyncio.Task[None] | None = None

    def present(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return those keys that have a reply; makes no file. Any thread."""
        if not self.path.exists():
            return set()
        connection = self._connect()
        try:
            found: set[bytes] = set()
            for start in range(0, len(keys), _CHUNK):
                found.update(self._in_chunk(connection, keys[start : start + _CHUNK]))
            return found
        finally:
            connection.close()

    def get(self, key: bytes) -> Reply | None:
        """Return the stored reply, or None. The engine's thread only."""
        if self._reader is None:
            self._reader = self._connect()
        row = self._reader.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        return _decode(row[0]) if row else None

    async def put(self, key: bytes, reply: Reply) -> None:
        """Write a reply; returned means that it is on the disk."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append((key, _encode(reply), done))
        if self._flusher is None or self._flusher.done():
            self._flusher = loop.create_task(self._flush())
        await done

    async def close(self) -> None:
        """Write what waits and close the file."""
        if self._flusher is not None:
            await asyncio.gather(self._flusher, return_exceptions=True)
        # A flusher that was cancelled may leave rows behind: they are paid for.
        await self._flush()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close_writer)
        self._thread.shutdown()
        if self._reader is not None:
            self._reader.close()

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await loop.run_in_executor(self._thread, self._write, [row[:2] for row in batch])
                error = None
            except sqlite3.Error as caught:
                error = StoreError(f"{self.path}: cannot be written: {caught}")
            for _, _, done in batch:
                if done.done():
                    continue
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)

    def _write(self, rows: Iterable[tuple[bytes, str]]) -> None:
        if self._writer is None:
            self._writer = self._connect()
        with self._writer:
            self._writer.executemany("INSERT OR REPLACE INTO replies VALUES (?, ?)", rows)

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _connect(self) -> sqlite3.Connection:
        self._make_folder()
        try:
            connection = sqlite3.connect(self.path, timeout=30, check_same_thread=False)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, SCHEMA_VERSION):
                connection.close()
                raise StoreError(
                    f"{self.path}: written by another version of pytest-upskill (schema {version}, this one reads "
                    f"{SCHEMA_VERSION}): move it away, or name another folder with --upskill-cache-dir"
                )
            if version == 0:
                with connection:
                    connection.execute(_TABLE)
                    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        except sqlite3.Error as error:
            raise StoreError(
                f"{self.path}: cannot be used as a store: {error}; move it away, or name another folder with "
                "--upskill-cache-dir"
            ) from None
        return connection

    def _make_folder(self) -> None:
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            ignore = folder / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", encoding="utf-8")
        except OSError as error:
            raise StoreError(
                f"{folder}: cannot be written: {error.strerror}; name another folder with --upskill-cache-dir"
            ) from None

    def _in_chunk(self, connection: sqlite3.Connection, keys: Sequence[bytes]) -> Iterable[bytes]:
        marks = ",".join("?" * len(keys))
        return (row[0] for row in connection.execute(f"SELECT key FROM replies WHERE key IN ({marks})", keys))
