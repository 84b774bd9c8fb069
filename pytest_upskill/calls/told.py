"""The limits that a server tells beside its replies."""

from __future__ import annotations

import math

from pytest_upskill.types import RateLimits, Window

_LATE = 0.02  # seconds that a timer may be late without a loss


class Told:
    """One limit as the server tells it, counted on between its replies."""

    def __init__(self) -> None:
        self._number = 0
        self._limit = math.inf
        self._left = math.inf
        self._at = 0.0
        self._whole = 0.0  # when the limit is whole again
        self._flow = 0.0  # units a second that come back before that; 0 where all come at once
        self._flows = True
        self._next = 0.0
        self._heard: tuple[float, float, float] | None = None  # when, units used, seconds until whole

    def hear(self, window: Window, number: int, since: float, now: float) -> None:
        """Take in what came beside the reply to a call.

        Args:
            window: what the server said; nonsense is ignored, and so is what is older than what is known.
            number: of the call; replies arrive in any order.
            since: units charged for the calls that went after it, which the server had not seen.
            now: on the loop's clock.
        """
        left, reset = _sensible(window.remaining), _sensible(window.reset)
        if left is None or reset is None or number < self._number:
            return
        self._number = number
        limit = _sensible(window.limit)
        self._limit = limit if limit is not None and limit >= max(1.0, left) else math.inf
        used = self._limit - left
        if used < math.inf:
            self._compare(used, reset, now)
        self._left, self._at, self._whole = left - since, now, now + reset
        self._flow = used / reset if self._flows and 0 < used < math.inf and reset > 0 else 0.0

    def delay(self, units: float, in_flight: int, now: float) -> float:
        """Return the seconds until a call of so many units may go, with so many others in flight."""
        if self._left == math.inf:
            return 0.0
        self._fill(in_flight, now)
        units = min(units, self._limit)
        missing = units - self._left
        if missing > 0 and self._whole == math.inf and not in_flight:
            self._left = math.inf  # nobody will say any more how much there is
            return 0.0
        if missing > 0:
            # Whole again at the latest, whatever the flow.
            return min(missing / self._flow if self._flow else math.inf, self._whole - now)
        return max(0.0, self._next - now) if self._low(units, in_flight) else 0.0

    def take(self, units: float, now: float) -> None:
        """Charge a call that goes."""
        if self._left == math.inf:
            return
        self._left -= units
        if self._whole == math.inf:
            return
        flow = self._flow + max(self._left + units, 0.0) / max(1e-3, self._whole - now)
        # Timers fire late: where calls are spaced already, the next one is due from when this one was.
        self._next = max(self._next, now - _LATE) if now - self._next < _LATE else now
        self._next = min(self._next + units / max(flow, 1e-9), self._whole)

    def give(self, units: float) -> None:
        """Give back what a call was charged too much; negative for too little."""
        self._left += units

    def _low(self, units: float, in_flight: int) -> bool:
        return self._left <= 2 * (in_flight + 1) * units

    def _fill(self, in_flight: int, now: float) -> None:
        if now >= self._whole:
            # How long the new one lasts is known as soon as the next reply says it. Calls that are out may arrive
            # in it.
            self._left, self._whole = max(1.0, self._limit - in_flight), math.inf
            self._flow = self._next = 0.0
        elif self._flow:
            self._left = min(self._limit, self._left + self._flow * (now - self._at))
        self._at = now

    def _compare(self, used: float, reset: float, now: float) -> None:
        # A window that begins anew at one moment comes nearer with every second, whatever is used; where units
        # flow back all the time, the time until all are back grows with what is used.
        before, self._heard = self._heard, (now, used, reset)
        if before is None or before[1] <= 0 or now - before[0] >= before[2]:
            return
        steady = before[2] - (now - before[0])
        flowing = before[2] * used / before[1]
        coarse = 1.5 if reset == round(reset) else 0.05
        if abs(steady - flowing) > max(coarse, 0.1 * reset):
            self._flows = abs(reset - flowing) < abs(reset - steady)


class Headers:
    """What a server tells of its requests and of its tokens."""

    def __init__(self) -> None:
        self._requests = Told()
        self._tokens = Told()

    def hear(self, limits: RateLimits, number: int, calls: int, tokens: int, now: float) -> None:
        """Take in what came beside the reply to a call; `calls` and `tokens` are what went after it."""
        if limits.requests is not None:
            self._requests.hear(limits.requests, number, calls, now)
        if limits.tokens is not None:
            self._tokens.hear(limits.tokens, number, tokens, now)

    def delay(self, tokens: int, in_flight: int, now: float) -> float:
        """Return the seconds until a call of so many tokens may go."""
        return max(self._requests.delay(1, in_flight, now), self._tokens.delay(tokens, in_flight, now))

    def take(self, tokens: int, now: float) -> None:
        """Charge a call that goes."""
        self._requests.take(1, now)
        self._tokens.take(tokens, now)

    def give(self, tokens: int) -> None:
        """Give back tokens that a call was charged too much; negative for too few."""
        self._tokens.give(tokens)


def _sensible(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) and value >= 0 else None
