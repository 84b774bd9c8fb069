"""Servers with limits, and a loop whose clock runs as fast as the events come: nothing really waits."""

from __future__ import annotations

import asyncio
import heapq
import math
import random
import selectors
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from pytest_upskill.calls.limits import Limiter, Limits
from pytest_upskill.types import Account, Model, RateLimits, Window

T = TypeVar("T")


class _Selector(selectors.SelectSelector):
    """Waits by moving a clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("nothing will ever happen: somebody waits for what does not come")
        self.now += timeout
        return []


class FastLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._fast = _Selector()
        super().__init__(self._fast)

    def time(self) -> float:
        return self._fast.now


def run(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        return runner.run(main)


class Server(Protocol):
    def take(self, now: float) -> float | None:
        """Return None when a call that arrives now is served, or the seconds until the next one would be."""


class TokenBucket:
    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = self.level = burst
        self.at: float | None = None

    def take(self, now: float) -> float | None:
        if self.at is not None:
            self.level = min(self.burst, self.level + self.rate * (now - self.at))
        self.at = now
        if self.level >= 1 - 1e-9:
            self.level -= 1
            return None
        return (1 - self.level) / self.rate


class FixedWindow:
    def __init__(self, calls: int, seconds: float) -> None:
        self.calls, self.seconds = calls, seconds
        self.window, self.used = -1, 0

    def take(self, now: float) -> float | None:
        window = int(now // self.seconds)
        if window != self.window:
            self.window, self.used = window, 0
        if self.used < self.calls:
            self.used += 1
            return None
        return (window + 1) * self.seconds - now


class SlidingWindow:
    def __init__(self, calls: int, seconds: float) -> None:
        self.calls, self.seconds = calls, seconds
        self.taken: deque[float] = deque()

    def take(self, now: float) -> float | None:
        while self.taken and self.taken[0] <= now - self.seconds:
            self.taken.popleft()
        if len(self.taken) < self.calls:
            self.taken.append(now)
            return None
        return self.taken[0] + self.seconds - now


class Busy:
    """Serves so many at a time."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.ends: list[float] = []

    def take(self, now: float) -> float | None:
        while self.ends and self.ends[0] <= now:
            heapq.heappop(self.ends)
        return None if len(self.ends) < self.most else 0.1


class Whimsical:
    """Refuses by chance, whatever the rate."""

    def __init__(self, share: float, chance: random.Random) -> None:
        self.share, self.chance = share, chance

    def take(self, now: float) -> float | None:
        return 0.1 if self.chance.random() < self.share else None


class Generous:
    def take(self, now: float) -> float | None:
        return None


RetryAfter = Callable[[float], "float | None"]


@dataclass
class Seen:
    """What a run of calls came to. Times are when the server got the calls."""

    wall: float = 0.0
    refusals: list[float] = field(default_factory=list)
    served: list[float] = field(default_factory=list)
    peak: int = 0

    @property
    def refused(self) -> int:
        return len(self.refusals)


class World:
    """A server behind a network, and clients that call it through a limiter.

    `retry_after` makes of the true seconds what the server says; `slow_no` lets a refusal take as long as a reply.
    """

    def __init__(
        self,
        server: Server,
        *,
        latency: float = 0.2,
        jitter: float = 0.2,
        retry_after: RetryAfter = lambda exact: exact,
        slow_no: bool = False,
        seed: int = 1,
    ) -> None:
        self.server = server
        self.latency, self.jitter = latency, jitter
        self.retry_after, self.slow_no = retry_after, slow_no
        self.chance = random.Random(seed)
        self.seen = Seen()
        self.in_flight = 0

    def run(self, calls: int, model: Model | None = None, accounts: dict[str, Account] | None = None) -> Seen:
        return run(self.all(calls, model or Model("m", "fake", "m"), accounts or {}))

    async def all(self, calls: int, model: Model, accounts: dict[str, Account]) -> Seen:
        limiter = Limits(accounts, random.Random(7)).of(model)
        loop = asyncio.get_running_loop()
        began = loop.time()
        workers = min(calls, 4 * (model.concurrency or 16))
        left = iter(range(calls))
        await asyncio.gather(*(self._work(limiter, left) for _ in range(workers)))
        self.seen.wall = loop.time() - began
        self.seen.served = [time - began for time in self.seen.served]
        self.seen.refusals = [time - began for time in self.seen.refusals]
        return self.seen

    async def _work(self, limiter: Limiter, left: Any) -> None:
        for _ in left:
            again = False
            while not await self.call(limiter, again=again):
                again = True

    async def call(self, limiter: Limiter, *, again: bool = False, tokens: int = 100) -> bool:
        ticket = await limiter.enter(tokens, again=again)
        self.in_flight += 1
        self.seen.peak = max(self.seen.peak, self.in_flight)
        latency = self.latency * self.chance.uniform(1 - self.jitter, 1 + self.jitter)
        way = min(0.005, 0.2 * latency) * self.chance.uniform(0.5, 1.5)
        await asyncio.sleep(way)
        now = asyncio.get_running_loop().time()
        exact = self.server.take(now)
        limits = self.limits(now)
        if exact is None:
            self.seen.served.append(now)
            if isinstance(self.server, Busy):
                heapq.heappush(self.server.ends, now + latency - way)
            await asyncio.sleep(latency - way)
            self.in_flight -= 1
            limiter.leave(ticket, tokens=tokens, limits=limits)
            return True
        self.seen.refusals.append(now)
        await asyncio.sleep(latency - way if self.slow_no else way)
        self.in_flight -= 1
        limiter.refused(ticket, self.retry_after(exact), limits)
        return False

    def limits(self, now: float) -> RateLimits | None:
        """Return what the headers say."""
        return None


class Telling(World):
    """Tells its requests in headers, as of the moment when a call arrives."""

    def limits(self, now: float) -> RateLimits | None:
        server = self.server
        if isinstance(server, TokenBucket):
            left = max(0.0, math.floor(server.level))
            return RateLimits(Window(server.burst, left, (server.burst - server.level) / server.rate))
        if isinstance(server, FixedWindow):
            reset = (server.window + 1) * server.seconds - now
            return RateLimits(Window(server.calls, server.calls - server.used, reset))
        return None
