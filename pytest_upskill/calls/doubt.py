"""Whether it is any use to slow down for a server that refuses calls."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_LATELY = 4  # refusals
_SETTLED = 30  # calls
_OFTEN = 0.06  # of the calls
_FASTER = 4.0
_FELL = 0.7
_LEAST = 10.0  # calls of a trial
_MANY = 16  # refusals more than answers
_CHANCE = 3.0  # refusals that a trial is expected to meet, when they come by chance


@dataclass(slots=True)
class _Trial:
    """A faster pace for so many calls, of which so many may be refused."""

    calls: float
    most: float
    refused: int = 0


class Doubt:
    """Finds out whether refusals come whatever the pace is.

    A server that is overloaded, or counts something else, refuses as often when less is sent; who slows down with
    each refusal would slow down for ever. So where the pace falls and the refusals do not get fewer, a faster
    one is tried: when it meets no more of them, pacing is no use.
    """

    def __init__(self) -> None:
        # No use to slow down.
        self.certain = False
        self._trial: _Trial | None = None
        self._spans: deque[tuple[int, float]] = deque(maxlen=2 * _LATELY)
        self._confirmed = 0
        self._needed = _SETTLED
        self._best = 0.0
        self._balance = 0  # refusals less answers

    @property
    def trying(self) -> bool:
        return self._trial is not None

    @property
    def failed(self) -> bool:
        """Tell whether too many calls of a trial were refused: it is the pace."""
        return self._trial is not None and self._trial.refused >= self._trial.most

    def served(self) -> None:
        """Hear that a call was answered."""
        self._balance = max(0, self._balance - 1)
        if self._trial is not None:
            self._trial.calls -= 1
            self.certain = self._trial.calls <= 0

    def refused(self) -> None:
        """Hear that a call was refused."""
        if self._trial is not None:
            self._trial.calls -= 1
            self._trial.refused += 1

    def confirmed(self, calls: int) -> None:
        """Hear that so many calls up to a refusal led to the same rate as those before."""
        settled = self._confirmed >= self._needed
        self._confirmed += calls
        if not settled and self._confirmed >= self._needed:
            self._spans.clear()  # what came before was needed to find the rate

    def pace(self, calls: int, rate: float, saved: float) -> float | None:
        """Hear of a refusal, and return the pace to try, if any.

        Args:
            calls: since the refusal before.
            rate: that follows from them.
            saved: calls that the server may take at once after the pause.
        """
        if self._trial is not None:
            self._forget(self._needed * 2)
            return None
        self._spans.append((calls, rate))
        if not self._in_vain(rate):
            return None
        share = _LATELY / max(1, sum(self._calls()[-_LATELY:]))
        more = max(_LEAST, _CHANCE / share) + 2 * saved
        self._trial = _Trial(more, most=max(2 * _CHANCE, 2 * share * more))
        return max(_FASTER * rate, self._best)

    def dispelled(self, in_flight: int) -> bool:
        """Hear of a refusal where slowing down was no use, and tell whether most calls are refused by now.

        Args:
            in_flight: calls whose answers are still to come; refusals are often the first to come back.
        """
        if not self.certain:
            return False
        self._balance += 1
        if self._balance < _MANY + in_flight:
            return False
        self._forget(self._needed)
        self.certain = False
        return True

    def _forget(self, needed: int) -> None:
        self._trial = None
        self._confirmed, self._needed, self._best = 0, needed, 0.0
        self._spans.clear()
        self._balance = 0

    def _calls(self) -> list[int]:
        return [calls for calls, _ in self._spans]

    def _in_vain(self, rate: float) -> bool:
        calls = self._calls()
        lately, before = sum(calls[-_LATELY:]), sum(calls[:-_LATELY])
        if len(calls) < _LATELY or lately < 2 * _LATELY:
            return False
        if self._confirmed < self._needed:
            halved = rate < 0.5 * self._spans[0][1]
            return halved and len(calls) == 2 * _LATELY and lately <= before
        self._best = max(self._best, rate)
        return lately * _OFTEN < _LATELY or rate < _FELL * self._best
