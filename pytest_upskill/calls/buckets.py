"""The limits that somebody wrote down: requests and tokens a minute."""

from __future__ import annotations

from pytest_upskill.types import Account, Model

_BURST = 0.1  # seconds' worth that may go at once
_MINUTE = 60.0


class Bucket:
    """So many units (calls or tokens) a minute, spread evenly.

    A minute's worth is never given out at once: many servers hold such a limit by the second. A call that is
    larger than what is there goes when nothing is owed, and those after it wait for what it took.
    """

    def __init__(self, per_minute: float) -> None:
        self._burst = max(1.0, per_minute / _MINUTE * _BURST)
        # In no minute more than was said: the burst comes on top of what flows in.
        self._rate = max(per_minute / 2, per_minute - self._burst + 1) / _MINUTE
        self._level = self._burst
        self._at: float | None = None

    def delay(self, now: float) -> float:
        """Return the seconds until a call may go."""
        if self._at is not None:
            self._level = min(self._burst, self._level + self._rate * (now - self._at))
        self._at = now
        return max(0.0, (1.0 - self._level) / self._rate)

    def take(self, units: float) -> None:
        """Charge a call that goes."""
        self._level -= units

    def give(self, units: float) -> None:
        """Give back what a call was charged too much; negative for too little."""
        self._level = min(self._burst, self._level + units)


class Configured:
    """Requests and tokens a minute of a model or an account."""

    def __init__(self, limits: Model | Account) -> None:
        requests, tokens = limits.requests_per_minute, limits.tokens_per_minute
        self._requests = Bucket(requests) if requests else None
        self._tokens = Bucket(tokens) if tokens else None

    def __bool__(self) -> bool:
        return self._requests is not None or self._tokens is not None

    def delay(self, now: float) -> float:
        """Return the seconds until a call may go."""
        delays = [each.delay(now) for each in (self._requests, self._tokens) if each is not None]
        return max(delays, default=0.0)

    def take(self, tokens: int) -> None:
        """Charge a call that goes."""
        if self._requests is not None:
            self._requests.take(1)
        if self._tokens is not None:
            self._tokens.take(tokens)

    def give(self, calls: int, tokens: int) -> None:
        """Give back what was charged too much; negative for too little."""
        if self._requests is not None:
            self._requests.give(calls)
        if self._tokens is not None:
            self._tokens.give(tokens)
