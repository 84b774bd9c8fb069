"""Handing requests in as batches, so that none is handed in twice."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from pytest_upskill.calls.batch_desk import Desk, Finder, Slip, Wanted, one_by_one
from pytest_upskill.calls.budget import BudgetSpent, Reservation
from pytest_upskill.calls.store import StoredBatch
from pytest_upskill.errors import CallError, UpskillError
from pytest_upskill.protocols import BatchProvider
from pytest_upskill.types import Model, Request

_TRIES = 5  # to hand a batch in
_MOST_BYTES = 50_000_000  # of text in one batch; the servers take four times as much
_AT_ONCE = 100  # requests that are made before others have their turn
_INTENDED = "intended-"  # begins the id under which the store keeps a batch that may have been handed in


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What goes into one batch."""

    requests: dict[bytes, Request]
    reservations: dict[bytes, Reservation]


class Submitter:
    """Hands in the requests of one model.

    Where the provider can look for a batch, the store is told before that one may be there: then no moment is left in
    which the end of this process loses a batch that is paid for.

    Args:
        endpoint: of the model, as the store names it.
        cost: what a request is expected to cost at the list price, in US dollars.
    """

    def __init__(
        self,
        model: Model,
        provider: BatchProvider,
        endpoint: str,
        desk: Desk,
        cost: Callable[[Model, Request], float | None],
    ) -> None:
        self._model = model
        self._provider = provider
        self._endpoint = endpoint
        self._desk = desk
        self._store = desk.store
        self._cost = cost

    async def hand_in(self, rest: Sequence[Wanted], follow: Callable[[Slip], None]) -> None:
        """Hand in requests, in as many batches as it takes, and follow each as soon as it is in the store.

        What cannot be handed in is left to be called, with a notice. Raises `StoreError`.
        """
        done = 0
        async for chunk in self._chunks(rest):
            try:
                name = await self._submit(chunk)
            except CallError as error:
                self._give_back(chunk, error.fault == "lost")
                if not error.fatal:  # what holds for every call is said by the first one
                    perhaps = "; the batch may be there all the same" if error.fault == "lost" else ""
                    self._desk.notice(f"{error}{perhaps}: {one_by_one(len(rest) - done)}")
                return
            except BaseException:
                self._give_back(chunk, served=True)
                raise
            done += len(chunk.requests)
            keys = frozenset(chunk.requests)
            follow(Slip(name, self._endpoint, keys, keys, chunk.reservations))

    async def found(self, stored: StoredBatch) -> str | None:
        """Return the id of a batch that the store names; None when it was never handed in.

        Raises:
            CallError: the server does not say.
        """
        if self._store is None or not stored.id.startswith(_INTENDED):
            return stored.id
        name = await self._find([key.hex() for key in stored.keys], stored.created)
        if name is not None:
            await self._store.add_batch(name, stored.endpoint, stored.keys)
        await self._store.forget_batch(stored.id)
        return name

    async def _chunks(self, rest: Sequence[Wanted]) -> AsyncIterator[_Chunk]:
        chunk, size = _Chunk({}, {}), 0
        for number, wanted in enumerate(rest):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)  # calls of other models go on
            try:
                request = wanted.request()
                length = _length(request)
            except (UpskillError, UnicodeEncodeError):
                continue  # called by itself it says what is wrong
            full = len(chunk.requests) >= self._provider.batch_limit or size + length > _MOST_BYTES
            if chunk.requests and full:
                yield chunk
                chunk, size = _Chunk({}, {}), 0
            try:
                held = self._reserved(request)
            except BudgetSpent:
                break  # called by themselves the others are refused as well
            chunk.requests[wanted.key] = request
            chunk.reservations[wanted.key] = held
            size += length
        if chunk.requests:
            yield chunk

    def _reserved(self, request: Request) -> Reservation:
        cost = self._cost(self._model, request)
        part = self._provider.batch_discount
        return self._desk.budget.reserve(None if cost is None else cost * part)

    def _give_back(self, chunk: _Chunk, served: bool) -> None:
        for held in chunk.reservations.values():
            if served:
                self._desk.budget.lose(held)
            else:
                self._desk.budget.release(held)

    async def _submit(self, chunk: _Chunk) -> str:
        """Hand in a batch and return its id, which then stands in the store."""
        keys = frozenset(chunk.requests)
        requests = {key.hex(): request for key, request in chunk.requests.items()}
        if self._store is None:
            return await self._submitted(requests)
        intended = None
        if isinstance(self._provider, Finder):
            intended = _INTENDED + secrets.token_hex(8)
            await self._store.add_batch(intended, self._endpoint, keys)
        try:
            name = await self._submitted(requests)
            await self._store.add_batch(name, self._endpoint, keys)
        except CallError:
            if intended is not None:
                await self._store.forget_batch(intended)
            raise
        if intended is not None:
            await self._store.forget_batch(intended)
        return name

    async def _submitted(self, requests: Mapping[str, Request]) -> str:
        pause, began, tries, lost = self._desk.poll.first, time.time(), 0, False
        while True:
            tries += 1
            try:
                found = await self._find(requests, began) if lost else None
                if found is not None:
                    return found
                lost = False
                return await self._desk.asked(self._model, self._provider.submit(requests))
            except CallError as error:
                lost = lost or error.fault == "lost"
                unknown = lost and not isinstance(self._provider, Finder)
                if tries == _TRIES or error.fatal or error.fault == "final" or unknown:
                    raise
                await self._desk.poll.sleep(max(pause, error.retry_after or 0.0))
                pause = self._desk.poll.after(pause)

    async def _find(self, ids: Collection[str], since: float) -> str | None:
        if not isinstance(self._provider, Finder):
            return None
        try:
            return await self._desk.asked(self._model, self._provider.find(ids, since))
        except CallError as error:
            if error.fatal or error.fault != "final":
                raise
            return None  # a server that takes batches, but lists none


def _length(request: Request) -> int:
    """Return how many bytes the texts of a request take. Raises `UnicodeEncodeError`."""
    texts = (request.system, *(message.content for message in request.messages))
    return sum(len(text.encode()) for text in texts)
