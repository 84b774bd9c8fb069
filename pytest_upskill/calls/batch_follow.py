"""One batch that was handed in: asked after until it ends, then read into the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

from pytest_upskill.calls.batch_desk import Desk, Slip, one_by_one
from pytest_upskill.calls.clients import anew, finished
from pytest_upskill.calls.received import cleaned
from pytest_upskill.calls.strangers import in_words
from pytest_upskill.errors import CallError, UpskillError
from pytest_upskill.protocols import BatchProvider, BatchState
from pytest_upskill.types import Model, Reply

T = TypeVar("T")
_READINGS = 3  # of results in which requests of the batch are missing
_LONGEST_END = 2.0  # seconds that are given at the end of a run to a batch that is being read
_TOGETHER = 200  # replies that are written to the store at a time
_AGAIN = "run the same command again to read its replies"
_NEVER = "no later run reads it, as --upskill-cache=off keeps no store"


class Following:
    """Follows a batch in a task of its own, on the engine's loop."""

    def __init__(self, slip: Slip, model: Model, provider: BatchProvider, desk: Desk) -> None:
        self.slip = slip
        self.state = BatchState(0, len(slip.keys), ended=False)
        self._model = model
        self._provider = provider
        self._desk = desk
        self._failed: dict[bytes, CallError] = {}
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self._error: UpskillError | None = None
        self._pause = desk.poll.first
        self._silent = 0.0
        self.task = asyncio.ensure_future(self._follow())

    @property
    def words(self) -> str:
        """How far the batch is."""
        return f"batch {self.slip.id}: {self.state.done}/{self.state.total or len(self.slip.keys)}"

    async def reply(self, key: bytes) -> Reply | None:
        """Wait for the reply to a request; None when the batch has none.

        Raises:
            UpskillError: the batch could not be read, or the store not be written.
        """
        if key not in self._desk.brought and key not in self._failed and not self.task.done():
            ready = self._waiting.setdefault(key, asyncio.get_running_loop().create_future())
            await asyncio.shield(ready)
        reply = self._desk.brought.get(key)
        if reply is None and self._error is not None:
            raise anew(self._error)
        return reply

    async def close(self) -> None:
        """Stop following; the batch goes on at the provider."""
        if self.state.ended:
            await asyncio.wait([self.task], timeout=_LONGEST_END)
        going_on = not self.task.done()
        self.task.cancel()
        await finished([self.task])
        if going_on:
            later = _AGAIN if self._desk.store is not None else _NEVER
            self._desk.notice(
                f"{self._model.name}: the batch {self.slip.id} goes on at the provider and is paid for: {later}"
            )

    async def _follow(self) -> None:
        try:
            # Whatever happens here, those who wait must hear of it.
            with in_words(f"{self._model.name}: the batch {self.slip.id} could not be followed", CallError):
                await self._to_its_end()
        except CallError as error:
            self._error = self._kept(error)
        except UpskillError as error:
            self._error = error
        finally:
            for reservation in self.slip.reservations.values():
                self._desk.budget.lose(reservation)
            self.slip.reservations.clear()
        self._wake(list(self._waiting))

    async def _to_its_end(self) -> None:
        await self._until_ended()
        if self.state.gone:
            self._tell("is not known at the server any more", self.slip.wanted)
        else:
            await self._read()
        if self._desk.store is not None:
            await self._desk.store.forget_batch(self.slip.id)

    async def _until_ended(self) -> None:
        while True:
            try:
                state = await self._desk.asked(self._model, self._provider.state(self.slip.id))
            except CallError as error:
                await self._tolerate(error)
                continue
            self._silent = 0.0
            # Said twice: a batch may not be known everywhere in the moment after it was made.
            over = state.ended and (self.state.gone or not state.gone)
            self.state = state
            if over:
                return
            await self._wait()

    async def _tolerate(self, error: CallError) -> None:
        pause = max(self._pause, error.retry_after or 0.0)
        self._silent += pause
        if error.fatal or error.fault == "final" or self._silent > self._desk.poll.patience:
            raise error
        await self._wait(pause)

    async def _wait(self, pause: float = 0.0) -> None:
        await self._desk.poll.sleep(pause or self._pause)
        self._pause = self._desk.poll.after(self._pause)

    async def _read(self) -> None:
        self._pause = self._desk.poll.first
        readings = 0
        while readings < _READINGS and self._left():
            try:
                await self._reading()
            except CallError as error:
                if error.fault != "final" or error.fatal:
                    await self._tolerate(error)
                    continue
                self._release(self.slip.keys)
                self._tell(f"failed ({error})", self._left() & self.slip.wanted)
                return
            readings += 1
            if self._left() and readings < _READINGS:
                await self._wait()
        self._tell_of_failed()

    def _left(self) -> frozenset[bytes]:
        return self.slip.keys - self._desk.brought.keys() - self._failed.keys()

    async def _reading(self) -> None:
        found: dict[bytes, Reply | Exception] = {}
        left = self._left()
        try:
            with in_words(f"{self._model.name}: the provider failed", CallError):
                async with _closing(self._provider.results(self.slip.id)) as results:
                    async for name, what in results:
                        key = _key(name)
                        # What was handed in under a name that we do not know is not ours.
                        if key is not None and key in left:
                            found[key] = what
                        if len(found) >= _TOGETHER:
                            await self._take(found)
        except CallError as caught:
            raise self._desk.clients.presentable(self._model, caught) from caught
        finally:
            # What came before the rest was lost is paid for.
            await self._take(found)

    async def _take(self, found: dict[bytes, Reply | Exception]) -> None:
        rows, replies = dict(found), {}
        found.clear()
        for key, what in rows.items():
            if isinstance(what, Reply) and isinstance(what.text, str):
                replies[key] = cleaned(what, self._mask)
            else:
                self._failed[key] = self._met(what)
        if self._desk.store is not None:
            puts = (self._desk.store.put(key, reply, self.slip.endpoint) for key, reply in replies.items())
            await asyncio.gather(*puts)
        self._settle(replies)
        self._release(self._failed)
        self._desk.brought.update(replies)
        self._wake(rows)

    def _mask(self, text: str) -> str:
        return self._desk.clients.mask(self._model, text)

    def _met(self, what: object) -> CallError:
        if not isinstance(what, CallError):
            what = CallError(f"the provider returned {type(what).__name__}, not a Reply with a text")
        return self._desk.clients.presentable(self._model, what)

    def _settle(self, replies: dict[bytes, Reply]) -> None:
        for key, reply in replies.items():
            reservation = self.slip.reservations.pop(key, None)
            if reservation is not None:
                cost = self._desk.paid(self._model, reply.usage)
                part = self._provider.batch_discount
                self._desk.budget.settle(reservation, None if cost is None else cost * part)

    def _release(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            reservation = self.slip.reservations.pop(key, None)
            if reservation is not None:
                self._desk.budget.release(reservation)

    def _wake(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            ready = self._waiting.pop(key, None)
            if ready is not None and not ready.done():
                ready.set_result(None)

    def _tell_of_failed(self) -> None:
        without = self.slip.wanted - self._desk.brought.keys()
        met = [str(error) for key, error in self._failed.items() if key in without]
        why = f"such as: {met[0]}" if met else "they are missing in its results"
        self._tell(f"has no reply to {len(without)} of {len(self.slip.keys)} requests ({why})", without)

    def _tell(self, what: str, without: Collection[bytes]) -> None:
        if without:
            name = self._model.name
            self._desk.notice(f"{name}: the batch {self.slip.id} {what}: {one_by_one(len(without))}")

    def _kept(self, error: CallError) -> CallError:
        name = self.slip.id
        later = f"the batch {name} is kept in the store: {_AGAIN}"
        if self._desk.store is None:
            later = f"the batch {name} goes on at the provider, but {_NEVER}"
        return CallError(f"{error}; {later}", short=f"batch not read: {error.short}", fault=error.fault)


def _key(name: object) -> bytes | None:
    try:
        return bytes.fromhex(name) if isinstance(name, str) else None
    except ValueError:
        return None


@asynccontextmanager
async def _closing(results: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    try:
        yield results
    finally:
        close = getattr(results, "aclose", None)  # an iterator need not have it
        if close is not None:
            await close()
