"""Batches: requests that are handed in together, for later and for less."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pytest_upskill.calls.batch_desk import Desk, Poll, Slip, Wanted
from pytest_upskill.calls.batch_follow import Following
from pytest_upskill.calls.batch_submit import Submitter
from pytest_upskill.calls.budget import Budget
from pytest_upskill.calls.claims import Claims
from pytest_upskill.calls.clients import Clients, anew
from pytest_upskill.calls.store import Store, endpoint_of
from pytest_upskill.errors import CallError, UpskillError
from pytest_upskill.protocols import BatchProvider
from pytest_upskill.types import Model, Reply, Request, Usage

__all__ = ["Batcher", "Poll", "Wanted"]

_KEPT = 30 * 86400  # seconds; no provider keeps results longer
_OTHERS = 0.1  # seconds between two looks whether another process has handed in its batch
_LONGEST_OTHERS = 900.0  # seconds
_LONGEST_SUBMIT = 2.0  # seconds that are given at the end of a run to a batch that is being handed in


@dataclass(slots=True)
class _Lot:
    """The requests of one model that go into batches, and the batches that hold them."""

    wanted: dict[bytes, Wanted] = field(default_factory=dict)
    batches: dict[bytes, Following] = field(default_factory=dict)
    error: UpskillError | None = None


class Batcher:
    """Gets replies from batches, on the engine's loop.

    The first request of a model looks for its open batches in the store and hands in what is in none of them. A batch
    stands in the store before it is asked after, so that a later run finds it.

    Args:
        store: None remembers nothing: a later run hands in again.
        claims: between processes that share the store.
        wanted: asked once a model for all its requests that nothing has answered yet.
        budget: asked for each request of a batch.
        cost: what a request is expected to cost at the list price, in US dollars.
        notice: takes whole sentences for the end of the run.
        clients: open; they mask what must not be shown.
        paid: what a usage costs at the list price, in US dollars.
        poll: how often batches are asked after.
    """

    def __init__(
        self,
        store: Store | None,
        claims: Claims | None,
        wanted: Callable[[Model], Sequence[Wanted]],
        budget: Budget,
        cost: Callable[[Model, Request], float | None],
        notice: Callable[[str], None],
        *,
        clients: Clients,
        paid: Callable[[Model, Usage], float | None],
        poll: Poll | None = None,
    ) -> None:
        self._desk = Desk(store, budget, paid, notice, clients, poll or Poll())
        self._store = store
        self._claims = claims
        self._wanted = wanted
        self._cost = cost
        self._lots: dict[str, asyncio.Task[_Lot]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._batches: list[Following] = []

    def brought(self, key: bytes) -> Reply | None:
        """Return the reply that a batch has brought in this run, or None."""
        return self._desk.brought.get(key)

    async def reply(self, model: Model, provider: BatchProvider, key: bytes) -> Reply | None:
        """Wait for the reply to a request; None when it must be called by itself.

        Raises:
            CallError: its batch could not be read, and stays in the store.
            StoreError: the store cannot be used.
        """
        begun = self._lots.get(model.name)
        if begun is None:
            begun = self._lots[model.name] = asyncio.ensure_future(self._begin(model, provider))
        lot = await asyncio.shield(begun)
        if lot.error is not None:
            raise anew(lot.error)
        batch = lot.batches.get(key)
        if batch is not None:
            return await batch.reply(key)
        if key not in lot.wanted and self._store is not None:
            # Another process may have read it from its batch while this one looked.
            return self._store.get(key)
        return None

    def words(self) -> str:
        """Say how far the batches are; nothing when none is under way."""
        return ", ".join(batch.words for batch in self._batches if not batch.task.done())

    async def close(self) -> None:
        """Stop waiting; what was handed in goes on at the provider."""
        begun = list(self._lots.values())
        if begun:
            # A batch without an id in the store is paid for and lost.
            await asyncio.wait(begun, timeout=_LONGEST_SUBMIT)
        for task in begun:
            task.cancel()
        if begun:
            await asyncio.wait(begun)
        await asyncio.gather(*(batch.close() for batch in self._batches))

    async def _begin(self, model: Model, provider: BatchProvider) -> _Lot:
        lot = _Lot()
        endpoint = endpoint_of(model)

        def follow(slip: Slip) -> None:
            batch = Following(slip, model, provider, self._desk)
            self._batches.append(batch)
            lot.batches.update(dict.fromkeys(slip.wanted, batch))

        submitter = Submitter(model, provider, endpoint, self._desk, self._cost)
        try:
            async with self._alone(endpoint):
                # Not before: meanwhile others may have put replies into the store.
                lot.wanted.update((wanted.key, wanted) for wanted in self._wanted(model))
                await self._attach(endpoint, submitter, lot, follow)
                rest = [wanted for key, wanted in lot.wanted.items() if key not in lot.batches]
                await submitter.hand_in(rest, follow)
        except UpskillError as error:
            lot.error = error
        return lot

    async def _attach(
        self, endpoint: str, submitter: Submitter, lot: _Lot, follow: Callable[[Slip], None]
    ) -> None:
        """Follow what earlier runs and other processes have handed in."""
        if self._store is None or not lot.wanted:
            return
        for stored in self._store.open_batches(endpoint):
            mine = frozenset(stored.keys & lot.wanted.keys() - lot.batches.keys())
            if time.time() - stored.created > _KEPT:
                await self._store.forget_batch(stored.id)
            elif mine:
                name = await submitter.found(stored)
                if name is not None:
                    follow(Slip(name, endpoint, stored.keys, mine))

    @asynccontextmanager
    async def _alone(self, endpoint: str) -> AsyncIterator[None]:
        """Keep others from handing in the same requests between the look and the hand-in."""
        key = hashlib.sha256(b"batches at %s" % endpoint.encode("utf-8", "replace")).digest()
        async with self._locks.setdefault(endpoint, asyncio.Lock()):
            await self._claimed(key, endpoint)
            try:
                yield
            finally:
                if self._claims is not None:
                    self._claims.release(key)

    async def _claimed(self, key: bytes, endpoint: str) -> None:
        # What holds a claim is a lock of the system: nobody tells when it is given back.
        waited = 0.0
        while self._claims is not None and not self._claims.take(key):
            if waited >= _LONGEST_OTHERS:
                raise CallError(
                    f"another run that shares the store has been handing in a batch to {endpoint} for "
                    f"{_LONGEST_OTHERS:.0f} s: end it, or run again without --upskill-batch",
                    short="another run is handing in a batch",
                )
            await asyncio.sleep(_OTHERS)
            waited += _OTHERS
