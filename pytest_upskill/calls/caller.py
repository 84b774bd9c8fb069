"""Getting a reply: from the store, from a call that is under way, or by a call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pytest_upskill.calls.store import Store, StoreError
from pytest_upskill.calls.strangers import in_words, presentable
from pytest_upskill.errors import CallError
from pytest_upskill.protocols import Provider
from pytest_upskill.types import CacheMode, Model, Reply, Request

_LONGEST_CLOSE = 3.0  # seconds, for each kind of what is open


@dataclass(frozen=True, slots=True)
class _Flight:
    """A call that is under way or done, and the name of the model for which it was made."""

    model: str
    call: asyncio.Task[Reply]


class Caller:
    """Makes the calls of a run, on the engine's loop; identical requests are made once."""

    def __init__(self, providers: Mapping[str, Provider], store: Store | None, mode: CacheMode) -> None:
        self._providers = providers
        self._store = store
        self._mode = mode
        self._flights: dict[bytes, _Flight] = {}
        self._clients: dict[str, asyncio.Task[None]] = {}
        self._open: list[Provider] = []
        self._unwritable: StoreError | None = None
        # The whole sentence of what keeps a model from being called, by its name.
        self.down: dict[str, CallError] = {}
        self.calls = 0

    async def reply(self, model: Model, key: bytes, request: Callable[[], Request]) -> tuple[Reply, bool]:
        """Return the reply and whether it came from the store.

        Args:
            model: whom to ask.
            key: of the request in the store.
            request: makes the request, when a call is needed.

        Raises:
            CallError: there is no reply.
            StoreError: the store cannot be used.
        """
        while True:
            flight = self._flights.get(key)
            if flight is None:
                # Also where nothing stored is wanted: a store that cannot be opened is found before a call is paid.
                stored = self._store.get(key) if self._store is not None else None
                if stored is not None and self._mode in ("auto", "replay"):
                    return stored, True
                call = asyncio.ensure_future(self._call(model, key, request))
                flight = self._flights[key] = _Flight(model.name, call)
            try:
                return await asyncio.shield(flight.call), False
            except CallError:
                if flight.model == model.name:
                    raise
                # Another name for the same model, perhaps with another key: its failure is not shared.
                if self._flights.get(key) is flight:
                    del self._flights[key]

    async def close(self) -> None:
        """End the calls, close the clients and the store."""
        calls = [*(flight.call for flight in self._flights.values()), *self._clients.values()]
        for call in calls:
            call.cancel()
        await finished(calls)
        await finished([asyncio.ensure_future(closed(provider)) for provider in self._open])
        if self._store is not None:
            await self._store.close()

    async def _call(self, model: Model, key: bytes, request: Callable[[], Request]) -> Reply:
        if self._mode == "replay":
            raise CallError(f"{model.name}: no stored reply, and --upskill-cache=replay makes no call")
        await self._client(model)
        self._refuse_vain_calls(model)
        self.calls += 1
        try:
            reply = await self._complete(model, request())
        except CallError as caught:
            error = _presentable(caught, model)
            if error.fatal:
                self.down.setdefault(model.name, error)
            raise error from caught
        if self._store is not None:
            await self._put(self._store, key, reply)
        return reply

    async def _complete(self, model: Model, request: Request) -> Reply:
        with in_words(f"{model.name}: the provider failed", CallError):
            reply: object = await self._providers[model.name].complete(request, model.timeout)
        if isinstance(reply, Reply) and isinstance(reply.text, str):
            return _clean(reply)
        raise CallError(
            f"{model.name}: the provider returned {type(reply).__name__}, not a Reply with a text"
        )

    def _refuse_vain_calls(self, model: Model) -> None:
        if self._unwritable is not None:
            raise self._unwritable
        error = self.down.get(model.name)
        if error is not None:
            raise error

    async def _put(self, store: Store, key: bytes, reply: Reply) -> None:
        try:
            await store.put(key, reply)
        except StoreError as error:
            # A reply that cannot be kept is paid for again: no more of them.
            self._unwritable = error
            raise

    async def _client(self, model: Model) -> None:
        ready = self._clients.get(model.name)
        if ready is None:
            ready = self._clients[model.name] = asyncio.ensure_future(self._open_client(model))
        await asyncio.shield(ready)

    async def _open_client(self, model: Model) -> None:
        provider = self._providers[model.name]
        self._open.append(provider)
        try:
            with in_words(f"{model.name}: the provider could not be opened", CallError):
                await provider.open()
        except CallError as caught:
            self.down[model.name] = error = _presentable(caught, model)
            raise error from caught


def _presentable(error: CallError, model: Model) -> CallError:
    sentence, short = (presentable(text, model.api_key_env) for text in (str(error), error.short))
    return CallError(sentence, short=short, fatal=error.fatal)


class _Closable(Protocol):
    async def close(self) -> None: ...


async def closed(what: _Closable) -> None:
    # What one of them raises must not keep the others open; nobody is left to be told.
    with contextlib.suppress(CallError), in_words("closing failed", CallError):
        await what.close()


async def finished(tasks: Sequence[asyncio.Future[Any]]) -> None:
    if not tasks:
        return
    done, late = await asyncio.wait(tasks, timeout=_LONGEST_CLOSE)
    for task in late:
        task.cancel()
    for task in done:
        if not task.cancelled():
            task.exception()  # a failure that nobody waits for any more is no news


def _clean(reply: Reply) -> Reply:
    # JSON can carry lone surrogates, which no file, terminal or worker takes.
    return replace(
        reply,
        text=_encodable(reply.text),
        model=_encodable(reply.model) if isinstance(reply.model, str) else None,
        stop_reason=_encodable(reply.stop_reason) if isinstance(reply.stop_reason, str) else None,
    )


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
