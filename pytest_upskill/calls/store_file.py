"""The store's file: begun, brought to this version, and mended. One process at a time does any of that."""

from __future__ import annotations

import os
import shlex
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_upskill.calls.locks import alone
from pytest_upskill.calls.salvage import UNREADABLE, copy, damage
from pytest_upskill.calls.schema import OtherTables, prepare
from pytest_upskill.errors import UpskillError

FILE = "store.sqlite3"
LOCK = "store.lock"
_ELSEWHERE = "move it away, or name another folder with --upskill-cache-dir"
_PATIENCE = 30  # seconds to wait while another process writes
# A database in WAL mode is all of these.
_PARTS = ("", "-wal", "-shm")

Notice = Callable[[str], None]


class StoreError(UpskillError):
    """The store cannot be used."""


def cannot_be_used(path: Path, error: Exception) -> StoreError:
    """Return the error for a file with which SQLite cannot work."""
    return StoreError(f"{path}: cannot be used as a store: {error}; {advice(error)}")


def advice(error: Exception) -> str:
    """Return what can be done about an error of SQLite."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return "make room, or name another folder with --upskill-cache-dir"
    if code == sqlite3.SQLITE_BUSY:
        return "another process keeps it locked: try again when that has ended"
    return _ELSEWHERE


class StoreDamaged(StoreError):
    """The file is not what SQLite wrote; `why` is SQLite's own word."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path}: damaged ({why}): `pytest-upskill cache verify --mend` keeps what can be read"
        )
        self.why = why


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection, and which file it was that it was opened to."""

    connection: sqlite3.Connection
    path: Path
    identity: tuple[int, int] | None

    def stale(self) -> bool:
        """Tell whether another file has taken the place of the one that is open."""
        return _identity(self.path) != self.identity


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """Keep everybody else from opening or moving a store. Raises `StoreError`."""
    folder = path.parent
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            ignore = folder / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", encoding="utf-8")
            stack.enter_context(alone(folder / LOCK))
        except OSError as error:
            raise StoreError(
                f"{folder}: cannot be written: {error.strerror}; name another folder with --upskill-cache-dir"
            ) from None
        yield


class StoreFile:
    """The file at `path`. Any thread and process.

    It is opened, and moved, only under the lock beside it: SQLite finds the log of a database by its name, so that
    no file may take the place of one that is just being opened.
    """

    def __init__(self, path: Path, notice: Notice) -> None:
        self.path = path
        self._notice = notice
        self._marker = _marker(path)

    def open(self) -> Opened:
        """Open the file; one that is not there is made, one of an older version is brought to this one.

        Raises:
            StoreError: it cannot be used; `StoreDamaged` where it can be mended.
        """
        with alone_with(self.path):
            return self._open()

    def open_mended(self) -> Opened:
        """Open the file as `open` does; one that is damaged is mended before."""
        with alone_with(self.path):
            try:
                return self._open()
            except StoreDamaged as error:
                self._mend(error.why)
                return self._open()

    def mend(self, opened: Opened, why: str) -> None:
        """Move a damaged file aside, begin a new one with what can be read, and say so.

        Args:
            opened: by which the damage was found. Where another file stands there now, somebody has mended it.
            why: SQLite's own word.
        """
        with alone_with(self.path):
            if not opened.stale():
                self._mend(why)

    def _open(self) -> Opened:
        if not self.path.exists():
            self._begin()
        elif self.path.is_file() and self.path.stat().st_size == 0:
            # SQLite would take it for a new one. Ours is never empty: it gets its name when it is whole.
            raise StoreDamaged(self.path, "file is empty")
        identity = _identity(self.path)
        try:
            connection = _connect(self.path)
            try:
                _prepare_patiently(connection)
            except BaseException:
                connection.close()
                raise
        except OtherTables as error:
            raise StoreError(f"{self.path}: {error}: {_ELSEWHERE}") from None
        except UNREADABLE as error:
            why = damage(error)
            raise (StoreDamaged(self.path, why) if why else cannot_be_used(self.path, error)) from None
        return Opened(connection, self.path, identity)

    def _begin(self) -> None:
        try:
            name, why = self._marker.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            self._build(None)
        else:
            self._begin_from(self.path.with_name(name), why)

    def _mend(self, why: str) -> None:
        stamp = f"{self.path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%S')}"
        names = (stamp, *(f"{stamp}-{number}" for number in range(2, 1000)))
        free = (
            name for name in names if not any(self.path.with_name(name + part).exists() for part in _PARTS)
        )
        target = self.path.with_name(next(free))
        try:
            _write_through(self._marker, f"{target.name}\n{why}\n")
        except OSError as error:
            raise self._unmendable(why, error.strerror) from None
        self._begin_from(target, why)

    def _begin_from(self, target: Path, why: str) -> None:
        try:
            for part in _PARTS:
                old = self.path.with_name(self.path.name + part)
                if old.exists():
                    old.rename(target.with_name(target.name + part))
        except OSError as error:
            raise self._unmendable(why, error.strerror) from None
        kept = self._build(target)
        self._marker.unlink(missing_ok=True)
        look = f"pytest-upskill cache verify {shlex.quote(str(target))}"
        self._notice(
            f"{self.path}: damaged ({why}), and moved to {target.name}; a new store was begun with {_counted(kept)} "
            f"that could still be read, and what else it held is asked for again; `{look}` says what is wrong with it"
        )

    def _build(self, source: Path | None) -> int:
        """Make the file with what can be read of another; it gets its name when it is whole and on the disk."""
        new = self.path.with_name(f"{self.path.name}.new")
        try:
            # Where somebody took a database away and left its log, SQLite would apply that to the next one.
            for path in (self.path, new):
                _clear(path)
            # Without a log beside it: two files could not be renamed at once.
            with closing(_connect(new)) as connection:
                prepare(connection)
                kept = copy(source, connection) if source else 0
            new.replace(self.path)
        except sqlite3.Error as error:
            raise cannot_be_used(self.path, error) from None
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be made: {error.strerror}; {_ELSEWHERE}") from None
        return kept

    def _unmendable(self, why: str, reason: str | None) -> StoreError:
        return StoreError(
            f"{self.path}: damaged ({why}), and cannot be moved aside: {reason}; end other test runs that use it, or "
            "name another folder with --upskill-cache-dir"
        )


def _clear(path: Path) -> None:
    for part in (*_PARTS, "-journal"):
        path.with_name(path.name + part).unlink(missing_ok=True)


def _write_through(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def there(path: Path) -> bool:
    """Tell whether there is a store, be it one whose mending was interrupted."""
    return path.exists() or _marker(path).exists()


def _marker(path: Path) -> Path:
    # Names the damaged file for as long as there is no new one: a mending that is killed is taken up again.
    return path.with_name(f"{path.name}.mending")


def _counted(kept: int) -> str:
    return "1 reply" if kept == 1 else f"{kept or 'no'} replies"


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - asked at every miss, and pathlib takes twice as long
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    # A damaged text must not raise what the module raises for one: it is judged by its checksum.
    connection.text_factory = bytes
    return connection


def _prepare_patiently(connection: sqlite3.Connection) -> None:
    # SQLite does not wait by itself where the log is just being made or removed by another process.
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            return prepare(connection)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.005)
