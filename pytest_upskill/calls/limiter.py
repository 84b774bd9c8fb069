"""How many calls to one model may be under way, and how fast they may follow each other."""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

from pytest_upskill.calls.buckets import Configured
from pytest_upskill.calls.pacing import Pace
from pytest_upskill.calls.slots import Slots
from pytest_upskill.calls.told import Headers
from pytest_upskill.types import Account, Model, RateLimits

_FIRST_PAUSE = 0.5  # seconds, at most, where the server names none
_LONGEST_PAUSE = 30.0
_NO_TIME = 1e-6  # what rounding leaves is not worth a timer

_Queue: TypeAlias = "deque[tuple[asyncio.Future[Ticket], int]]"


@dataclass(slots=True, eq=False)
class Ticket:
    """Leave to make one call: its number, when it went out, its tokens, and the tokens of all up to it."""

    number: int
    sent: float
    tokens: int
    charged: int


class Shared:
    """What the models of one account share: calls in flight, requests and tokens a minute."""

    def __init__(self, account: Account) -> None:
        self.most = account.concurrency or math.inf
        self.configured = Configured(account)
        self.in_flight = 0
        self.limiters: deque[Limiter] = deque()
        self.bound = bool(account.concurrency or self.configured)

    def pump(self, limiter: Limiter) -> None:
        """Let calls go that may go now."""
        if not self.bound:
            limiter.pump()
            return
        # Whoever was first this time is last the next time.
        self.limiters.rotate(-1)
        for each in tuple(self.limiters):
            each.pump()

    def refused(self, limiter: Limiter, now: float, until: float) -> None:
        """Hear of a refusal. Where another model is refused as well, the limit is the account's."""
        if any(each.paused(now) for each in self.limiters if each is not limiter):
            for each in self.limiters:
                each.pause(until)


