"""Making one call: within the limits and the budget, tried again where that may help."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from pytest_upskill.calls.budget import Budget, Reservation
from pytest_upskill.calls.clients import Clients
from pytest_upskill.calls.estimate import Expected
from pytest_upskill.calls.limits import Limiter, Limits, Ticket
from pytest_upskill.calls.retry import Course, Endpoint, Policy, counted
from pytest_upskill.calls.strangers import in_words
from pytest_upskill.errors import CallError
from pytest_upskill.types import DEFAULT_CONCURRENCY, Model, Reply, Request, Usage


Keep = Callable[[Reply], Awaitable[None]]


@dataclass(slots=True)
class Traffic:
    """What went to the servers: `calls` that were begun, `retries` of them, `refusals` for a limit."""

    calls: int = 0
    retries: int = 0
    refusals: int = 0
    in_flight: int = 0


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
        self._numbers = iter(range(1 << 62))
        self.traffic = Traffic()

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
        number = next(self._numbers)
        while True:
            try:
                reply = await self._attempt(model, request, course, keep)
            except CallError as caught:
                error = self._clients.presentable(model, caught)
                if not course.attempts:
                    raise error from caught
                self._note(endpoint, number, error)
                verdict = course.after(error)
                if not verdict.again:
                    raise self._given_up(model, course, error, verdict.why) from caught
                if endpoint.out():
                    raise self._dead(model, course, error) from caught
                if verdict.wait:
                    await self._clients.pause(model, verdict.wait)
            else:
                endpoint.succeeded()
                return reply

    def _endpoint(self, model: Model) -> Endpoint:
        found = self._endpoints.get(model.name)
        if found is None:
            concurrency = model.concurrency or DEFAULT_CONCURRENCY
            found = self._endpoints[model.name] = Endpoint(concurrency, self._policy)
        return found

    async def _attempt(self, model: Model, request: Request, course: Course, keep: Keep) -> Reply:
        limiter = self._limits.of(model)
        expected = self._expect(model, request)
        ticket = await limiter.enter(expected.tokens, again=course.attempts > 0)
        try:
            # Both may have changed while this call waited for its turn.
            self._clients.refuse_vain_calls(model)
            reservation = self._budget.reserve(expected.cost)
        except BaseException:
            limiter.dropped(ticket)
            raise
        self._count(course)
        try:
            reply = await self._complete(model, request)
        except CallError as error:
            self._failed(error, limiter, ticket, reservation)
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

    def _failed(self, error: CallError, limiter: Limiter, ticket: Ticket, reservation: Reservation) -> None:
        if error.fault == "limited":
            self.traffic.refusals += 1
            limiter.refused(ticket, error.retry_after, error.limits)
        else:
            limiter.dropped(ticket, error.limits)
        if error.fault == "lost":
            self._budget.lose(reservation)
        else:
            self._budget.release(reservation)

    async def _complete(self, model: Model, request: Request) -> Reply:
        with in_words(f"{model.name}: the provider failed", CallError):
            reply: object = await self._clients.provider(model).complete(request, model.timeout)
        if isinstance(reply, Reply) and isinstance(reply.text, str):
            return self._clean(model, reply)
        raise CallError(
            f"{model.name}: the provider returned {type(reply).__name__}, not a Reply with a text"
        )

    def _clean(self, model: Model, reply: Reply) -> Reply:
        return cleaned(reply, lambda text: self._clients.mask(model, text))

    def _note(self, endpoint: Endpoint, number: int, error: CallError) -> None:
        if error.fault in ("limited", "final"):
            endpoint.alive()
        else:
            endpoint.failed(number, error.fault)

    def _given_up(self, model: Model, course: Course, error: CallError, why: str) -> CallError:
        if error.fatal:
            self._clients.give_up(model, error)
            return error
        if error.fault == "final":
            return error
        if error.fault == "limited":
            # Whoever else asks is refused as well.
            told = _with(error, f"{error} ({why})", fatal=True)
            self._clients.give_up(model, told)
            return told
        if self._endpoint(model).dead(error.fault, course.successes_before):
            return self._dead(model, course, error)
        return _with(error, f"{error} ({why})" if why else str(error))

    def _dead(self, model: Model, course: Course, error: CallError) -> CallError:
        tried = f"{counted(course.attempts)} in {course.spent:.0f} s"
        told = _with(error, f"{error} (given up after {tried})", fatal=True)
        self._clients.give_up(model, told)
        return told


def _with(error: CallError, sentence: str, *, fatal: bool = False) -> CallError:
    return CallError(sentence, short=error.short, fatal=fatal, fault=error.fault)


def _tokens(usage: Usage) -> int | None:
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    return usage.input_tokens + usage.output_tokens


def cleaned(reply: Reply, mask: Callable[[str], str]) -> Reply:
    """Return a reply that any file, terminal or worker takes, and that holds no key."""
    # JSON can carry lone surrogates.
    return replace(
        reply,
        text=mask(_encodable(reply.text)),
        model=mask(_encodable(reply.model)) if isinstance(reply.model, str) else None,
        stop_reason=mask(_encodable(reply.stop_reason)) if isinstance(reply.stop_reason, str) else None,
    )


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
