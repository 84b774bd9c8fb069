"""What is done to a store by hand: looking into it, making it smaller, taking it out, checking and mending it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from pytest_upskill.calls.rows import Row, tidy
from pytest_upskill.calls.salvage import UNREADABLE, batches, damage, every_reply, open_to_read, replies
from pytest_upskill.calls.schema import SCHEMA_VERSION, newer, transaction, version_of
from pytest_upskill.calls.store_file import (
    FILE,
    StoreDamaged,
    StoreError,
    StoreFile,
    alone_with,
    cannot_be_used,
    there,
)
from pytest_upskill.suite.text import shown

FOLDER = ".upskill"
_ENDPOINTS = (
    "SELECT endpoint, COUNT(*), SUM(input_tokens), SUM(output_tokens), MIN(created), MAX(created) FROM replies "
    "GROUP BY endpoint ORDER BY endpoint"
)
_MOST_LINES = 20


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The replies of one endpoint: tokens as far as they are known, times in seconds since 1970."""

    name: str
    replies: int
    input_tokens: int | None
    output_tokens: int | None
    oldest: float
    newest: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What a store holds; `size` is in bytes."""

    size: int
    schema: int
    endpoints: tuple[Endpoint, ...]
    batches: int

    @property
    def replies(self) -> int:
        return sum(endpoint.replies for endpoint in self.endpoints)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed, of how many replies, and how many bytes smaller the files are."""

    removed: int
    replies: int
    batches: int
    freed: int


@dataclass(frozen=True, slots=True)
class Verified:
    """How many replies are as they were written, and what is wrong, in whole sentences."""

    intact: int
    wrong: tuple[str, ...]


def find_store(folder: Path | None, start: Path) -> Path:
    """Return the store of a folder, or where none is named that of the nearest `.upskill` from `start` upward.

    Raises:
        StoreError: there is none.
    """
    if folder is None:
        places = [above / FOLDER / FILE for above in (start, *start.parents)]
        found = next((path for path in places if there(path)), None)
        if found is None:
            raise StoreError(
                f"no store: neither {start} nor a folder above it has {FOLDER}/{FILE}: a test run makes it, or name "
                "its folder with --cache-dir"
            )
        return found
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{shown(folder)}: not a folder: --cache-dir names the folder that holds {FILE}")
    if not there(folder / FILE):
        raise StoreError(f"{shown(folder)}: no {FILE} in it: --cache-dir names the folder of a store")
    return folder / FILE


def summary(file: StoreFile) -> Summary:
    """Say what a store holds. Raises `StoreError`."""
    with _opened(file) as connection:
        endpoints = tuple(Endpoint(name.decode(), *rest) for name, *rest in connection.execute(_ENDPOINTS))
        waiting = connection.execute("SELECT COUNT(*) FROM batches").fetchone()[0]
        version = version_of(connection)
    return Summary(_size(file.path), version, endpoints, waiting)


def prune(file: StoreFile, before: float) -> Pruned:
    """Remove replies and open batches that are older than a time (seconds since 1970), and give their space back.

    Raises:
        StoreError: the store cannot be used, or another process writes for too long.
    """
    size = _size(file.path)
    with _opened(file) as connection:
        count = connection.execute("SELECT COUNT(*) FROM replies").fetchone()[0]
        with transaction(connection):
            removed = connection.execute("DELETE FROM replies WHERE created < ?", (before,)).rowcount
            gone = connection.execute("DELETE FROM batches WHERE created < ?", (before,)).rowcount
        if removed or gone:
            connection.execute("VACUUM")
            # The smaller file is in the log until it is brought over.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return Pruned(removed, count, gone, max(0, size - _size(file.path)))


def exported(file: StoreFile) -> Iterator[str | None]:
    """Yield each reply as a line of JSON, sorted by key; None for one that is damaged. Raises `StoreError`."""
    with _opened(file) as connection:
        for found in every_reply(connection):
            yield None if found.fault else _line(found.row)


def verify(path: Path) -> Verified:
    """Check a file and every reply in it, without changing it; it need not have the name of a store.

    Raises:
        StoreError: there is no such file, or it is a newer version's.
    """
    if not path.is_file():
        raise StoreError(f"{shown(path)}: {'not a file' if path.exists() else 'no such file'}")
    try:
        with closing(_opened_to_read(path)) as connection:
            version = version_of(connection)
            if version > SCHEMA_VERSION:
                raise StoreError(f"{shown(path)}: {newer(version)}")
            if version == 0:
                return Verified(0, (f"{shown(path)}: not a store: it has no table of replies",))
            return _verified(shown(path), connection)
    except UNREADABLE as error:
        return Verified(0, (f"{shown(path)}: cannot be read at all: {damage(error) or error}",))


def mend(file: StoreFile) -> None:
    """Move a store aside and begin a new one with what is intact. Raises `StoreError`."""
    try:
        opened = file.open()
    except StoreDamaged:
        opened = file.open_mended()
        opened.connection.close()
    else:
        opened.connection.close()
        file.mend(opened, "found by verify")


@contextmanager
def _opened(file: StoreFile) -> Iterator[sqlite3.Connection]:
    opened = file.open()
    try:
        with closing(opened.connection):
            yield opened.connection
    except UNREADABLE as error:
        why = damage(error)
        raise (StoreDamaged(file.path, why) if why else cannot_be_used(file.path, error)) from None


def _opened_to_read(path: Path) -> sqlite3.Connection:
    # A file that bears the name of a store may be moved while we open it.
    used = path.name == FILE
    with alone_with(path) if used else nullcontext():
        connection = open_to_read(path, still=not used)
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        return connection


def _verified(name: str, connection: sqlite3.Connection) -> Verified:
    wrong = [f"{name}: SQLite finds damage: {line}" for line in _integrity(connection)]
    intact = 0
    for row, fault in replies(connection):
        if fault is None:
            intact += 1
        else:
            who = f" of {row.endpoint}" if row.endpoint else ""
            wrong.append(f"{name}: the reply {row.key.hex()[:16]}{who} {fault}")
    wrong += [
        f"{name}: an open batch does not match its checksum" for batch in batches(connection) if batch is None
    ]
    return Verified(intact, tuple(wrong))


def _integrity(connection: sqlite3.Connection) -> list[str]:
    try:
        found = [
            row[0].decode("utf-8", "replace")
            for row in connection.execute(f"PRAGMA integrity_check({_MOST_LINES})")
        ]
    except UNREADABLE as error:
        return [damage(error) or str(error)]
    return [line.replace("\n", " ") for line in found if line != "ok"]


def _line(row: Row) -> str:
    entry = {
        "key": row.key.hex(),
        "endpoint": row.endpoint,
        "created": row.created,
        "reply": json.loads(row.reply),
    }
    text = json.dumps(entry, ensure_ascii=False)
    # Half of a surrogate pair has no UTF-8, but has a JSON escape.
    return text if tidy(text) == text else json.dumps(entry)


def _size(path: Path) -> int:
    parts = (path, path.with_name(f"{path.name}-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())
