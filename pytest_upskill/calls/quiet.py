"""Keeping what happens on the engine's thread out of the test that happens to run.

pytest's capture of logging and warnings is global to the process: without this, what an SDK logs or warns
of while it serves one sample would land in another test, and raise under `-W error`.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_NOTES: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar(
    "pytest_upskill_notes", default=None
)
_MOST_NOTES = 50


@contextmanager
def notes() -> Iterator[list[str]]:
    """Collect what is logged or warned of by this task and those that it starts."""
    collected: list[str] = []
    token = _NOTES.set(collected)
    try:
        yield collected
    finally:
        _NOTES.reset(token)


def _note(text: str) -> None:
    collected = _NOTES.get()
    if collected is not None and len(collected) < _MOST_NOTES:
        collected.append(text)


class Quiet:
    """Diverts the log records and the warnings of one thread into the notes of its samples."""

    def __init__(self) -> None:
        self.thread: int | None = None
        self._entry = ("ignore", self, Warning, None, 0)
        self._handlers: list[logging.Handler] = []

    def _ours(self) -> bool:
        # Work that a sample hands to another thread, such as an import, carries the sample's context.
        return threading.get_ident() == self.thread or _NOTES.get() is not None

    # The two duck types below are what `logging` and `warnings` ask: a filter, and a compiled pattern.

    def filter(self, record: logging.LogRecord) -> bool:
        if not self._ours():
            return True
        if record.levelno >= logging.WARNING:
            _note(f"{record.levelname} {record.name}: {record.getMessage()}")
        return False

    def match(self, text: str) -> bool:
        if not self._ours():
            return False
        _note(f"WARNING {text}")
        return True

    def hush_logging(self) -> None:
        """Divert what would reach the root logger's handlers; to be repeated where pytest adds its own."""
        for handler in logging.root.handlers:
            if self not in handler.filters:
                handler.addFilter(self)
                self._handlers.append(handler)

    def hush_warnings(self) -> None:
        """Put our filter in front; to be repeated inside each `catch_warnings` that pytest opens."""
        filters = self._filters()
        if not filters or filters[0] is not self._entry:
            filters.insert(0, self._entry)

    def restore(self) -> None:
        for handler in self._handlers:
            handler.removeFilter(self)
        self._handlers.clear()
        filters = self._filters()
        while self._entry in filters:
            filters.remove(self._entry)

    @staticmethod
    def _filters() -> list[object]:
        return warnings.filters  # type: ignore[return-value]  # typeshed calls it a Sequence of plain tuples
