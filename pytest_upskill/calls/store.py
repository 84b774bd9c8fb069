"""The store: replies on disk, by a digest of everything that determines them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, fields
from pathlib import Path

from pytest_upskill.errors import UpskillError
from pytest_upskill.protocols import Provider
from pytest_upskill.types import Model, Reply, Request, Usage

FILE = "store.sqlite3"
SCHEMA_VERSION = 1
_CHUNK = 500
_PATIENCE = 30  # seconds to wait while another process writes
_TABLE = "CREATE TABLE IF NOT EXISTS replies (key BLOB PRIMARY KEY, reply BLOB NOT NULL) WITHOUT ROWID"
_ELSEWHERE = "move it away, or name another folder with --upskill-cache-dir"
_REPLY = tuple(field.name for field in fields(Reply) if field.name not in ("usage", "limits"))
_USAGE = tuple(field.name for field in fields(Usage))


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


def _encode(reply: Reply) -> bytes:
    row = {**{name: getattr(reply, name) for name in _REPLY}, "usage": asdict(reply.usage)}
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def _decode(data: bytes | str) -> Reply | None:
    # What another version of the plugin wrote is read as far as it is known here: it has been paid for.
    try:
        row = json.loads(data)
        usage = Usage(**{name: row["usage"][name] for name in _USAGE if name in row["usage"]})
        reply = Reply(**{name: row[name] for name in _REPLY if name in row}, usage=usage)
    except (ValueError, TypeError, KeyError):
        return None
    return reply if isinstance(reply.text, str) else None


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
        self._waiting: list[tuple[bytes, bytes, asyncio.Future[None]]] = []
        self._flusher: asyncio.Task[None] | None = None

    def present(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return those keys that have a reply; makes no file. Any thread."""
        if not self.path.exists():
            return set()
        found: set[bytes] = set()
        with closing(self._connect()) as connection:
            try:
                for start in range(0, len(keys), _CHUNK):
                    found.update(self._in_chunk(connection, keys[start : start + _CHUNK]))
            except sqlite3.Error as error:
                raise self._unreadable(error) from None
        return found

    def get(self, key: bytes) -> Reply | None:
        """Return the stored reply; None if there is none, or one that cannot be understood. Engine's thread only.

        Raises:
            StoreError: the file cannot be used.
        """
        if self._reader is None:
            self._reader = self._connect()
        try:
            row = self._reader.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise self._unreadable(error) from None
        return _decode(row[0]) if row else None

    async def put(self, key: bytes, reply: Reply) -> None:
        """Write a reply; returned means that it is on the disk.

        Raises:
            StoreError: it could not be written.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append((key, _encode(reply), done))
        if self._flusher is None or self._flusher.done():
            self._flusher = loop.create_task(self._flush())
        await done

    async def close(self) -> None:
        """Write what waits and close the file."""
        if self._flusher is not None:
            await asyncio.wait([self._flusher])
        # A flusher that was cancelled leaves rows behind: they are paid for.
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
                error = await loop.run_in_executor(self._thread, self._write, [row[:2] for row in batch])
            except asyncio.CancelledError:
                self._waiting[:0] = batch
                raise
            for _, _, done in batch:
                if done.done():
                    continue  # cancelled
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)

    def _write(self, rows: Iterable[tuple[bytes, bytes]]) -> StoreError | None:
        try:
            if self._writer is None:
                self._writer = self._connect()
            with self._writer:
                self._writer.executemany("INSERT OR REPLACE INTO replies VALUES (?, ?)", rows)
        except StoreError as error:
            return error
        except (sqlite3.Error, OverflowError) as error:
            return StoreError(f"{self.path}: cannot be written: {error}; {_ELSEWHERE}")
        return None

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _connect(self) -> sqlite3.Connection:
        self._make_folder()
        try:
            connection = sqlite3.connect(self.path, timeout=_PATIENCE, check_same_thread=False)
        except sqlite3.Error as error:
            raise self._unusable(error) from None
        try:
            self._prepare_patiently(connection)
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.Error):
                raise self._unusable(error) from None
            raise
        return connection

    def _prepare_patiently(self, connection: sqlite3.Connection) -> None:
        # SQLite does not wait by itself where two processes make the same file.
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return self._prepare(connection)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(0.005)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, SCHEMA_VERSION):
            raise StoreError(
                f"{self.path}: written by another version of pytest-upskill (schema {version}, this one reads "
                f"{SCHEMA_VERSION}): {_ELSEWHERE}"
            )
        if version == 0:
            with connection:
                connection.execute(_TABLE)
                connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def _unreadable(self, error: sqlite3.Error) -> StoreError:
        return StoreError(f"{self.path}: cannot be read: {error}; {_ELSEWHERE}")

    def _unusable(self, error: sqlite3.Error) -> StoreError:
        return StoreError(f"{self.path}: cannot be used as a store: {error}; {_ELSEWHERE}")

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
        query = f"SELECT key FROM replies WHERE key IN ({marks})"  # noqa: S608 - nothing but question marks
        return (row[0] for row in connection.execute(query, keys))
