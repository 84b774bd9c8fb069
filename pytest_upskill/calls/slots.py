"""How many calls may be in flight: a slow start, halved by a refusal, growing back."""

from __future__ import annotations

from pytest_upskill.types import DEFAULT_CONCURRENCY

_FIRST = 4


class Slots:
    """The number of calls that one model may have in flight.

    `most` is None where nobody said: it then begins with 4, and each success allows one more, up to 16.
    """

    def __init__(self, most: int | None = None) -> None:
        self.most = most or DEFAULT_CONCURRENCY
        self.allowed = float(most or _FIRST)
        self._rising = most is None

    def lower(self, most: int) -> None:
        """Allow no more than so many; a number that somebody said is where it begins."""
        self.allowed = float(most) if self._rising else min(self.allowed, float(most))
        self.most = most if self._rising else min(self.most, most)
        self._rising = False

    def succeeded(self, *, paced: bool) -> None:
        """Hear of a success: about one more for each round of successes.

        Where calls are paced the pace keeps to what the server takes, and the number may grow back sooner.
        """
        if self.allowed < self.most:
            step = 1.0 if self._rising or paced else 1 / self.allowed
            self.allowed = min(float(self.most), self.allowed + step)

    def refused(self) -> None:
        """Hear of a refusal that the number in flight may have caused."""
        self._rising = False
        self.allowed = max(1.0, self.allowed / 2)
