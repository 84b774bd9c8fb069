"""Reading what can still be read of a file, damaged or not, without changing it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from pytest_upskill.calls.rows import (
    PUT,
    PUT_BATCH,
    Row,
    StoredBatch,
    batch_of,
    batch_row,
    decode,
    row_of_data,
)
from pytest_upskill.calls.schema import transaction

_MOST_PIECES = 2**16
_KEYS = 2**64  # as far as they are told apart here: by their first eight bytes
_CODES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# What reading can raise: where SQLite quotes a damaged name, the module fails to decode the message.
UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
_EVERY = "SELECT key, reply, IFNULL(checksum, -1), endpoint, created FROM replies ORDER BY key"
_RANGE = (
    "SELECT rowid, key, reply, IFNULL(checksum, -1), endpoint, created FROM replies NOT INDEXED "
    "WHERE rowid >= ? AND rowid < ? ORDER BY rowid"
)
# Version 1 had no rowids, and no checksums.
_RANGE_1 = "SELECT key, key, reply, NULL, '', NULL FROM replies WHERE key >= ? AND key < ? ORDER BY key"
_LAST = (
    "SELECT MAX(rowid) FROM replies NOT INDEXED",
    "SELECT MAX(rowid) FROM replies INDEXED BY replies_of_endpoint",
)
_BATCHES = "SELECT endpoint, id, created, checksum, keys FROM batches"


class _Table(NamedTuple):
    """How ranges of rows are read: places are numbers from 0 to `end`."""

    query: str
    bound: Callable[[int], object]
    place: Callable[[Any], int]
    end: int


class Found(NamedTuple):
    """A row that could be read, and what is wrong with it, in words; None where nothing is."""

    row: Row
    fault: str | None


def damage(error: Exception) -> str | None:
    """Return SQLite's own word where an error of `UNREADABLE` says that the file is not what it wrote; else None."""
    if isinstance(error, UnicodeDecodeError):
        return "malformed database schema"
    return str(error) if getattr(error, "sqlite_errorcode", 0) & 0xFF in _CODES else None


def open_to_read(path: Path, *, still: bool) -> sqlite3.Connection:
    """Open a file that stays as it is. Raises `sqlite3.Error`.

    Args:
        path: the file.
        still: nobody begins to use it: without a log beside it, none needs to be made.
    """
    mode = "ro&immutable=1" if still and not path.with_name(f"{path.name}-wal").exists() else "ro"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=30)
    connection.text_factory = bytes
    try:
        # Finds damage that would otherwise be read as replies.
        connection.execute("PRAGMA cell_size_check=ON")
        # Lets SQLite begin with a file of which the end is missing; nothing can be written through this connection.
        connection.execute("PRAGMA writable_schema=ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def every_reply(connection: sqlite3.Connection) -> Iterator[Found]:
    """Yield all replies by their keys. Raises `sqlite3.Error` where one cannot be reached."""
    return (_found(*row) for row in connection.execute(_EVERY))


def replies(connection: sqlite3.Connection) -> Iterator[Found]:
    """Yield the replies that can be reached, of this version of the tables or the first."""
    try:
        table = _table(connection)
    except UNREADABLE:
        return
    if table is not None:
        yield from (_found(*row[1:]) for row in _reached(connection, table))


def _table(connection: sqlite3.Connection) -> _Table | None:
    columns = {row[1] for row in connection.execute("PRAGMA table_info(replies)")}
    if b"checksum" in columns:
        return _Table(_RANGE, int, int, _last_rowid(connection) + 1)
    return _Table(_RANGE_1, _bound, _place, _KEYS) if b"reply" in columns else None


def _last_rowid(connection: sqlite3.Connection) -> int:
    for query in _LAST:
        with suppress(*UNREADABLE):
            return int(connection.execute(query).fetchone()[0] or 0)
    return 100 * int(connection.execute("PRAGMA page_count").fetchone()[0])  # as many as would fit


def _found(key: Any, data: Any, check: Any, endpoint: Any, created: Any) -> Found:  # noqa: ANN401 - may be damaged
    stored = data if isinstance(data, bytes) else b""
    who = endpoint.decode("utf-8", "replace") if isinstance(endpoint, bytes) else ""
    when = created if isinstance(created, float) else time.time()
    row = row_of_data(key if isinstance(key, bytes) else b"", stored, who, when)
    if check is not None and check != row.checksum:
        return Found(row, "does not match its checksum")
    return Found(row, "cannot be understood" if decode(stored) is None else None)


def batches(connection: sqlite3.Connection) -> Iterator[StoredBatch | None]:
    """Yield the open batches that can be reached, None for each that is damaged."""
    try:
        for row in connection.execute(_BATCHES):
            yield batch_of(*row)
    except UNREADABLE:
        return  # version 1 had no such table


def copy(source: Path, target: sqlite3.Connection) -> int:
    """Write the replies and batches of a file that are intact into another store; return how many replies."""
    kept = 0
    try:
        connection = open_to_read(source, still=True)
    except UNREADABLE:
        return 0
    with closing(connection), transaction(target):
        for row in (found.row for found in replies(connection) if found.fault is None):
            target.execute(PUT, row)
            kept += 1
        for batch in batches(connection):
            if batch is not None:
                target.execute(PUT_BATCH, batch_row(batch.id, batch.endpoint, batch.keys, batch.created))
    return kept


def _reached(connection: sqlite3.Connection, table: _Table) -> Iterator[tuple[Any, ...]]:
    """Yield the rows around damaged pages: a range that cannot be read whole is tried in halves."""
    narrowest = max(1, table.end // _MOST_PIECES)
    todo = [(0, table.end)]
    while todo:
        low, high = todo.pop()
        try:
            for row in connection.execute(table.query, (table.bound(low), table.bound(high))):
                # A damaged tree may lead back to where we have been.
                if not low <= table.place(row[0]) < high:
                    raise sqlite3.DatabaseError("the rows are out of order")
                yield row
                low = table.place(row[0]) + 1
        except UNREADABLE:
            if high - low > narrowest:
                middle = (low + high) // 2
                todo += [(middle, high), (low, middle)]


def _place(key: object) -> int:
    if not isinstance(key, bytes):
        return -1
    return int.from_bytes(key[:8].ljust(8, b"\0"), "big")


def _bound(place: int) -> bytes:
    return place.to_bytes(8, "big") if place < _KEYS else b"\xff" * 64
