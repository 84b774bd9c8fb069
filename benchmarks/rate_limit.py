"""400 calls to a server that allows 20 a second, with nothing configured: how near to the ideal, how many refusals?

    python benchmarks/rate_limit.py [--rate 20] [--latency 0.2] [--concurrency 64]

The server has a token bucket with a burst of 20, refuses with 429 and retry-after, and says nothing of its limits.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import common

CALLS, BURST = 400, 20
CONFIG = """
default_models: [bench]
models:
  bench: {{provider: openai, model: bench, base_url: "{url}"{more}}}
"""


def main() -> None:
    """Print the time against the ideal and the number of refusals."""
    parser = argparse.ArgumentParser(description="A rate limit that has to be found out")
    parser.add_argument("--rate", type=float, default=20)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--concurrency", type=int)
    options = parser.parse_args()
    print(common.machine())
    limit = ("--rate", str(options.rate), "--burst", str(BURST))
    more = f", concurrency: {options.concurrency}" if options.concurrency else ""
    with common.server(options.latency, *limit) as url, tempfile.TemporaryDirectory() as name:
        folder = common.project(Path(name), CALLS // 2, CONFIG.format(url=url, more=more))
        command = [sys.executable, "-m", "pytest", "-q", *common.PLUGIN, "skills"]
        start = common.measured([*command, "--collect-only"], folder).wall
        wall = common.measured(command, folder).wall
        found = common.counts(url)
    ideal = (CALLS - BURST) / options.rate + options.latency
    print(
        f"{found['delivered']} calls in {wall:.2f} s, of which pytest's start and the end take about {start:.1f} s; "
        f"ideal {ideal:.2f} s: {wall / ideal:.3f} x; {found['refused']} refusals"
    )


if __name__ == "__main__":
    main()
