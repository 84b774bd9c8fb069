"""What the tests of batches share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import pytest

from pytest_upskill.errors import CallError
from pytest_upskill.protocols import BatchProvider
from pytest_upskill.types import Model, Reply, Request
from tests.batch_server import BatchServer
from tests.providers.api import Kind, model, request

T = TypeVar("T")
Results = dict[str, Reply | Exception]


def name(number: int) -> str:
    """Return an id as the engine gives them: 64 letters."""
    return f"{number:064x}"


def requests(count: int = 3) -> dict[str, Request]:
    return {name(n): request(f"question {n}", "be brief") for n in range(count)}


def opened(kind: Kind, target: str | Model, do: Callable[[BatchProvider], Awaitable[T]]) -> T:
    """Open a provider, do something with it, and close it, in a loop of its own."""

    async def go() -> T:
        provider = kind(target if isinstance(target, Model) else model(kind, target))
        try:
            await provider.open()
            return await do(provider)
        finally:
            await provider.close()

    return asyncio.run(go())


async def read(provider: BatchProvider, batch: str, found: Results | None = None) -> Results:
    """Return the results of a batch; what came before an error is in `found`."""
    found = {} if found is None else found
    async for key, what in provider.results(batch):
        found[key] = what
    return found


def results(kind: Kind, server: BatchServer, asked: Mapping[str, Request] | None = None) -> Results:
    """Hand in a batch, wait for it and read it."""

    async def do(provider: BatchProvider) -> Results:
        batch = await provider.submit(asked or requests())
        while not (await provider.state(batch)).ended:
            pass
        return await read(provider, batch)

    return opened(kind, server.url, do)


def fails(kind: Kind, target: str | Model, do: Callable[[BatchProvider], Awaitable[object]]) -> CallError:
    """Return the error that it ends in."""
    with pytest.raises(CallError) as caught:
        opened(kind, target, do)
    return caught.value


async def submitted(provider: BatchProvider) -> str:
    return await provider.submit(requests())
