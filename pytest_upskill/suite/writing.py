"""Writing a file that is committed."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def write_whole(path: Path, data: bytes) -> bool:
    """Write a file of which nobody ever sees a half, and tell whether it was written.

    One that says so already is left untouched. Raises `OSError`.
    """
    if path.is_file() and path.read_bytes() == data:
        return False
    # In the same folder, for a rename must not cross file systems.
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with new.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
    return True
