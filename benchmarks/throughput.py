"""400 calls of 200 ms at 64 in flight: the whole pytest process against a bare script that uses the SDK.

    python benchmarks/throughput.py [--pairs 5]

Both call the same loopback server. The script has 64 threads and no tests, no store and no scores.
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
  bench: {{provider: openai, model: bench, base_url: "{url}", concurrency: 64}}
"""


def main() -> None:
    """Print the ratios of wall time, in one process and under two workers."""
    parser = argparse.ArgumentParser(description="Throughput against a bare SDK script")
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    print(common.machine())
    with common.server(0.2) as url, tempfile.TemporaryDirectory() as name:
        folder = common.project(Path(name), 200, CONFIG.format(url=url))
        script = [sys.executable, str(common.HERE / "bare_sdk.py"), "--base-url", url]
        pytest = [sys.executable, "-m", "pytest", "-q", *common.PLUGIN, "--upskill-cache=refresh", "skills"]
        for label, extra, most in (
            ("one process", [], 1.25),
            ("-n 2", ["-p", "xdist.plugin", "-n", "2"], 1.6),
        ):
            found = common.pairs([*pytest, *extra], script, folder, options.pairs)
            walls = [common.median([pair[side].wall for pair in found]) for side in (0, 1)]
            print(
                f"{label}: {walls[0]:.2f} s against {walls[1]:.2f} s, ratio {common.ratio(found, 'wall'):.2f} "
                f"(at most {most}); CPU {common.median([a.cpu for a, _ in found]):.2f} s"
            )


if __name__ == "__main__":
    main()
