"""What a server does wrong on purpose: a seeded mix of faults, and limits of its own."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from tests.answers import Answer, error

# How often each fault strikes, as a part of all requests.
MIX: Mapping[str, float] = {"refused": 0.10, "failed": 0.05, "reset": 0.03, "stalled": 0.02, "cut": 0.01}


class Twist:
    """Lets good answers pass; `counts` holds how often something else became of one, by what it was."""

    def __init__(self, kinds: Iterable[str] = ()) -> None:
        self.counts = dict.fromkeys(kinds, 0)

    def __call__(self, good: Answer) -> Answer:
        """Return the good answer, or what becomes of it."""
        return good


class Faults(Twist):
    """Draws for each request whether it gets a fault. `retry_after` (seconds) goes with a refusal."""

    def __init__(self, seed: int, mix: Mapping[str, float] = MIX, retry_after: float = 0.2) -> None:
        super().__init__(mix)
        self._chance = random.Random(seed)
        self._mix = mix
        self._retry_after = retry_after

    def __call__(self, good: Answer) -> Answer:
        """Return the good answer, or what becomes of it."""
        drawn = self._chance.random()
        for kind, share in self._mix.items():
            drawn -= share
            if drawn < 0:
                self.counts[kind] += 1
                return self._fault(kind, good)
        return good

    def _fault(self, kind: str, good: Answer) -> Answer:
        if kind == "refused":
            return refusal(self._retry_after)
        if kind == "failed":
            return error(500, {"error": {"message": "The server had an error while processing your request"}})
        half = good.body[: len(good.body) // 2]
        if kind == "cut":
            # A whole body by its length, but half of the JSON.
            return replace(good, body=half)
        return replace(good, body=half, promised=len(good.body), then="reset" if kind == "reset" else "hang")


class Bucket(Twist):
    """A token bucket: `rate` requests a second, `burst` at once, and 429 with retry-after beyond."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(["refused"])
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._left = burst
        self._at = clock()

    def __call__(self, good: Answer) -> Answer:
        """Return the good answer while there are tokens."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return good
        self.counts["refused"] += 1
        return refusal((1 - self._left) / self._rate)


def refusal(retry_after: float) -> Answer:
    """Return a 429 that asks to wait so many seconds."""
    said = {"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}}
    return error(429, said, retry_after=f"{retry_after:g}")
