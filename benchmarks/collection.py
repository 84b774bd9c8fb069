"""Collecting 100,000 samples against as many empty items of a null collector: time and memory, in pairs.

python benchmarks/collection.py [--samples 100000] [--pairs 5]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import common
from benchmarks.warm_store import NULL

SKILLS = 50


def main() -> None:
    """Print the ratios of wall time, CPU time and peak memory."""
    parser = argparse.ArgumentParser(description="Collection against a null collector")
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    print(common.machine())
    pytest = [sys.executable, "-m", "pytest", "-q", "-q", "--collect-only"]
    with tempfile.TemporaryDirectory() as name:
        config = "default_models: [a, b]\nmodels: {a: {provider: reader}, b: {provider: openai, model: b}}\n"
        cases = options.samples // (SKILLS * 4)
        folder = common.project(Path(name), cases, config, skills=SKILLS)
        nulls = folder / "null"
        nulls.mkdir()
        (nulls / "conftest.py").write_text(NULL.format(count=options.samples))
        (nulls / "nulls.txt").touch()
        found = common.pairs([*pytest, *common.PLUGIN, "skills"], [*pytest, "null"], folder, options.pairs)
        for figure in ("wall", "cpu", "peak"):
            values = [common.median([getattr(pair[side], figure) for pair in found]) for side in (0, 1)]
            unit = "MB" if figure == "peak" else "s"
            print(
                f"{figure}: {values[0]:.2f} {unit} against {values[1]:.2f} {unit}, "
                f"ratio {common.ratio(found, figure):.2f} (at most 1.5)"
            )


if __name__ == "__main__":
    main()
