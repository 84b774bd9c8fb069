"""The rate that a server seems to allow, learnt from what it takes and what it refuses."""

from __future__ import annotations

import math
from collections import deque

from pytest_upskill.calls.doubt import Doubt
from pytest_upskill.calls.levels import Levels, fullest

_MEMORY = 400  # calls
_MARKS = 8  # refusals
_CATCH_UP = 4.0  # seconds in which what a server saved up during a pause is spent
_DOUBLED = 180.0  # calls after which twice the learnt rate is tried
_SURE = 30.0  # calls in which the pace rises from the lowest likely rate to the highest
_SEARCH = 3.0  # a second: how a rate that is only guessed grows, exponentially
_SEARCH_MORE = 10.0
_LATE = 0.01  # seconds that a timer may be late without a loss
_SHORT = 2.0  # seconds
_SLOWEST = 1 / 30  # calls a second
_FEW = 10  # calls that prove little


class Pace:
    """Spaces the calls of one model once the server has refused some.

    What a server does is taken for a bucket that holds a burst and fills at a rate: it was empty whenever it
    refused, so the calls that it took in between tell its rate, and those before the first refusal its burst.
    Calls are numbered from 1 as they enter; times are in seconds on the loop's clock.
    """

    def __init__(self) -> None:
        # Calls a second: what the server allows at least, as far as is known; None as long as nothing was refused.
        self.rate: float | None = None
        self._high = 0.0
        self._guessed = True
        self._search = _SEARCH
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
        self._counted = 0  # the last call that was refused and was news
        self._refusals = 0  # since then
        self._doubt = Doubt()

    @property
    def doubted(self) -> bool:
        """Tell whether refusals come whatever the pace is: then there is none."""
        return self._doubt.certain

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
            self.rate = self._high = self.rate * math.exp(self._search * min(gap, 0.5))
        self._credit = min(self._burst, self._credit + self.rate * gap) - 1
        # A pace that has come to crawl grows with time.
        self._age += max(min(gap * self.rate, 2.0), min(gap / 2, 15.0))
        step = self._step()
        # A timer that fires late must not cost throughput, a long wait must not end in a burst.
        self._next = max(self._next, now - min(step / 2, _LATE)) + step

    def served(self) -> None:
        """Hear that a call was answered."""
        self._doubt.served()

    def relapsed(self, in_flight: int) -> bool:
        """Hear of a refusal, and tell whether refusals turn out to be a sign of a limit after all."""
        if not self._doubt.dispelled(in_flight):
            return False
        self._guessed = True
        self._marks.clear()
        self._taken = {each: time for each, time in self._taken.items() if time > self._last - _SHORT}
        return True

    def refused_too(self, number: int) -> None:
        """Hear of a refusal of a call that was out already when the last one was heard of."""
        self._count(number)
        self._first.pop(number, None)
        if self._guessed:
            self._guess()

    def refused(self, number: int, sent: float, now: float, until: float) -> None:
        """Hear of a refusal that is news: of a call that went out after the last one was heard of.

        Args:
            number: which call it was.
            sent: when it went out.
            now: when the refusal came.
            until: when calls may go out again.
        """
        self._count(number)
        if self.doubted:
            return
        if self._doubt.trying and not self._doubt.failed:
            self._next = until
            return
        self._paused, self._resumed = until - now, until
        calls, self._counted = number - self._counted, number
        self._refusals = 1
        if self._marks:
            guessed = self._guessed
            self._learn(sent)
            if not guessed:
                self._try_faster(calls)
        else:
            self._first = {each: time for each, time in self._taken.items() if time <= sent}
            self._guess()
        self._marks.append(sent)
        self._credit = self._age = 0.0
        self._catch_up = max(_CATCH_UP, 2 * self._paused)
        self._next = max(until, sent + 1 / max(self._high, 1e-3))

    def _count(self, number: int) -> None:
        self._taken.pop(number, None)
        self._refusals += 1
        self._doubt.refused()

    def _guess(self) -> None:
        taken = max(1, len(self._first))
        began = next(iter(self._first.values()), self._resumed - self._paused)
        self._burst = float(taken)
        rate = taken / max(1e-3, self._resumed - began)
        if 0 < self._paused != round(self._paused):
            # Not rounded to seconds: it may well be the time in which one more comes.
            rate = min(rate, 1 / self._paused)
        # Where most that went out after it are taken, it may not be the rate at all.
        most = sum(number > self._counted for number in self._taken) > 2 * self._refusals
        self._search = _SEARCH_MORE if most else _SEARCH
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
        elif not self._guessed and (low < 0.85 * (self.rate or 0.0) or 1.3 * low < before):
            high = max(high, 0.9 * before)
        if lately < _FEW:
            low = max(low, before / 2)
        high = min(max(low, high), before)
        low = min(low, high)
        self._settle(low, high, lately, sum(time > self._marks[0] for time in times))

    def _settle(self, low: float, high: float, lately: int, calls: int) -> None:
        known = not self._guessed and abs(low - (self.rate or 0.0)) < 0.05 * low
        self._doubled = min(4 * _DOUBLED, 1.5 * self._doubled) if known else min(_DOUBLED, 20.0 + 2 * calls)
        if known:
            self._doubt.confirmed(lately)
        # A refusal costs what would have flowed in during the pause and finds no room.
        lost = max(0.0, high * self._paused - self._burst)
        self._doubled += 20 * lost
        if lost > 2:
            low, high = 0.95 * low, max(0.95 * low, 0.9 * high)
        self.rate, self._high = max(low, _SLOWEST), max(high, _SLOWEST)
        self._guessed = False

    def _fit(self, times: list[float], begin: float, end: float, rate: float) -> tuple[float, float]:
        """Return the rate that explains what happened between two refusals, and the highest one that could."""
        first = list(self._first.values())
        for _ in range(2):
            self._burst = fullest(first, rate)
            levels = Levels(times, begin, end, self._burst)
            rate = levels.rate()
        return max(rate, levels.least_rate()), levels.most_rate()

    def _try_faster(self, calls: int) -> None:
        rate = self.rate or 0.0
        pace = self._doubt.pace(calls, rate, min(self._burst, rate * self._paused))
        if pace is not None:
            self.rate = self._high = pace

    def _speed(self) -> float:
        low, high = self.rate or 0.0, self._high
        if self._guessed or self._doubt.trying:
            return high
        if self._age < _SURE:
            return high - (high - low) * (1 - self._age / _SURE) ** 2
        return high * (1 + ((self._age - _SURE) / self._doubled) ** 2)

    def _step(self) -> float:
        """Return the seconds to the next call."""
        speed = self._speed() + max(0.0, self._credit) / self._catch_up
        # While it is searched for the rate grows within a step.
        return math.log1p(self._search / speed) / self._search if self._guessed else 1 / speed
