"""Progress while items wait: a line below pytest's own that comes and goes, or a whole line now and then."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

from pytest_upskill.calls.engine import Watcher
from pytest_upskill.reports.progress import Pace, progress_line
from pytest_upskill.session.screen import Guard, is_screen, size

if TYPE_CHECKING:
    import pytest

    from pytest_upskill.calls.status import Status

# Seconds.
APPEARS = 1.0  # after somebody first waited
EVERY = 0.5  # between two drawings
LINES = 30.0  # between two whole lines
_PATIENCE = 0.1  # of a wait before the line comes, where it would only flicker
_CALM = 0.03  # what stood there for so long did not flicker
_SOON = 0.05
_LONGEST_WRITE = 1.0  # after which pytest is not in the middle of a line any more, though it did not flush

_LINE_WIDTH = 200
_LEAST_COLUMNS = 20
_LEAST_ROWS = 3
# pytest's cursor stands at the end of what it wrote, and stays there: below it and to its right is nothing of
# others. Index and up make sure that there is a row below without moving the column; only then is the place saved,
# for a screen that scrolls would not move the saved place.
_DRAW = "\x1b[K\x1bD\x1b[A\x1b7\r\n{}\x1b[J\x1b8"
_ERASE = "\x1b[J"


def progress(config: pytest.Config, status: Callable[[], Status]) -> Progress | None:
    """Return what shows the progress of this run; None where nobody wants to see it (`-qq`, no reporter)."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if not hasattr(reporter, "_tw") or config.get_verbosity() < -1:
        return None
    # Reporters of others draw for themselves, in ways that are not known here.
    own = type(reporter).__module__ == "_pytest.terminal"
    kind = LiveLine if own and is_screen(reporter._tw._file) else Lines  # noqa: SLF001 - no public way to it
    return kind(config, reporter, status)


