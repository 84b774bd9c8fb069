"""The tables of the store, and how those of an older version become those of this one."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pytest_upskill.calls.rows import PUT, row_of_data

SCHEMA_VERSION = 2
# With rowids, and with what is small before the reply: a search reads few pages, and a damaged page takes few rows
# with it.
_TABLES = (
    "CREATE TABLE replies (key BLOB NOT NULL UNIQUE, created REAL NOT NULL, endpoint TEXT NOT NULL, "
    "input_tokens INTEGER, output_tokens INTEGER, latency REAL, checksum INTEGER NOT NULL, reply BLOB NOT NULL)",
    "CREATE INDEX replies_of_endpoint ON replies (endpoint, created, input_tokens, output_tokens, latency)",
    "CREATE TABLE batches (endpoint TEXT NOT NULL, id TEXT NOT NULL, created REAL NOT NULL, checksum INTEGER NOT NULL, "
    "keys TEXT NOT NULL, UNIQUE (endpoint, id))",
)


class OtherTables(Exception):
    """The tables are of a newer version, or of another program; the text says which."""


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write all of the block or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # some errors have ended it already
            connection.execute("ROLLBACK")
        raise


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty file, or bring older ones to this version, in one transaction.

    Raises:
        OtherTables: they cannot be used.
        sqlite3.Error: the file cannot.
    """
    if version_of(connection) == SCHEMA_VERSION:
        return
    with transaction(connection):
        version = version_of(connection)  # another process may have done it in the meantime
        if version == 0:
            _begin(connection)
        elif version == 1:
            _migrate(connection)
        elif version != SCHEMA_VERSION:
            raise OtherTables(newer(version))


def newer(version: int) -> str:
    """Return in words that tables cannot be read for their version."""
    return f"written by another version of pytest-upskill (schema {version}, this one reads {SCHEMA_VERSION})"


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of the tables: 0 in a file that has none of ours. Raises `sqlite3.Error`."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _begin(connection: sqlite3.Connection) -> None:
    if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        raise OtherTables("a database of another program")
    _make_tables(connection)


def _make_tables(connection: sqlite3.Connection) -> None:
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _migrate(connection: sqlite3.Connection) -> None:
    # When its replies were made, version 1 does not say: they are as old as the move, so that none is pruned too early.
    now = time.time()
    connection.execute("ALTER TABLE replies RENAME TO replies_1")
    _make_tables(connection)
    for key, data in connection.execute("SELECT key, reply FROM replies_1"):
        connection.execute(PUT, row_of_data(key, data, "", now))
    connection.execute("DROP TABLE replies_1")
