"""What is in a bucket that fills at a rate and holds a burst, when calls take from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence


class Levels:
    """A bucket that was empty at the beginning, for any rate at which it may have filled.

    Args:
        times: in seconds, when it had something for a call; those up to the beginning are left out.
        begin: when it refused a call.
        end: when it refused the next one.
        burst: how much it holds.
    """

    def __init__(self, times: Sequence[float], begin: float, end: float, burst: float) -> None:
        self._times = [time for time in times if time > begin]
        self._begin, self._end = begin, end
        self._burst = burst

    def at(self, rate: float) -> tuple[float, float]:
        """Return the lowest level, below 0 where there was too little for a call, and that at the end."""
        level, at, lowest = 0.5, self._begin, 0.0
        for time in self._times:
            level = min(self._burst, level + rate * (time - at)) - 1
            lowest = min(level, lowest)
            at = time
        return lowest, min(self._burst, level + rate * (self._end - at))

    def rate(self) -> float:
        """Return the rate at which it was as empty at the end as at the beginning."""
        return self._search(lambda rate: self.at(rate)[1] >= 0.5)

    def least_rate(self) -> float:
        """Return the rate below which there would have been nothing for one of the calls."""
        return self._search(lambda rate: self.at(rate)[0] >= -0.5)

    def most_rate(self) -> float:
        """Return the rate above which the call at the end would not have been refused."""
        return self._search(lambda rate: self.at(rate)[1] >= 1)

    def _search(self, enough: Callable[[float], bool]) -> float:
        low = high = max(0.5, len(self._times)) / max(1e-3, self._end - self._begin)
        for _ in range(6):
            if enough(high):
                break
            high *= 2
        for _ in range(6):
            if not enough(low):
                break
            low /= 2
        for _ in range(9):
            middle = math.sqrt(low * high)
            if enough(middle):
                high = middle
            else:
                low = middle
        return math.sqrt(low * high)


def fullest(times: Sequence[float], rate: float) -> float:
    """Return how much a bucket of such a rate holds at least that had something for all these calls."""
    most, used, at = 1.0, 0.0, times[0] if times else 0.0
    for time in times:
        used = max(0.0, used - rate * (time - at)) + 1
        at = time
        most = max(most, used)
    return most
