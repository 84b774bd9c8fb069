"""CPU milliseconds a call at 256 in flight: ways to call through the SDKs, and our providers.

    python benchmarks/cpu_a_call.py [--calls 3000] [--rounds 5]

Each way makes all calls on a loop of its own, one way after the other, in every round; the figure is the median over
the rounds of the process's CPU time, over the number of calls. The server is a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import anthropic
import openai

from benchmarks import common
from pytest_upskill.providers.anthropic import Anthropic
from pytest_upskill.providers.openai import OpenAI
from pytest_upskill.types import Message, Model, Request

Call = Callable[[str], Awaitable[object]]
Way = Callable[[str, AsyncExitStack], Awaitable[Call]]
Client = openai.AsyncOpenAI | anthropic.AsyncAnthropic
IN_FLIGHT = 256
SYSTEM = "You are a helpful assistant. " * 60


def chat(text: str) -> dict[str, Any]:
    """Return a request of the chat completions API."""
    return {
        "model": "bench",
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}],
    }


def messages(text: str) -> dict[str, Any]:
    """Return a request of the messages API."""
    return {
        "model": "bench",
        "max_tokens": 2048,
        "system": SYSTEM,
        "messages": [{"role": "user", "content": text}],
    }


def through(sdk: ModuleType, how: Callable[[Any, str], Awaitable[object]], *, aiohttp: bool = True) -> Way:
    """Return a way of calling through an SDK's client."""

    async def opened(url: str, held: AsyncExitStack) -> Call:
        kind = sdk.DefaultAioHttpClient if aiohttp else sdk.DefaultAsyncHttpxClient
        limits = type(sdk.DEFAULT_CONNECTION_LIMITS)(
            max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT
        )
        named = {
            "api_key": "no-key-needed",
            "base_url": url,
            "http_client": kind(limits=limits),
            "max_retries": 0,
        }
        make = sdk.AsyncOpenAI if sdk is openai else sdk.AsyncAnthropic
        client = await held.enter_async_context(make(**named))
        return lambda text: how(client, text)

    return opened


def ours(kind: type[OpenAI | Anthropic]) -> Way:
    """Return our provider's way."""

    async def opened(url: str, held: AsyncExitStack) -> Call:
        provider = kind(Model("bench", kind.sdk, "bench", base_url=url, concurrency=IN_FLIGHT))
        await provider.open()
        held.push_async_callback(provider.close)
        return lambda text: provider.complete(Request("bench", SYSTEM, (Message("user", text),)), 120.0)

    return opened


async def posted(client: Client, path: str, body: dict[str, Any], cast_to: type[object]) -> object:
    """Post and decode the body, as the SDK gives it."""
    came = await client.post(path, cast_to=cast_to, body=body)
    return json.loads(came) if isinstance(came, bytes) else came


WAYS: dict[str, Way] = {
    "openai: create(), the default transport": through(
        openai, lambda client, text: client.chat.completions.create(**chat(text)), aiohttp=False
    ),
    "openai: create() on aiohttp": through(
        openai, lambda client, text: client.chat.completions.create(**chat(text))
    ),
    "openai: create() on aiohttp, raw": through(
        openai, lambda client, text: client.chat.completions.with_raw_response.create(**chat(text))
    ),
    "openai: post(cast_to=object)": through(
        openai, lambda client, text: posted(client, "/chat/completions", chat(text), object)
    ),
    "openai: post(cast_to=bytes)": through(
        openai, lambda client, text: posted(client, "/chat/completions", chat(text), bytes)
    ),
    "openai: our provider": ours(OpenAI),
    "anthropic: create(), the default transport": through(
        anthropic, lambda client, text: client.messages.create(**messages(text)), aiohttp=False
    ),
    "anthropic: create() on aiohttp": through(
        anthropic, lambda client, text: client.messages.create(**messages(text))
    ),
    "anthropic: post(cast_to=bytes)": through(
        anthropic, lambda client, text: posted(client, "/v1/messages", messages(text), bytes)
    ),
    "anthropic: our provider": ours(Anthropic),
}


async def made(way: Way, url: str, calls: int) -> float:
    """Return the CPU milliseconds a call, after as many calls as are in flight at once."""
    async with AsyncExitStack() as held:
        call = await way(url, held)

        async def call_on(numbers: Iterator[int]) -> None:
            for number in numbers:
                await call(f"Question {number} of the suite?")

        async def run(count: int) -> None:
            numbers = iter(range(count))
            await asyncio.gather(*(call_on(numbers) for _ in range(IN_FLIGHT)))

        await run(IN_FLIGHT)
        start = time.process_time()
        await run(calls)
        return 1000 * (time.process_time() - start) / calls


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description="CPU a call, by the way of calling")
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(common.machine())
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    with common.server(0.1) as url:
        for _ in range(options.rounds):
            for name, way in WAYS.items():
                root = url if name.startswith("openai") else url.removesuffix("/v1")
                found[name].append(asyncio.run(made(way, root, options.calls)))
    for name, figures in found.items():
        print(f"{name:<43} {common.median(figures):.2f} ms")


if __name__ == "__main__":
    main()
