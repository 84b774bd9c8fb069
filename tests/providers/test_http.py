"""What holds for every provider that calls a server over HTTP."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
import time
from types import ModuleType
from typing import Any

import pytest

from pytest_upskill.types import Message, Request
from tests.answers import HANG, error
from tests.loopback import Server
from tests.providers.api import Kind, ask, both, clean, dead_port, failure, model, request

__all__ = ["clean"]


def test_building_a_provider_imports_no_sdk() -> None:
    code = (
        "import sys\n"
        "from pytest_upskill.providers.openai import OpenAI\n"
        "from pytest_upskill.providers.anthropic import Anthropic\n"
        "from pytest_upskill.types import Model\n"
        "OpenAI(Model('a', 'openai', 'm')), Anthropic(Model('b', 'anthropic', 'm'))\n"
        "heavy = {'openai', 'anthropic', 'aiohttp', 'httpx2', 'pydantic', 'asyncio'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@both
def test_a_missing_sdk_is_named_with_the_command_that_installs_it(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.import_module

    def without(name: str, package: str | None = None) -> ModuleType:
        if name == kind.sdk:
            raise ModuleNotFoundError(f"No module named '{name}'")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", without)
    assert failure(kind, "http://127.0.0.1:1") == (
        f"glm: the provider '{kind.sdk}' needs packages that are missing (No module named '{kind.sdk}'): "
        f"pip install 'pytest-upskill[{kind.sdk}]'",
        f"{kind.sdk} is not installed",
        True,
    )


@both
def test_a_call_before_open_is_a_programming_error(kind: Kind) -> None:
    with pytest.raises(RuntimeError, match=r"open\(\) comes before complete"):
        asyncio.run(kind(model(kind, None)).complete(request(), 1.0))


@both
def test_latency_is_that_of_the_call(kind: Kind) -> None:
    with Server(latency=0.1) as server:
        assert 0.1 <= ask(kind, server.url).latency < 2.0


@both
def test_the_sdk_never_tries_again(kind: Kind) -> None:
    with Server(script=[error(500, retry_after_ms="1")] * 3) as server:
        failure(kind, server.url, fault="failed")
    assert len(server.requests) == 1


@both
def test_128_calls_are_in_flight_at_once_in_one_client(kind: Kind) -> None:
    async def go(url: str) -> set[str]:
        provider = kind(model(kind, url, concurrency=128))
        await provider.open()
        replies = await asyncio.gather(*(provider.complete(request(f"q{n}"), 10.0) for n in range(128)))
        await provider.close()
        return {reply.text for reply in replies}

    with Server(lambda body: body["messages"][-1]["content"], latency=1.0) as server:
        texts = asyncio.run(go(server.url))
    assert texts == {f"q{n}" for n in range(128)}
    assert (len(server.requests), server.peak) == (128, 128)


@both
def test_connections_are_not_capped_below_any_concurrency(kind: Kind) -> None:
    async def limit(url: str) -> int:
        provider = kind(model(kind, url))
        await provider.open()
        await provider.complete(request(), 5.0)
        transport: Any = getattr(provider._client, "_client")._transport  # noqa: B009
        most: int = transport.client.connector.limit
        await provider.close()
        return most

    with Server() as server:
        assert asyncio.run(limit(server.url)) > 100_000


@both
def test_a_cancelled_call_is_cancelled_and_closes_without_warnings(kind: Kind) -> None:
    async def go(url: str) -> float:
        provider = kind(model(kind, url))
        await provider.open()
        calls = [asyncio.create_task(provider.complete(request(f"q{n}"), 30.0)) for n in range(20)]
        async with asyncio.timeout(10):
            while server.in_flight < 20:
                await asyncio.sleep(0.01)
        for call in calls:
            call.cancel()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(end) for end in ends} == {asyncio.CancelledError}
        started = time.perf_counter()
        await provider.close()
        return time.perf_counter() - started

    with Server(script=[HANG] * 20) as server:
        assert asyncio.run(go(server.url)) < 1.0


@both
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_proxy_does_not_capture_a_local_server(
    kind: Kind, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{dead_port()}")
    with Server() as server:
        assert ask(kind, server.url.replace("127.0.0.1", host)).text == "pong"


@both
def test_lone_surrogates_in_a_reply_are_replaced(kind: Kind) -> None:
    with Server("a\ud800b") as server:
        assert ask(kind, server.url).text == "a?b"


@both
def test_the_same_request_makes_the_same_bytes(kind: Kind) -> None:
    asked = Request(
        "m-1", "be brief", (Message("user", "ü\n"), Message("assistant", "a"), Message("user", "b"))
    )
    with Server() as server:
        ask(kind, server.url, asked)
        ask(kind, server.url, asked)
    first, second = server.requests
    assert first.body == second.body
    assert first.path == "/v1" + kind.path.removeprefix("/v1")
