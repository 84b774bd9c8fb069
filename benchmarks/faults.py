"""2,000 samples at 64 in flight against a server that misbehaves: is each measured once, and what does it cost in time?

    python benchmarks/faults.py [--seed 1]

Of all requests 10 % get a 429 with retry-after, 5 % a 500, 3 % a reset within the body, 2 % a body that stalls and
1 % JSON that is cut off. The server counts the good replies that it delivered whole; a case accepts its own alone.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import common

SAMPLES, IN_FLIGHT, LATENCY, TIMEOUT = 2000, 64, 0.2, 2.0
CONFIG = """
default_models: [bench]
models:
  bench: {{provider: openai, model: bench, base_url: "{url}", concurrency: 64, timeout: {timeout}}}
"""


def main() -> None:
    """Print what was measured, what the server counted, and the time against the ideal."""
    parser = argparse.ArgumentParser(description="Faults: every sample once, none lost, none wrong")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(common.machine())
    clean, _, _ = run()
    used, counts, samples = run("--faults", str(options.seed))
    measured = [sample for sample in samples if sample["status"] == "measured"]
    hits = sum(sample["hit"] for sample in measured)
    print(f"samples: {len(samples)}, measured {len(measured)}, hits {hits}")
    print("the server: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
    # Each request takes its time in one of 64 places; a stall takes it until the time limit.
    served = counts["requests"] - counts["refused"] - counts["stalled"]
    ideal = math.ceil(served / IN_FLIGHT) * LATENCY + counts["stalled"] * TIMEOUT / IN_FLIGHT
    print(
        f"wall: {used.wall:.1f} s; without faults {clean.wall:.1f} s; "
        f"ideal for these faults {ideal:.1f} s, overhead {used.wall - ideal:.1f} s ({used.wall / ideal:.2f} x)"
    )
    good = len(measured) == hits == counts["delivered"] == SAMPLES and counts["twice"] == 0
    print("every sample was measured exactly once" if good else "WRONG: lost, wrong or twice")
    raise SystemExit(0 if good else 1)


def run(*faults: str) -> tuple[common.Usage, dict[str, int], list[dict[str, Any]]]:
    """Run pytest against a fresh server."""
    with common.server(LATENCY, "--number", *faults) as url, tempfile.TemporaryDirectory() as name:
        config = CONFIG.format(url=url, timeout=TIMEOUT)
        folder = common.project(Path(name), SAMPLES // 2, config, numbered=True)
        command = [sys.executable, "-m", "pytest", "-q", *common.PLUGIN, "--upskill-report=report", "skills"]
        used = common.measured(command, folder)
        results = json.loads((folder / "report" / "results.json").read_text())
        return used, common.counts(url), results["samples"]


if __name__ == "__main__":
    main()
