"""Landlock, the part that is data: which rights the kernel knows, and which a command gets where."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable

# Without the third version O_TRUNC and truncate would empty any file of the user.
OLDEST = 3
# From the sixth on a domain keeps its signals and abstract sockets to itself.
SCOPED = 6

# linux/landlock.h: LANDLOCK_ACCESS_FS_*.
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_DIR, _MAKE_REG, _MAKE_FIFO, _MAKE_SYM = 1 << 7, 1 << 8, 1 << 10, 1 << 12
_REFER, _TRUNCATE, _IOCTL = 1 << 13, 1 << 14, 1 << 15
READ = _EXECUTE | _READ_FILE | _READ_DIR
# No sockets and no device nodes: nothing that outlives the folder's limits or leads elsewhere.
_MAKE = _MAKE_DIR | _MAKE_REG | _MAKE_FIFO | _MAKE_SYM
WRITE = READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE | _REFER | _TRUNCATE
USE = _READ_FILE | _WRITE_FILE | _IOCTL
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
_BIND_AND_CONNECT, _ABSTRACT_AND_SIGNALS = 3, 3


def ruleset(abi: int) -> bytes:
    """Return `struct landlock_ruleset_attr` with all that the kernel's version handles."""
    files = (1 << (16 if abi >= 5 else 15)) - 1
    parts = [files]
    if abi >= 4:
        parts.append(_BIND_AND_CONNECT)
    if abi >= SCOPED:
        parts.append(_ABSTRACT_AND_SIGNALS)
    return struct.pack(f"<{len(parts)}Q", *parts)


def rules(abi: int, grants: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return (path, rights) for what is there, with the rights that such a file can have in this version."""
    found = []
    for path, rights in grants:
        try:
            mode = os.stat(path).st_mode  # noqa: PTH116 - str in, str out: it goes into a plan
        except OSError:
            continue
        known = rights if abi >= 5 else rights & ~_IOCTL
        found.append((path, known if stat.S_ISDIR(mode) else known & _OF_FILES))
    return found
