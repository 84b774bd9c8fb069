"""4,000 samples of 200 ms at 256 in flight: the whole pytest process against a bare asyncio script, in pairs.

    python benchmarks/in_flight.py [--pairs 5] [--samples 4000] [--in-flight 256]

Both call the same loopback server through the openai SDK and its aiohttp transport. The script has no tests, no store
and no scores.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import common

CONFIG = """
default_models: [bench]
models:
  bench: {{provider: openai, model: bench, base_url: "{url}", concurrency: {in_flight}}}
"""
LATENCY = 0.2
MOST = 1.3


def main() -> None:
    """Print the ratio of wall time, and the CPU time a call of both."""
    parser = argparse.ArgumentParser(description="Many calls in flight, against a bare asyncio script")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--in-flight", type=int, default=256)
    options = parser.parse_args()
    print(common.machine())
    with common.server(LATENCY) as url, tempfile.TemporaryDirectory() as name:
        config = CONFIG.format(url=url, in_flight=options.in_flight)
        folder = common.project(Path(name), options.samples // 2, config)
        size = ["--calls", str(options.samples), "--in-flight", str(options.in_flight)]
        script = [sys.executable, str(common.HERE / "bare_asyncio.py"), "--base-url", url, *size]
        pytest = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-q",
            *common.PLUGIN,
            "--upskill-cache=refresh",
            "skills",
        ]
        found = common.pairs(pytest, script, folder, options.pairs)
    walls = [common.median([pair[side].wall for pair in found]) for side in (0, 1)]
    cpus = [1000 * common.median([pair[side].cpu for pair in found]) / options.samples for side in (0, 1)]
    ideal = LATENCY * options.samples / options.in_flight
    print(
        f"{walls[0]:.2f} s against {walls[1]:.2f} s, ratio {common.ratio(found, 'wall'):.2f} (at most {MOST}); "
        f"the ideal is {ideal:.2f} s"
    )
    print(f"CPU of the whole process: {cpus[0]:.2f} ms a sample against {cpus[1]:.2f} ms a call")


if __name__ == "__main__":
    main()
