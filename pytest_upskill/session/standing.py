"""How far the run is, counted as samples come."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from pytest_upskill.calls.status import Status

if TYPE_CHECKING:
    from pytest_upskill.calls.attempts import Traffic
    from pytest_upskill.calls.budget import Budget
    from pytest_upskill.calls.engine import Engine

_WORTH_SAYING = 1.0  # seconds; at a learnt pace each call waits for a moment


class Standing:
    """Makes the status of a run; each sample is looked at once. Any thread."""

    def __init__(self) -> None:
        self.total = 0
        self._lock = threading.Lock()
        self._since: float | None = None
        self._counted = 0
        self._stored = 0

    def begin(self) -> None:
        """Take note that a sample was asked for."""
        if self._since is None:
            self._since = time.monotonic()

    def status(self, engine: Engine, traffic: Traffic, budget: Budget) -> Status:
        means = None if engine.measurer is None else engine.measurer.means
        nothing = (0.0, "")
        waiting, cause = nothing if means is None else engine.look(means.limits.waiting, nothing)
        if waiting < _WORTH_SAYING:
            waiting, cause = 0.0, ""
        return Status(
            done=len(engine.finished),
            total=self.total,
            in_flight=traffic.in_flight,
            calls=traffic.calls,
            stored=self._count(engine),
            spent=None if budget.unpriced else budget.spent,
            waiting=waiting,
            cause=cause,
            running=0.0 if self._since is None else time.monotonic() - self._since,
            batches="" if means is None else means.words(),
        )

    def _count(self, engine: Engine) -> int:
        with self._lock:
            while self._counted < len(engine.finished):
                self._stored += engine.outcomes[engine.finished[self._counted]].cached
                self._counted += 1
            return self._stored
