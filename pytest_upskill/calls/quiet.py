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
_NOTED = "_upskill_noted"


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


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit: logging itself would not raise either
        return str(record.msg)


class Quiet:
    """Diverts the log records and the warnings of one thread into the notes of its samples."""

    def __init__(self) -> None:
        self.thread: int | None = None
        self._entry = ("ignore", self, Warning, None, 0)
        self._handlers: list[logging.Handler] = []
        self._outermost: list[object] | None = None

    def _ours(self) -> bool:
        # Work that a sample hands to another thread, such as an import, carries the sample's context.
        return threading.get_ident() == self.thread or _NOTES.get() is not None

    # The two duck types below are what `logging` and `warnings` ask: a filter, and a compiled pattern.

    def filter(self, record: logging.LogRecord) -> bool:
        if not self._ours():
            return True
        if record.levelno >= logging.WARNING and not hasattr(record, _NOTED):
            setattr(record, _NOTED, True)  # each handler asks, and one note is enough
            _note(f"{record.levelname} {record.name}: {_message(record)}")
        return False

    def match(self, text: str) -> bool:
        if not self._ours():
            return False
        _note(f"WARNING {text}")
        return True

    def hush_logging(self) -> None:
        """Divert what would reach the root logger's handlers; to be repeated where pytest adds its own."""
        for handler in (*logging.root.handlers, logging.lastResort):
            if handler is not None and self not in handler.filters:
                handler.addFilter(self)
                self._handlers.append(handler)

    def hush_warnings(self) -> None:
        """Put our filter in front; to be repeated inside each `catch_warnings` that pytest opens."""
        filters = self._filters()
        if not filters or filters[0] is not self._entry:
            filters.insert(0, self._entry)
        if self._outermost is None:
            self._outermost = filters

    def restore(self) -> None:
        """Leave logging and warnings as they were found."""
        for handler in self._handlers:
            handler.removeFilter(self)
        self._handlers.clear()
        # A `catch_warnings` that was entered since then brings the list back in which we began.
        for filters in (self._filters(), self._outermost or []):
            filters[:] = [entry for entry in filters if entry is not self._entry]
        self._outermost = None
        self.thread = None

    @staticmethod
    def _filters() -> list[object]:
        return warnings.filters  # type: ignore[return-value]  # typeshed calls it a Sequence of plain tuples
