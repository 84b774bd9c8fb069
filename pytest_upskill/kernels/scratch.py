"""Private folders for what sandboxed programs write, and how they are removed whatever was left there."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """Yield the real path of a new folder that only this user reaches; remove it with all that lies there then.

    A program that worked there may have left links that lead out, folders that are closed to their owner, and more of
    them in one another than there are descriptors. Nothing is reached by a path while they are removed, for Python's
    own `TemporaryDirectory` follows links there in versions before 3.11.8 and 3.12.1 (CVE-2023-6597). What cannot be
    removed stays.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
    try:
        yield folder
    finally:
        with suppress(OSError):
            _remove(folder)


def _remove(folder: Path) -> None:
    top = _opened(str(folder), None)
    try:
        waiting = _cleared(top)
        while waiting:
            name = waiting.pop()
            with suppress(OSError):
                waiting += _lifted(name, top)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    folder.rmdir()


def _lifted(name: str, top: int) -> list[str]:
    """Empty a folder: its own folders are moved to the top, under the names that are returned."""
    folder = _opened(name, top)
    lifted = []
    try:
        for inner in _cleared(folder):
            with suppress(OSError):
                # A folder can only be moved where it is open to its owner.
                os.close(_opened(inner, folder))
                lifted.append(secrets.token_hex(16))
                os.rename(inner, lifted[-1], src_dir_fd=folder, dst_dir_fd=top)
    finally:
        os.close(folder)
    return lifted


def _cleared(folder: int) -> list[str]:
    """Remove all but folders, and return the names of these."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
                continue
            with suppress(OSError):
                os.unlink(entry.name, dir_fd=folder)
    return folders


def _opened(name: str, above: int | None) -> int:
    """Return a descriptor of a folder, which is opened to its owner first. Raises `OSError` where it is none."""
    try:
        folder = os.open(name, os.O_RDONLY | _FOLDER, dir_fd=above)
    except PermissionError:
        _reopen(name, above)
        folder = os.open(name, os.O_RDONLY | _FOLDER, dir_fd=above)
    with suppress(OSError):
        os.fchmod(folder, 0o700)
    return folder


def _reopen(name: str, above: int | None) -> None:
    """Open a folder that even its owner cannot read, by a descriptor: the name of a link would lead elsewhere."""
    place = os.open(name, os.O_PATH | _FOLDER, dir_fd=above)
    try:
        os.chmod(f"/proc/self/fd/{place}", 0o700)  # noqa: PTH101 - a descriptor, which has no other name
    finally:
        os.close(place)
