"""The yardstick: the same number of calls by a bare asyncio script, with the openai SDK and its aiohttp transport.

    python benchmarks/bare_asyncio.py --base-url http://127.0.0.1:PORT/v1 --calls 4000 --in-flight 256

asks for the body's bytes, the least that the SDK does for an answer, and prints one JSON line with the number of good
replies.
"""

from __future__ import annotations

import argparse
import asyncio
import json

import openai


async def calls(base_url: str, count: int, in_flight: int) -> int:
    """Make the calls and return how many replies had a text."""
    limits = openai.DEFAULT_CONNECTION_LIMITS
    http = openai.DefaultAioHttpClient(limits=type(limits)(max_connections=in_flight))
    async with openai.AsyncOpenAI(
        base_url=base_url, api_key="no-key-needed", http_client=http, max_retries=0
    ) as client:
        numbers = iter(range(count))

        async def ask_on() -> int:
            good = 0
            for number in numbers:
                messages = [{"role": "user", "content": f"Question {number}"}]
                body = {"model": "bench", "messages": messages}
                raw = await client.post("/chat/completions", cast_to=bytes, body=body)
                good += bool(json.loads(raw)["choices"][0]["message"]["content"])
            return good

        return sum(await asyncio.gather(*(ask_on() for _ in range(in_flight))))


def main() -> None:
    """Print how many replies had a text."""
    parser = argparse.ArgumentParser(description="Bare openai SDK on asyncio")
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--in-flight", type=int, default=256)
    options = parser.parse_args()
    good = asyncio.run(calls(options.base_url, options.calls, options.in_flight))
    print(json.dumps({"good": good}))


if __name__ == "__main__":
    main()