class Progress(Watcher, ABC):
    """Shows how far a run is, while somebody waits for a sample, and only then.

    In a single process the main thread alone waits and writes. In xdist's controller the threads of the broker do,
    beside pytest; there every write of pytest's reporter goes through a `Guard`.
    """

    def __init__(
        self,
        config: pytest.Config,
        reporter: Any,  # noqa: ANN401 - any subclass of pytest's
        status: Callable[[], Status],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reporter = reporter
        self._tw = reporter._tw  # noqa: SLF001
        self._file = self._tw._file  # noqa: SLF001
        self._status = status
        self._clock = clock
        self._shared = config.pluginmanager.has_plugin("dsession")
        self._home = threading.get_ident()
        capture = config.pluginmanager.get_plugin("capturemanager")
        # Nothing is captured in xdist's controller while tests run.
        self._uncaptured: Callable[[], AbstractContextManager[None]] = (
            nullcontext if self._shared or capture is None else capture.global_and_fixture_disabled
        )
        self._lock = threading.RLock()
        self._pace = Pace()
        self._over = False

    def end(self) -> None:
        """Leave the terminal to others, for good."""
        with self._lock:
            self._over = True
            if isinstance(self._tw._file, Guard):  # noqa: SLF001
                self._tw._file = self._file  # noqa: SLF001

    def _watch_others(self) -> None:
        self._tw._file = Guard(self._file, self._lock, self._others_write, self._others_flush)  # noqa: SLF001

    @abstractmethod
    def _others_write(self) -> None:
        """Make room for what somebody else writes; called with the lock held."""

    @abstractmethod
    def _others_flush(self) -> None:
        """Hear that somebody else has written all for now; called with the lock held."""

    @property
    def _deaf(self) -> bool:
        # Who waits on another thread than pytest's own, in a single process, must not meddle with its capture.
        return self._over or not (self._shared or threading.get_ident() == self._home)


class LiveLine(Progress):
    """One line below pytest's own. It is gone whenever nobody waits, and before anybody else writes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._waiters: set[int] = set()
        self._began: float | None = None
        self._since = 0.0  # when those who wait now began to
        self._there = False
        self._doubtful = False
        self._came = 0.0
        self._next = 0.0
        self._calm = False
        self._redraw = False
        self._moment: tuple[Status, float | None] | None = None
        self._watch_others()

    def waiting(self) -> float:
        with self._lock:
            if self._deaf:
                return EVERY
            now = self._clock()
            due = self._due(now)
        if now < due:
            return due - now
        status = self._status()  # not under our lock: it may need another
        with self._lock:
            rate = self._pace.add(now, status.done - status.stored)
            if self._waiters and not self._over:
                self._moment = status, rate
                self._next = now + EVERY
                if not self._there and not self._redraw:
                    self._came = now
                self._redraw = False
                self._draw()
        return EVERY

    def waited(self) -> None:
        with self._lock:
            self._waiters.discard(threading.get_ident())
            if not self._waiters:
                if self._there or self._redraw:
                    self._calm = self._clock() - self._came >= _CALM
                self._erase()

    def end(self) -> None:
        with self._lock:
            self._waiters.clear()
            self._erase()
            super().end()

    def _due(self, now: float) -> float:
        if self._began is None:
            self._began = now
            self._pace.add(now, 0)
        if not self._waiters:
            self._since = now
        self._waiters.add(threading.get_ident())
        if self._there:
            return self._next
        # Where samples come faster than the eye follows, the line would only flicker between them.
        return max(self._began + APPEARS, self._since + (0 if self._calm else _PATIENCE))

    def _others_write(self) -> None:
        if self._there and not self._doubtful:
            self._file.write(_ERASE)
            if self._shared:
                self._there = False
                self._redraw = True
            else:
                # Some other thread, beside a test whose output is captured: perhaps this did not reach the terminal.
                self._doubtful = True

    def _others_flush(self) -> None:
        # In the same write to the terminal as their text: nobody sees that it was gone.
        if self._redraw:
            self._redraw = False
            self._draw()

    def _draw(self) -> None:
        # A captured file has no size.
        with self._uncaptured():
            columns, rows = size(self._file)
            if (
                self._moment is None
                or columns < _LEAST_COLUMNS
                or rows < _LEAST_ROWS
                or self._at_edge(columns)
            ):
                self._erase()
                return
            self._there, self._doubtful = True, False
            self._put(_DRAW.format(progress_line(*self._moment, columns - 1)))

    def _erase(self) -> None:
        self._redraw = False
        if self._there:
            with self._uncaptured():
                # The cursor is at the edge only where others wrote, and then the line was erased before.
                if not self._at_edge(size(self._file)[0]):
                    self._put(_ERASE)
            self._there = False

    def _put(self, text: str) -> None:
        # Where the terminal has gone, pytest will say so.
        with suppress(OSError, ValueError):
            self._file.write(text)
            self._file.flush()

    def _at_edge(self, columns: int) -> bool:
        # A full row: the cursor hangs between it and the next one, which cannot be restored.
        column = self._tw.width_of_current_line
        return bool(column > 0 and column % columns == 0)


class Lines(Progress):
    """A whole line now and then, for a log that nobody watches."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._next: float | None = None
        self._writing: float | None = None  # since when pytest is in the middle of its words
        if self._shared:
            self._watch_others()

    def waiting(self) -> float:
        now = self._clock()
        with self._lock:
            if self._deaf:
                return LINES
            if self._next is None:
                self._next = now + LINES
                self._pace.add(now, 0)
            if now < self._next:
                return self._next - now
        status = self._status()  # not under our lock: it may need another
        with self._lock:
            if self._over or now < self._next:
                return LINES
            if self._writing is not None and now - self._writing < _LONGEST_WRITE:
                return _SOON
            self._next = now + LINES
            rate = self._pace.add(now, status.done - status.stored)
            with suppress(OSError, ValueError), self._uncaptured():
                self._say(progress_line(status, rate, _LINE_WIDTH))
        return LINES

    def _others_write(self) -> None:
        self._writing = self._clock()

    def _others_flush(self) -> None:
        self._writing = None

    def _say(self, text: str) -> None:
        # Not `ensure_newline`, which knows nothing of the dots of a run that does not name its files; and the
        # dots go on without the name, as they do on pytest's own second line.
        place = self._reporter.currentfspath
        if self._tw.width_of_current_line:
            self._tw.line()
        self._tw.line(text)
        if self._shared:
            self._reporter.currentfspath = (
                None  # with -v each result begins a line, and stands at one already
            )
        elif isinstance(place, str):
            self._tw.write(place)  # with -v the result follows its node id
        self._tw.flush()