class Limiter:
    """Lets the calls of one model go: so many at a time, so many a second, none while the server wants a pause.

    Belongs to the engine's loop. Every ticket that `enter` returns comes back by `leave`, `refused` or `dropped`.
    """

    def __init__(self, shared: Shared, chance: random.Random) -> None:
        self._shared = shared
        self._chance = chance
        self._loop: asyncio.AbstractEventLoop | None = None
        self._names: list[str] = []
        self._slots = Slots()
        self._pace = Pace()
        self._headers: Headers | None = None
        self._configured: list[Configured] = [shared.configured] if shared.configured else []
        # Nothing but slots is in force: spares most calls the rest.
        self._free = not self._configured
        self._new: _Queue = deque()
        self._again: _Queue = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._in_flight = 0
        self._entered = 0
        self._charged = 0
        self._cut = 0  # the last call that had gone out when the last refusal was heard of
        self._until = 0.0
        self._again_until = 0.0
        self._asked = 0.0
        self._pauses = 0  # pauses since the last success
        shared.limiters.append(self)

    def obey(self, model: Model) -> None:
        """Keep to the limits of a model as well; each name counts once."""
        if model.name in self._names:
            return
        self._names.append(model.name)
        if model.concurrency is not None:
            self._slots.lower(model.concurrency)
        configured = Configured(model)
        if configured:
            self._configured.append(configured)
            self._free = False

    async def enter(self, tokens: int, *, again: bool = False) -> Ticket:
        """Wait until a call may go, and return its ticket.

        Args:
            tokens: that it is expected to take, in and out.
            again: it is made again, and goes before those that are made for the first time.
        """
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        now = loop.time()
        idle = not self._new and not self._again and not (again and now < self._again_until)
        if idle and self._delay(tokens, now) <= 0:
            return self._go(tokens, now)
        future: asyncio.Future[Ticket] = loop.create_future()
        (self._again if again else self._new).append((future, tokens))
        self.pump()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._undo(future.result())
            raise

    def leave(self, ticket: Ticket, *, limits: RateLimits | None = None, tokens: int | None = None) -> None:
        """Hear that a reply came; `tokens` is what the call really took."""
        self._pauses = 0
        self._pace.served()
        self._slots.succeeded(paced=self._pace.rate is not None)
        if tokens is not None:
            self._give(ticket.tokens - tokens)
        self._back(ticket, limits)

    def refused(
        self, ticket: Ticket, retry_after: float | None = None, limits: RateLimits | None = None
    ) -> None:
        """Hear that the server refused a call because of a limit.

        Args:
            ticket: of the call.
            retry_after: seconds that the server asks to wait.
            limits: what it said of its limits.
        """
        now = self._now()
        asked = retry_after if retry_after is not None and 0 < retry_after < math.inf else 0.0
        fresh = self._pace.relapsed(self._in_flight) or ticket.number > self._cut
        if fresh:
            self._episode(ticket, asked, now)
        else:
            self._pace.refused_too(ticket.number)
            if asked > self._asked:
                self._hold(asked, now)  # longer than what those were told that were refused with it
        self._give(ticket.tokens)
        self._back(ticket, limits)

    def dropped(self, ticket: Ticket, limits: RateLimits | None = None) -> None:
        """Hear that a call failed or was given up, which says nothing of limits."""
        self._back(ticket, limits)

    def waiting(self) -> tuple[float, str]:
        """Return how long the next call waits for a limit, in seconds, and why."""
        now = self._now()
        wait, why = self._until - now, "is rate limited"
        queue = self._again or self._new
        if wait <= 0 and queue:
            wait = self._rate_delay(queue[0][1], now)
            if wait <= max((each.delay(now) for each in self._configured), default=0.0):
                why = "keeps to its requests and tokens a minute"
        return (wait, f"{self._names[0]} {why}") if wait > 0 else (0.0, "")

    def paused(self, now: float) -> bool:
        """Tell whether the server has asked for a pause that is not over."""
        return now < self._until

    def pause(self, until: float) -> None:
        """Let no call go until then."""
        self._until = max(self._until, until)
        self._free = False

    def pump(self) -> None:
        """Let those go that may go now, and look again when the next one may."""
        now = self._now()
        while (queue := self._next(now)) is not None:
            future, tokens = queue[0]
            delay = self._delay(tokens, now)
            if delay > 0:
                self._look_again(delay)
                return
            queue.popleft()
            future.set_result(self._go(tokens, now))
        if self._again:
            self._look_again(self._again_until - now)

    def _next(self, now: float) -> _Queue | None:
        for queue in (self._again, self._new):
            while queue and queue[0][0].done():
                queue.popleft()  # whoever waited has been cancelled
            if queue and (queue is self._new or now >= self._again_until):
                return queue
        return None

    def _look_again(self, delay: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if delay < math.inf and self._loop is not None:
            self._timer = self._loop.call_later(delay, self._shared.pump, self)

    def _delay(self, tokens: int, now: float) -> float:
        """Return the seconds until a call may go; infinity where another one must end first."""
        if self._in_flight + 1 > self._slots.allowed or self._shared.in_flight >= self._shared.most:
            return math.inf
        return 0.0 if self._free else self._rate_delay(tokens, now)

    def _rate_delay(self, tokens: int, now: float) -> float:
        delay = max(self._until - now, self._pace.delay(now))
        for each in self._configured:
            delay = max(delay, each.delay(now))
        if self._headers is not None:
            delay = max(delay, self._headers.delay(tokens, self._in_flight, now))
        return delay if delay > _NO_TIME else 0.0

    def _go(self, tokens: int, now: float) -> Ticket:
        self._in_flight += 1
        self._shared.in_flight += 1
        self._entered += 1
        self._charged += tokens
        self._pace.entered(now)
        if not self._free:
            for each in self._configured:
                each.take(tokens)
            if self._headers is not None:
                self._headers.take(tokens, now)
        return Ticket(self._entered, now, tokens, self._charged)

    def _give(self, tokens: int) -> None:
        for each in self._configured:
            each.give(0, tokens)
        if self._headers is not None:
            self._headers.give(tokens)

    def _back(self, ticket: Ticket, limits: RateLimits | None) -> None:
        self._in_flight -= 1
        self._shared.in_flight -= 1
        if limits is not None:
            if self._headers is None:
                self._headers = Headers()
                self._free = False
            calls, tokens = self._entered - ticket.number, self._charged - ticket.charged
            self._headers.hear(limits, ticket.number, calls, tokens, self._now())
        if self._new or self._again or self._shared.bound:
            self._shared.pump(self)

    def _episode(self, ticket: Ticket, asked: float, now: float) -> None:
        # Calls that were out already when this refusal came say nothing more.
        self._cut = self._entered
        self._asked = 0.0
        busy = self._pace.rate is None or self._in_flight + 1 > self._slots.allowed
        if not self._pace.doubted and (busy or self._pauses):
            self._slots.refused()
        pause = asked or self._chance.uniform(
            0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._pauses, 9))
        )
        self._pauses += 1
        self._pace.refused(ticket.number, ticket.sent, now, now + pause)
        self._hold(pause, now)
        self._free = False

    def _undo(self, ticket: Ticket) -> None:
        # Its task was cancelled between its turn and its call: nothing went out.
        for each in self._configured:
            each.give(1, ticket.tokens)
        if self._headers is not None:
            self._headers.give(ticket.tokens)
        self._back(ticket, None)

    def _hold(self, pause: float, now: float) -> None:
        self._asked = pause
        if self._pace.doubted:
            # Others are served all the same: only those that were refused wait.
            if now >= self._again_until:
                self._again_until = now + pause
        else:
            self.pause(now + pause)
            self._shared.refused(self, now, self._until)

    def _now(self) -> float:
        return self._loop.time() if self._loop is not None else 0.0
