"""One client for the models that call one server with one key."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from pytest_upskill.errors import CallError
from pytest_upskill.providers.shared import Address, SharedClients
from pytest_upskill.types import Model
from tests.answers import HANG
from tests.loopback import Server
from tests.providers.api import Kind, base, both, clean, model, request

__all__ = ["clean"]


@both
def test_models_with_one_server_and_key_share_a_client_until_the_last_is_closed(kind: Kind) -> None:
    async def go(url: str) -> list[str]:
        clients = SharedClients()
        first, second = (kind(model(kind, url), clients) for _ in range(2))
        await first.open()
        await second.open()
        assert first._client is second._client
        texts = [(await first.complete(request(), 5.0)).text]
        await first.close()
        await first.close()
        texts.append((await second.complete(request(), 5.0)).text)
        client = second._client
        assert client is not None
        await second.close()
        assert client.is_closed()
        return texts

    with Server() as server:
        assert asyncio.run(go(server.url)) == ["pong", "pong"]


@both
def test_another_key_or_server_has_a_client_of_its_own(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE_KEY", "key-number-one")
    monkeypatch.setenv("TWO_KEY", "key-number-two")

    async def go(one: str, two: str) -> int:
        clients = SharedClients()
        models = [
            model(kind, one),
            model(kind, two),
            model(kind, one, api_key_env="ONE_KEY"),
            model(kind, one, api_key_env="TWO_KEY"),
        ]
        providers = [kind(each, clients) for each in models]
        for provider in providers:
            await provider.open()
            await provider.complete(request(), 5.0)
        found = len({id(provider._client) for provider in providers})
        for provider in providers:
            await provider.close()
        return found

    with Server() as one, Server() as two:
        assert asyncio.run(go(one.url, two.url)) == 4
    assert ["key-number" in str(received.headers) for received in one.requests] == [False, True, True]


@both
def test_without_a_registry_nothing_is_shared(kind: Kind) -> None:
    async def go() -> bool:
        first, second = (kind(model(kind, "http://127.0.0.1:1")) for _ in range(2))
        await first.open()
        await second.open()
        same = first._client is second._client
        await first.close()
        await second.close()
        return same

    assert asyncio.run(go()) is False


@both
def test_what_is_said_of_a_call_is_said_of_its_own_model(kind: Kind) -> None:
    async def go(url: str) -> list[str]:
        clients = SharedClients()
        providers = [kind(Model(name, kind.sdk, "m", base_url=url), clients) for name in ("one", "two")]
        said = []
        for provider in providers:
            await provider.open()
            with pytest.raises(CallError) as caught:
                await provider.complete(request(), 0.1)
            said.append(str(caught.value).partition(":")[0])
        for provider in providers:
            await provider.close()
        return said

    with Server(script=[HANG] * 2) as server:
        assert asyncio.run(go(base(kind, server.url))) == ["one", "two"]


@both
def test_a_client_that_cannot_be_made_is_not_kept(kind: Kind) -> None:
    async def go() -> int:
        clients = SharedClients()
        for _ in range(2):
            with pytest.raises(CallError, match="credentials"):
                await kind(model(kind, None), clients).open()
        return len(clients._of_loop())

    assert asyncio.run(go()) == 0


@both
def test_a_loop_never_gets_the_client_of_another(kind: Kind) -> None:
    clients = SharedClients()
    left_open = []

    async def open_one() -> None:
        provider = kind(model(kind, "http://127.0.0.1:1"), clients)
        await provider.open()
        left_open.append(provider._client)

    with asyncio.Runner() as one, asyncio.Runner() as two:
        one.run(open_one())
        two.run(open_one())
        one.run(open_one())
    assert left_open[0] is left_open[2]
    assert left_open[0] is not left_open[1]


def test_a_loop_that_was_left_takes_its_clients_with_it() -> None:
    clients = SharedClients()

    class Client: ...

    async def leave() -> weakref.ref[Client]:
        client = Client()
        clients.take(Address("openai", None, None), lambda: client)  # type: ignore[arg-type,return-value]
        return weakref.ref(client)

    left = asyncio.run(leave())
    gc.collect()
    assert left() is None


def test_an_address_never_shows_its_key() -> None:
    assert "sk-secret" not in repr(Address("openai", None, "sk-secret"))
