"""How far a run is, for whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Status:
    """A moment of a run.

    `done` of `total` samples are known and `in_flight` calls are under way; `calls` were made, `stored` replies
    were there before. `spent` is in US dollars, None when a price is unknown. `waiting` is in seconds: how long
    nothing may be sent yet; `cause` says why (`haiku is rate limited`). `running` is in seconds since the first
    sample was asked for.
    `batches` says in words how far the batches are, and what other runs are asked for.
    """

    done: int
    total: int
    in_flight: int = 0
    calls: int = 0
    stored: int = 0
    spent: float | None = 0.0
    waiting: float = 0.0
    cause: str = ""
    running: float = 0.0
    batches: str = ""
