"""Locks on files, which the kernel lets go when a process dies."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PAUSE = 0.02  # seconds between two looks, where the kernel does not wait itself
_HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a lock file: no other process and no other thread does at the same time.

    Without effect on a file system that knows no locks.

    Raises:
        OSError: the file cannot be made.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with suppress(OSError):
            _lock_whole(descriptor)
        yield
    finally:
        # A child that was forked in between has the descriptor too: closing ours would not be enough.
        with suppress(OSError):
            _unlock_whole(descriptor)
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    # The C library's positions are of 32 bits with a sign.
    PLACES = 2**31 - 1

    def lock_byte(descriptor: int, place: int) -> bool:
        """Lock one byte without waiting; False where somebody has it. Raises OSError where nothing can be locked."""
        os.lseek(descriptor, place, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in _HELD:
                return False
            raise
        return True

    def unlock_byte(descriptor: int, place: int) -> None:
        """Let go of one byte."""
        os.lseek(descriptor, place, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

    def _lock_whole(descriptor: int) -> None:
        while not lock_byte(descriptor, 0):
            time.sleep(_PAUSE)

    def _unlock_whole(descriptor: int) -> None:
        unlock_byte(descriptor, 0)

else:
    import fcntl

    PLACES = 2**63 - 1

    def lock_byte(descriptor: int, place: int) -> bool:
        """Lock one byte without waiting; False where somebody has it. Raises OSError where nothing can be locked."""
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError as error:
            if error.errno in _HELD:
                return False
            raise
        return True

    def unlock_byte(descriptor: int, place: int) -> None:
        """Let go of one byte."""
        fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, place)

    def _lock_whole(descriptor: int) -> None:
        # `flock` and not `lockf`, which does not keep the threads of one process apart.
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def _unlock_whole(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
