"""The terminal that pytest writes to: whether it obeys, how big it is, and who else writes to it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any


def is_screen(file: Any) -> bool:  # noqa: ANN401 - what pytest writes to
    """Tell whether a file is a terminal on which a line can be erased, with a person in front of it."""
    if not file.isatty() or os.environ.get("CI") or os.environ.get("BUILD_NUMBER"):
        return False
    if sys.platform == "win32":
        return _console_obeys(file)
    return os.environ.get("TERM", "") not in ("", "dumb", "unknown")


if sys.platform == "win32":

    def _console_obeys(file: Any) -> bool:  # noqa: ANN401
        import ctypes
        import msvcrt

        mode = ctypes.c_ulong()
        handle = msvcrt.get_osfhandle(file.fileno())
        # ENABLE_VIRTUAL_TERMINAL_PROCESSING; colorama turns it on for pytest where it can.
        return bool(ctypes.windll.kernel32.GetConsoleMode(handle, ctypes.byref(mode)) and mode.value & 4)


def size(file: Any) -> tuple[int, int]:  # noqa: ANN401
    """Return columns and rows of the terminal that a file is, as they are now."""
    try:
        found = os.get_terminal_size(file.fileno())
    except (OSError, ValueError):
        return shutil.get_terminal_size()
    return found if found.columns and found.lines else shutil.get_terminal_size()


class Guard:
    """pytest's output file, as its writer sees it: whoever writes is announced before, under our lock."""

    def __init__(
        self,
        file: Any,  # noqa: ANN401 - whatever pytest writes to
        lock: AbstractContextManager[Any],
        before: Callable[[], None],
        flushed: Callable[[], None],
    ) -> None:
        self._file = file
        self._lock = lock
        self._before = before
        self._flushed = flushed

    def write(self, text: str) -> int:
        with self._lock:
            self._before()
            return int(self._file.write(text))

    def flush(self) -> None:
        with self._lock:
            self._flushed()
            self._file.flush()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - all else is the file's own
        return getattr(self._file, name)
