"""Making one call: within the limits and the budget, tried again where that may help."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from pytest_upskill.calls.budget import Budget, BudgetSpent, Reservation
from pytest_upskill.calls.clients import Clients, anew
from pytest_upskill.calls.estimate import Expected
from pytest_upskill.calls.limits import Limiter, Limits, Ticket
from pytest_upskill.calls.received import cleaned, straighten
from pytest_upskill.calls.retry import Course, Endpoint, Policy, counted
from pytest_upskill.calls.strangers import in_words
from pytest_upskill.calls.waits import WaitEnded, Waits
from pytest_upskill.errors import CallError, UpskillError
from pytest_upskill.types import DEFAULT_CONCURRENCY, Model, Reply, Request, Usage

_LATE = 5.0  # seconds beyond its time in which a provider may still say itself that it is over

Keep = Callable[[Reply], Awaitable[None]]


@dataclass(slots=True)
class Traffic:
    """What went to the servers: `calls` that were begun, `retries` of them, `refusals` for a limit."""

    calls: int = 0
    retries: int = 0
    refusals: int = 0
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class _Turn:
    """Leave to make one attempt."""

    limiter: Limiter
    ticket: Ticket
    reservation: Reservation


class Attempts:
    """Makes calls on the engine's loop.

    Args:
        clients: open ones are ready when `reply` is called.
        limits: one limiter for each model.
        budget: asked before each attempt.
        expect: what a call will take.
        cost: in US dollars, of a reply's usage; None when it is unknown.
    """

    def __init__(
        self,
        clients: Clients,
        limits: Limits,
        budget: Budget,
        expect: Callable[[Model, Request], Expected],
        cost: Callable[[Model, Usage], float | None],
        policy: Policy | None = None,
    ) -> None:
        self._clients = clients
        self._limits = limits
        self._budget = budget
        self._expect = expect
        self._cost = cost
        self._policy = policy or Policy()
        self._chance = random.Random()  # noqa: S311 - spreads retries
        self._endpoints: dict[str, Endpoint] = {}
        self._waits = Waits()
        self.traffic = Traffic()
        # What ended all calls of the run, to any model.
        self.stopped: UpskillError | None = None

    async def reply(self, model: Model, request: Request, keep: Keep) -> Reply:
        """Return the reply to a request.

        Args:
            model: whom to ask.
            request: what to ask.
            keep: stores the reply. Until it has, the call counts as in flight: a run that is killed has lost no
                more replies than that.

        Raises:
            CallError: there is none, also after all that was tried.
            StoreError: it could not be kept.
        """
        endpoint = self._endpoint(model)
        course = Course(endpoint, model.deadline, self._policy, self._chance)
        expected = self._expect(model, request)
        while True:
            turn = await self._turn(model, expected, again=course.attempts > 0)
            try:
                reply = await self._attempt(model, request, course, turn, keep)
            except CallError as caught:
                error = self._clients.presentable(model, caught)
                self._note(endpoint, request, error)
                verdict = course.after(error)
                if not verdict.again:
                    raise self._given_up(model, course, error, verdict.why) from caught
                if endpoint.out():
                    raise self._dead(model, course, error) from caught
                if verdict.wait:
                    self._refuse(model, expected)
                    with suppress(WaitEnded):
                        await self._waits.on(model.name, asyncio.sleep(verdict.wait))
            else:
                endpoint.succeeded()
                return reply

    def stop(self, error: UpskillError) -> None:
        """Let no further attempt be made; who waits for one learns of it at once."""
        self.stopped = self.stopped or error
        self._waits.end()

    def _endpoint(self, model: Model) -> Endpoint:
        found = self._endpoints.get(model.name)
        if found is None:
            concurrency = model.concurrency or DEFAULT_CONCURRENCY
            found = self._endpoints[model.name] = Endpoint(concurrency, self._policy)
        return found

    async def _turn(self, model: Model, expected: Expected, *, again: bool) -> _Turn:
        limiter = self._limits.of(model)
        while True:
            self._refuse(model, expected)
            with suppress(WaitEnded):
                ticket = await self._waits.on(model.name, limiter.enter(expected.tokens, again=again))
                break
        try:
            # All may have changed while this call waited for its turn.
            self._refuse(model, expected)
            return _Turn(limiter, ticket, self._budget.reserve(expected.cost))
        except BaseException as error:
            limiter.dropped(ticket)
            if isinstance(error, BudgetSpent):
                self._waits.end()
            raise

    def _refuse(self, model: Model, expected: Expected) -> None:
        if self.stopped is not None:
            raise anew(self.stopped)
        self._clients.refuse_vain_calls(model)
        self._budget.refuse_vain_calls(expected.cost)

    async def _attempt(
        self, model: Model, request: Request, course: Course, turn: _Turn, keep: Keep
    ) -> Reply:
        limiter, ticket, reservation = turn.limiter, turn.ticket, turn.reservation
        self._count(course)
        try:
            reply = await self._complete(model, request)
        except CallError as error:
            self._failed(error, turn)
            raise
        except BaseException:
            limiter.dropped(ticket)
            self._budget.lose(reservation)
            raise
        finally:
            self.traffic.in_flight -= 1
        self._budget.settle(reservation, self._cost(model, reply.usage))
        try:
            await keep(reply)
        finally:
            limiter.leave(ticket, limits=reply.limits, tokens=_tokens(reply.usage))
        return reply

    def _count(self, course: Course) -> None:
        course.begin()
        self.traffic.in_flight += 1
        if course.attempts == 1:
            self.traffic.calls += 1
        else:
            self.traffic.retries += 1

    def _failed(self, error: CallError, turn: _Turn) -> None:
        if error.fault == "limited":
            self.traffic.refusals += 1
            turn.limiter.refused(turn.ticket, error.retry_after, error.limits)
        else:
            turn.limiter.dropped(turn.ticket, error.limits)
        if error.fault == "lost":
            self._budget.lose(turn.reservation)
        else:
            self._budget.release(turn.reservation)

    async def _complete(self, model: Model, request: Request) -> Reply:
        try:
            async with asyncio.timeout(model.timeout + _LATE):
                return await self._asked(model, request)
        except TimeoutError:
            sentence = f"{model.name}: the provider did not end a call within its {model.timeout:g} s"
            raise CallError(sentence, short="timed out", fault="lost") from None
        except CallError as error:
            straighten(error)
            raise

    async def _asked(self, model: Model, request: Request) -> Reply:
        with in_words(f"{model.name}: the provider failed", CallError):
            reply: object = await self._clients.provider(model).complete(request, model.timeout)
        if isinstance(reply, Reply) and isinstance(reply.text, str):
            return cleaned(reply, lambda text: self._clients.mask(model, text))
        raise CallError(
            f"{model.name}: the provider returned {type(reply).__name__}, not a Reply with a text"
        )

    def _note(self, endpoint: Endpoint, request: Request, error: CallError) -> None:
        if error.fault in ("limited", "final"):
            endpoint.alive()
        else:
            endpoint.failed(request.messages, error.fault)

    def _given_up(self, model: Model, course: Course, error: CallError, why: str) -> CallError:
        if error.fatal:
            self._give_up(model, error)
            return error
        if error.fault == "final":
            return error
        if error.fault == "limited":
            return self._limited(model, course, error, why)
        if self._endpoint(model).dead(error.fault, course.successes_before):
            return self._dead(model, course, error)
        return _with(error, f"{error} ({why})" if why else str(error))

    def _limited(self, model: Model, course: Course, error: CallError, why: str) -> CallError:
        asks_too_much = (error.retry_after or 0.0) > self._policy.longest_wait
        served_others = self._endpoint(model).successes > course.successes_before
        told = _with(error, f"{error} ({why})", fatal=asks_too_much or not served_others)
        if told.fatal:
            # Whoever else asks is refused as well.
            self._give_up(model, told)
        return told

    def _dead(self, model: Model, course: Course, error: CallError) -> CallError:
        tried = f"{counted(course.attempts)} in {course.spent:.0f} s"
        told = _with(error, f"{error} (given up after {tried})", fatal=True)
        self._give_up(model, told)
        return told

    def _give_up(self, model: Model, error: CallError) -> None:
        self._clients.give_up(model, error)
        self._waits.end(model.name)


def _with(error: CallError, sentence: str, *, fatal: bool = False) -> CallError:
    return CallError(sentence, short=error.short, fatal=fatal, fault=error.fault)


def _tokens(usage: Usage) -> int | None:
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    return usage.input_tokens + usage.output_tokens
