"""Claims: of the processes that share a store, one at a time makes the call for a key."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from pytest_upskill.calls.locks import PLACES, lock_byte, unlock_byte
from pytest_upskill.calls.store import Store
from pytest_upskill.types import Reply

FILE = "claims.lock"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25  # seconds


class _LockFile:
    """The one descriptor that this process has of a lock file, and the places that it has locked.

    The kernel keeps these locks by process and file: it would grant one twice to a process, and lets go of all as soon
    as the process closes *any* descriptor of the file. So this is kept by process and file as well.
    """

    _files: ClassVar[dict[Path, _LockFile]] = {}
    _guard: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, path: Path) -> None:
        self._path = path
        self._users = 0
        self._held: set[int] = set()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            # Without claims a call may be made twice, and nothing is lost: no reason to end a run.
            self._descriptor = None

    @classmethod
    def of(cls, path: Path) -> _LockFile:
        with cls._guard:
            path = path.resolve()
            file = cls._files.get(path)
            if file is None:
                file = cls._files[path] = cls(path)
            file._users += 1
            return file

    def lock(self, place: int) -> bool:
        with self._guard:
            if place in self._held or not self._locked(place):
                return False
            self._held.add(place)
            return True

    def unlock(self, place: int) -> None:
        with self._guard:
            self._held.discard(place)
            if self._descriptor is not None:
                with suppress(OSError):
                    unlock_byte(self._descriptor, place)

    def leave(self) -> None:
        with self._guard:
            self._users -= 1
            if self._users == 0:
                self._files.pop(self._path, None)
                if self._descriptor is not None:
                    os.close(self._descriptor)

    def _locked(self, place: int) -> bool:
        if self._descriptor is None:
            return True
        try:
            return lock_byte(self._descriptor, place)
        except OSError:  # a file system that knows no locks
            return True


class Claims:
    """Claims on keys in a store's folder. The kernel lets go of those of a process that dies. Any thread."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._file: _LockFile | None = None
        self._mine: set[int] = set()

    def take(self, key: bytes) -> bool:
        """Claim a key, without waiting; False where it is claimed, by another process or by this one.

        True without any effect on others where the file system knows no locks.
        """
        if self._file is None:
            self._file = _LockFile.of(self._path)
        place = _place(key)
        taken = self._file.lock(place)
        if taken:
            self._mine.add(place)
        return taken

    def has(self, key: bytes) -> bool:
        """Tell whether a key is claimed here."""
        return _place(key) in self._mine

    def release(self, key: bytes) -> None:
        """Let go of a key, once its reply is in the store or will not come; nothing happens to a key of others."""
        self._release(_place(key))

    def close(self) -> None:
        """Let go of all keys."""
        for place in list(self._mine):
            self._release(place)
        file, self._file = self._file, None
        if file is not None:
            file.leave()

    def _release(self, place: int) -> None:
        if place in self._mine and self._file is not None:
            self._mine.discard(place)
            self._file.unlock(place)


def _place(key: bytes) -> int:
    # Keys are digests: two of them that meet in one place are a matter of waiting, and hardly ever happen.
    return int.from_bytes(key[:8].ljust(8, b"\0"), "big") % PLACES


async def claimed(claims: Claims, store: Store, key: bytes, patience: float) -> Reply | None:
    """Wait for the reply that another process is getting, `patience` seconds at most: it may have been stopped.

    Returns:
        The reply as soon as it is in the store, or None when the call is to be made here. The claim is ours then, to
        be released after it, unless our patience was over.

    Raises:
        StoreError: the store cannot be used.
    """
    pause, waited = _FIRST_PAUSE, 0.0
    while not claims.take(key):
        if waited >= patience:
            return None
        await asyncio.sleep(pause)
        # Not by a clock: a machine or a process that sleeps must not call as soon as it wakes up.
        waited += pause
        pause = min(1.5 * pause, _LONGEST_PAUSE)
        reply = store.get(key)
        if reply is not None:
            return reply
    # Whoever had it may have written the reply between our last look and our claim.
    try:
        reply = store.get(key)
    except BaseException:
        claims.release(key)
        raise
    if reply is not None:
        claims.release(key)
    return reply
