"""What the batches of a run share, and what is known of one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

from pytest_upskill.calls.budget import Budget, Reservation
from pytest_upskill.calls.clients import Clients
from pytest_upskill.calls.received import straighten
from pytest_upskill.calls.store import Store
from pytest_upskill.calls.strangers import in_words
from pytest_upskill.errors import CallError
from pytest_upskill.types import Model, Reply, Request, Usage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request that may go into a batch: its key in the store, and what makes it."""

    key: bytes
    request: Callable[[], Request]


@runtime_checkable
class Finder(Protocol):
    """A provider that can look for a batch whose id was lost."""

    async def find(self, ids: Collection[str], since: float) -> str | None:
        """Return the batch of just these requests that was made since then (seconds since 1970), or None."""


@dataclass(frozen=True, slots=True)
class Poll:
    """How often a batch is asked after, in seconds.

    Attributes:
        first: after so long, each later time after `growth` times as long as before, `longest` at most.
        patience: samples that wait are given up when no question was answered for so long.
        sleep: waits.
    """

    first: float = 1.0
    growth: float = 1.5
    longest: float = 60.0
    patience: float = 1800.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def after(self, pause: float) -> float:
        """Return how long is waited the next time."""
        return min(self.longest, pause * self.growth)


@dataclass(frozen=True, slots=True)
class Desk:
    """What the batches of a run share.

    Attributes:
        paid: what a usage costs at the list price, in US dollars; None when it is unknown.
        notice: takes whole sentences for the end of the run.
        brought: the replies that came from batches in this run.
    """

    store: Store | None
    budget: Budget
    paid: Callable[[Model, Usage], float | None]
    notice: Callable[[str], None]
    clients: Clients
    poll: Poll
    brought: dict[bytes, Reply] = field(default_factory=dict)

    async def asked(self, model: Model, question: Awaitable[T]) -> T:
        """Await what a provider does. Raises `CallError`, fit to be shown, whatever it raises."""
        try:
            with in_words(f"{model.name}: the provider failed", CallError):
                return await question
        except CallError as caught:
            straighten(caught)
            raise self.clients.presentable(model, caught) from caught


@dataclass(slots=True)
class Slip:
    """What is known of a batch.

    Attributes:
        id: at the provider.
        endpoint: where it is, as the store names it.
        keys: of its requests.
        wanted: those of them that this run waits for.
        reservations: what the budget holds for its requests; empty when an earlier run handed it in.
    """

    id: str
    endpoint: str
    keys: frozenset[bytes]
    wanted: frozenset[bytes]
    reservations: dict[bytes, Reservation] = field(default_factory=dict)


def one_by_one(count: int) -> str:
    """Say what becomes of requests that no batch has answered."""
    return "1 request is called by itself" if count == 1 else f"{count} requests are called one by one"
