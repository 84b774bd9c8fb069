"""The words of the progress: how far a run is, in one line of plain ASCII."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

from pytest_upskill.calls.status import Status
from pytest_upskill.errors import one_line

_RECENT = 30.0  # seconds
_FEWEST = 10  # calls of which a rate is made, where they take longer than that


class Pace:
    """The rate of recent calls; replies that were there before count for nothing."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def add(self, now: float, called: int) -> float | None:
        """Take note that `called` samples got their reply by a call until `now` (in seconds).

        Returns:
            Calls a second, None where too little is known.
        """
        if not self._marks or called > self._marks[-1][1]:
            self._marks.append((now, called))
        while len(self._marks) > 1 and self._superfluous(now, called):
            self._marks.popleft()
        since, before = self._marks[0]
        return (called - before) / (now - since) if called > before and now - since >= 1 else None

    def _superfluous(self, now: float, called: int) -> bool:
        when, before = self._marks[1]
        return now - when >= _RECENT and called - before >= _FEWEST


def progress_line(status: Status, rate: float | None, width: int) -> str:
    """Return how far a run is, in one line of at most `width` columns; what matters least is left out first.

    Args:
        status: the moment.
        rate: calls a second, None when unknown.
        width: in columns.
    """
    line = ""
    for line in _ever_shorter(status, rate):
        if len(line) <= width:
            return line
    return line[: max(width, 0)]


def _ever_shorter(status: Status, rate: float | None) -> Iterator[str]:
    known = status.total >= status.done and status.total > 0
    total = f" of {status.total}" if known else ""
    facts = {
        "in flight": f"{status.in_flight} in flight" if status.in_flight else "",
        "rate": _rate(rate) if rate else "",
        "spent": _dollars(status.spent) if status.spent else "",
        # How long a batch takes, no call tells.
        "left": f"about {span((status.total - status.done) / rate)} left"
        if rate and known and not status.batches
        else "",
        "waiting": f"waiting on limits for {span(status.waiting)}" if status.waiting > 0 else "",
        "cause": f": {_plain(status.cause)}" if status.waiting > 0 and status.cause else "",
        "batches": _plain(status.batches),
    }
    if status.done == status.total:
        facts["left"] = ""
    yield _joined(f"{status.done}{total} samples", facts)
    facts["left"] = facts["left"].removeprefix("about ")
    head = f"{status.done}/{status.total}" if known else str(status.done)
    yield _joined(head, facts)
    for least in ("cause", "rate", "spent", "in flight", "batches", "left", "waiting"):
        facts[least] = ""
        yield _joined(head, facts)


def _joined(head: str, facts: dict[str, str]) -> str:
    numbers = [head, *(facts[name] for name in ("in flight", "rate", "spent", "left"))]
    parts = [", ".join(filter(None, numbers)), facts["waiting"] + facts["cause"], facts["batches"]]
    return "upskill: " + "; ".join(filter(None, parts))


def _plain(text: str) -> str:
    # A terminal may not have the letters, and some of them are two columns wide.
    return one_line(text).encode("ascii", "backslashreplace").decode()


def _rate(rate: float) -> str:
    if rate >= 9.95:
        return f"{rate:.0f}/s"
    return f"{rate:.1f}/s" if rate >= 1 else f"{60 * rate:.2g}/min"


def _dollars(amount: float) -> str:
    return f"${amount:.2f}" if amount >= 0.01 else "under $0.01"


def span(seconds: float) -> str:
    """Return `12 s`, `55 s`, `4 min`, `2 h 10 min`: rounded up, and the more so the longer it is."""
    if seconds <= 20:
        return f"{math.ceil(seconds)} s"
    if seconds <= 90:
        return f"{5 * math.ceil(seconds / 5)} s"
    minutes = math.ceil(seconds / 60)
    if minutes <= 90:
        return f"{minutes} min"
    minutes = 10 * math.ceil(minutes / 10)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
