"""Getting a reply: from the store, from a call that is under way here or in another run, or by a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pytest_upskill.calls.attempts import Attempts
from pytest_upskill.calls.claims import Claims, claimed
from pytest_upskill.calls.clients import Clients, anew, finished
from pytest_upskill.calls.store import Store, StoreError, endpoint_of
from pytest_upskill.errors import CallError
from pytest_upskill.protocols import BatchProvider
from pytest_upskill.types import CacheMode, Model, Reply, Request, Source


class Batches(Protocol):
    """Replies that come from a batch; None where the batch has none."""

    def brought(self, key: bytes) -> Reply | None: ...

    async def reply(self, model: Model, provider: BatchProvider, key: bytes) -> Reply | None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Got:
    """A reply and where it came from."""

    reply: Reply
    source: Source


@dataclass(frozen=True, slots=True)
class _Flight:
    """A call that is under way or has failed, and the name of the model for which it was made."""

    model: str
    call: asyncio.Task[Got]


class Caller:
    """Gets the replies of a run, on the engine's loop; identical requests are made once.

    Args:
        clients: whom to ask.
        attempts: how to ask.
        store: where replies are kept; None keeps none.
        claims: which requests other runs with the same store are making.
        mode: `refresh` asks again for what is stored.
        batches: where requests may go before they are made one by one.
        notice: takes whole sentences for the end of the run.
    """

    def __init__(
        self,
        clients: Clients,
        attempts: Attempts,
        store: Store | None,
        claims: Claims | None,
        mode: CacheMode,
        batches: Batches | None = None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._clients = clients
        self._attempts = attempts
        self._store = store
        self._claims = claims if mode == "auto" else None
        self._mode = mode
        self._batches = batches
        self._notice = notice
        self._elsewhere = 0
        self._looked = False
        self._flights: dict[bytes, _Flight] = {}
        self._landed: dict[bytes, Got] = {}

    def stored(self, key: bytes) -> Reply | None:
        """Return the reply that the store holds.

        Raises:
            StoreError: the store cannot be used.
        """
        return self._store.get(key) if self._store is not None else None

    async def reply(self, model: Model, key: bytes, request: Callable[[], Request]) -> Got:
        """Return the reply.

        Args:
            model: whom to ask.
            key: of the request in the store.
            request: makes the request, when a call is needed.

        Raises:
            CallError: there is no reply.
            StoreError: the store cannot be used.
        """
        while True:
            landed = self._landed.get(key)
            if landed is not None:
                return landed
            flight = self._flights.get(key)
            if flight is None:
                if self._mode == "auto" or not self._looked:
                    # Once also where nothing stored is wanted: a store that cannot be opened is found before a
                    # call is paid.
                    stored = self.stored(key)
                    self._looked = True
                    if stored is not None and self._mode == "auto":
                        return Got(stored, self._origin(key))
                call = asyncio.ensure_future(self._claimed(model, key, request))
                flight = self._flights[key] = _Flight(model.name, call)
            try:
                got = await asyncio.shield(flight.call)
            except CallError:
                if flight.model == model.name:
                    raise
                # Another name for the same model, perhaps with another key: its failure is not shared.
                if self._flights.get(key) is flight:
                    del self._flights[key]
            else:
                # A task that has ended is ten objects more than its result, for each call of a run.
                self._landed[key] = got
                self._flights.pop(key, None)
                return got

    def words(self) -> str:
        """Say how many replies another run is getting; nothing when none is waited for. Any thread."""
        are = "reply is" if self._elsewhere == 1 else "replies are"
        return f"{self._elsewhere} {are} awaited from another run" if self._elsewhere else ""

    async def close(self) -> None:
        """End the calls, and close the clients and the store."""
        calls = [flight.call for flight in self._flights.values()]
        for call in calls:
            call.cancel()
        if self._batches is not None:
            await self._batches.close()
        await finished(calls)
        await self._clients.close()
        if self._store is not None:
            await self._store.close()
        if self._claims is not None:
            self._claims.close()

    def _origin(self, key: bytes) -> Source:
        # A batch of this run puts all of its replies into the store before each sample asks for its own.
        return "batch" if self._batches is not None and self._batches.brought(key) is not None else "store"

    async def _claimed(self, model: Model, key: bytes, request: Callable[[], Request]) -> Got:
        if self._claims is None or self._store is None:
            return await self._made(model, key, request)
        stored = await self._from_elsewhere(self._claims, self._store, model, key)
        if stored is not None:
            return Got(stored, self._origin(key))
        try:
            return await self._made(model, key, request)
        finally:
            self._claims.release(key)

    async def _from_elsewhere(self, claims: Claims, store: Store, model: Model, key: bytes) -> Reply | None:
        # As long as a sample is tried for in the other run, if it is alive.
        patience = model.deadline + model.timeout
        self._elsewhere += 1
        try:
            stored = await claimed(claims, store, key, patience)
        finally:
            self._elsewhere -= 1
        if stored is None and not claims.has(key):
            self._notice(
                f"{model.name}: another run that shares the store has been asking for the same replies for "
                f"{patience:.0f} s: they are asked for here as well"
            )
        return stored

    async def _made(self, model: Model, key: bytes, request: Callable[[], Request]) -> Got:
        await self._clients.ready(model)
        if self._attempts.stopped is not None:
            raise anew(self._attempts.stopped)
        provider = self._clients.provider(model)
        if self._batches is not None and isinstance(provider, BatchProvider):
            batched = await self._batches.reply(model, provider, key)
            if batched is not None:
                return Got(batched, "batch")

        async def keep(reply: Reply) -> None:
            if self._store is not None:
                await self._put(self._store, key, reply, model)

        return Got(await self._attempts.reply(model, request(), keep), "call")

    async def _put(self, store: Store, key: bytes, reply: Reply, model: Model) -> None:
        try:
            await store.put(key, reply, endpoint_of(model))
        except StoreError as error:
            # A reply that cannot be kept is paid for again: no more of them.
            self._attempts.stop(error)
            raise
