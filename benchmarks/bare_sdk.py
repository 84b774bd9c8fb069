"""The yardstick: the same number of calls by a bare script that uses the openai SDK with threads.

    python benchmarks/bare_sdk.py --base-url http://127.0.0.1:PORT/v1 --calls 400 --threads 64

prints one JSON line with the number of good replies.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor

import openai


def main() -> None:
    """Make the calls and print how many replies had a text."""
    parser = argparse.ArgumentParser(description="Bare openai SDK with threads")
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--model", default="bench")
    options = parser.parse_args()
    with openai.OpenAI(base_url=options.base_url, api_key="no-key-needed") as client:

        def ask(number: int) -> bool:
            reply = client.chat.completions.create(
                model=options.model, messages=[{"role": "user", "content": f"Question {number}"}]
            )
            return bool(reply.choices[0].message.content)

        with ThreadPoolExecutor(options.threads) as pool:
            good = sum(pool.map(ask, range(options.calls)))
    print(json.dumps({"good": good}))


if __name__ == "__main__":
    main()
