"""The rate that a server seems to allow, learnt from what it takes and what it refuses."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from pytest_upskill.calls.levels import Levels, fullest

_MEMORY = 400  # calls
_MARKS = 8  # refusals
_CATCH_UP = 4.0  # seconds in which what a server saved up during a pause is spent
_DOUBLED = 120.0  # calls after which twice the learnt rate is tried
_SURE = 30.0  # calls in which the pace rises from the lowest likely rate to the highest
_SEARCH = 3.0  # a second: how a rate that is only guessed grows, exponentially
_LATE = 0.01  # seconds that a timer may be late without a loss
_FEW = 10  # calls that prove little


@dataclass(frozen=True, slots=True)
class _Span:
    """What became of the calls from one refusal to the next, and the rate that followed from it."""

    calls: int
    refused: int
    rate: float


@dataclass(slots=True)
class _Trial:
    """The old pace, tried once more: so many calls, unless too many of them are refused."""

    calls: float
    refused: int = 0


class Pace:
    """Spaces the calls of one model once the server has refused some.

    What a server does is taken for a bucket that holds a burst and fills at a rate: it was empty whenever it
    refused, so the calls that it took in between tell its rate, and those before the first refusal its burst.
    Calls are numbered from 1 as they enter; times are in seconds on the loop's clock.
    """

    def __init__(self) -> None:
        # Calls a second: what the server allows at least, as far as is known; None as long as nothing was refused.
        self.rate: float | None = None
        # Refusals come whatever the pace is: then it is no use to slow down.
        self.doubted = False
        self._high = 0.0
        self._guessed = True
        self._numbered = 0
        self._last = 0.0
        self._next = 0.0
        self._taken: dict[int, float] = {}  # when they went out, of the calls that were not refused
        self._first: dict[int, float] = {}  # those of them before the first refusal
        self._marks: deque[float] = deque(maxlen=_MARKS)  # when they went out, of the calls that were refused
        self._paused = self._resumed = 0.0
        self._burst = 1.0
        self._credit = 0.0
        self._catch_up = _CATCH_UP
        self._age = 0.0  # in calls
        self._doubled = _DOUBLED
        self._spans: deque[_Span] = deque(maxlen=_MARKS)
        self._counted = (0, 0)  # calls and refusals up to the last mark
        self._refused = 0
        self._trial: _Trial | None = None

    def delay(self, now: float) -> float:
        """Return the seconds until the next call is due."""
        return self._next - now if self.rate is not None and not self.doubted else 0.0

    def entered(self, now: float) -> None:
        """Hear that a call goes out now."""
        self._numbered += 1
        self._taken[self._numbered] = now
        if len(self._taken) > _MEMORY:
            del self._taken[next(iter(self._taken))]
        gap, self._last = now - self._last, now
        if self.rate is None or self.doubted:
            return
        if self._guessed and self._age:
            self.rate = self._high = self.rate * math.exp(_SEARCH * min(gap, 0.5))
        self._credit = min(self._burst, self._credit + self.rate * gap) - 1
        self._age += min(gap * self.rate, 2.0)
        step = self._step()
        # A timer that fires late must not cost throughput, a long wait must not end in a burst.
        self._next = max(self._next, now - min(step / 2, _LATE)) + step
        if self._trial is not None:
            self._trial.calls -= 1
            self.doubted = self._trial.calls <= 0

    def trust(self) -> None:
        """Take refusals for a sign of a limit again."""
        self.doubted = False
        self._trial = None
        self._spans.clear()

    def refused_too(self, number: int) -> None:
        """Hear of a refusal of a call that was out already when the last one was heard of."""
        self._count(number)
        if self._first.pop(number, None) is not None and self._guessed:
            self._guess()

    def refused(self, number: int, sent: float, now: float, until: float) -> None:
        """Hear of a refusal that is news: of a call that went out after the last one was heard of.

        Args:
            number: which call it was.
            sent: when it went out.
            now: when the refusal came.
            until: when calls may go out again.
        """
        counted = (number, self._refused)
        self._count(number)
        if self.doubted:
            return
        if self._trial is not None and self._trial.refused < 6:
            self._next = until
            return
        self._paused, self._resumed = until - now, until
        if self._marks:
            self._learn(sent)
            self._compare(counted)
        else:
            self._first = {each: time for each, time in self._taken.items() if time <= sent}
            self._guess()
        self._marks.append(sent)
        self._counted = counted
        self._credit = self._age = 0.0
        self._catch_up = max(_CATCH_UP, 2 * self._paused)
        self._next = max(until, sent + 1 / max(self._high, 1e-3))

    def _count(self, number: int) -> None:
        self._taken.pop(number, None)
        self._refused += 1
        if self._trial is not None:
            self._trial.refused += 1

    def _guess(self) -> None:
        taken = max(1, len(self._first))
        began = next(iter(self._first.values()), self._resumed - self._paused)
        self._burst = float(taken)
        rate = taken / max(1e-3, self._resumed - began)
        if 0 < self._paused != round(self._paused):
            # Not rounded to seconds: it may well be the time in which one more comes.
            rate = min(rate, 1 / self._paused)
        self.rate = self._high = rate

    def _learn(self, sent: float) -> None:
        times = [time for time in self._taken.values() if time < sent]
        before, previous = self._speed(), self._marks[-1]
        lately = sum(time > previous for time in times)
        low, high = self._fit(times, self._marks[0], sent, before)
        lowest, left = Levels(times, previous, sent, self._burst).at(low)
        allowed = 1.5 + 0.1 * lately
        if high < 0.8 * low or left > 1 + allowed or lowest < -allowed:
            # The server has changed, or the first guesses were wrong, or it is no bucket.
            if lately:
                self._marks.clear()
                self._marks.append(previous)
                low, high = self._fit(times, previous, sent, before)
            high = max(high, 0.9 * before)
        if lately < _FEW:
            low = max(low, before / 2)
        high = min(max(low, high), before)
        low = min(low, high)
        self._settle(low, high, sum(time > self._marks[0] for time in times))

    def _settle(self, low: float, high: float, calls: int) -> None:
        known = not self._guessed and abs(low - (self.rate or 0.0)) < 0.05 * low
        self._doubled = min(4 * _DOUBLED, 1.5 * self._doubled) if known else min(_DOUBLED, 20.0 + 3 * calls)
        # A refusal costs what would have flowed in during the pause and finds no room.
        self._doubled += 20 * max(0.0, high * self._paused - self._burst)
        self.rate, self._high = low, high
        self._guessed = False

    def _fit(self, times: list[float], begin: float, end: float, rate: float) -> tuple[float, float]:
        """Return the rate that explains what happened between two refusals, and the highest one that could."""
        first = list(self._first.values())
        for _ in range(2):
            self._burst = fullest(first, rate)
            levels = Levels(times, begin, end, self._burst)
            rate = levels.rate()
        return max(rate, levels.least_rate()), levels.most_rate()

    def _compare(self, counted: tuple[int, int]) -> None:
        # Who refuses for another reason refuses as often when less is sent: the pace would fall and fall.
        if self._trial is not None:
            self._trial = None
            self._spans.clear()
        calls, refused = counted[0] - self._counted[0], counted[1] - self._counted[1]
        self._spans.append(_Span(calls, refused, self.rate or 0.0))
        highest = max(span.rate for span in self._spans)
        if len(self._spans) < 4 or (self.rate or 0.0) > 0.8 * highest:
            return
        share = sum(span.refused for span in self._spans) / max(1, sum(span.calls for span in self._spans))
        if share < 0.5:
            self._trial = _Trial(calls=max(10.0, 3 / share))
            self.rate = self._high = highest

    def _speed(self) -> float:
        low, high = self.rate or 0.0, self._high
        if self._guessed or self._trial is not None:
            return high
        if self._age < _SURE:
            return high - (high - low) * (1 - self._age / _SURE) ** 2
        return high * (1 + ((self._age - _SURE) / self._doubled) ** 2)

    def _step(self) -> float:
        """Return the seconds to the next call."""
        speed = self._speed() + max(0.0, self._credit) / self._catch_up
        # While it is searched for the rate grows within a step.
        return math.log1p(_SEARCH / speed) / _SEARCH if self._guessed else 1 / speed
