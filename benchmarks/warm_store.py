"""10,000 samples whose replies are all in the store: CPU an item, over that of as many empty items.

python benchmarks/warm_store.py [--samples 10000] [--pairs 3]
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
NULL = """
import pytest

class Null(pytest.Item):
    def runtest(self): pass

class Nulls(pytest.File):
    def collect(self):
        for number in range({count}):
            yield Null.from_parent(self, name=f"case-{{number}}[bench-with_skill-run1]")

def pytest_collect_file(file_path, parent):
    if file_path.name == "nulls.txt":
        return Nulls.from_parent(parent, path=file_path)
"""


def main() -> None:
    """Print the CPU milliseconds an item, ours and null, and their difference."""
    parser = argparse.ArgumentParser(description="CPU an item with a warm store")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    print(common.machine())
    pytest = [sys.executable, "-m", "pytest", "-q"]
    with common.server(0) as url, tempfile.TemporaryDirectory() as name:
        folder = common.project(Path(name), options.samples // 2, CONFIG.format(url=url))
        nulls = folder / "null"
        nulls.mkdir()
        (nulls / "conftest.py").write_text(NULL.format(count=options.samples))
        (nulls / "nulls.txt").touch()
        ours = [*pytest, *common.PLUGIN, "skills"]
        common.measured(ours, folder)  # fills the store
        found = common.pairs(ours, [*pytest, "null"], folder, options.pairs)
        cpu = [1000 * common.median([pair[side].cpu for pair in found]) / options.samples for side in (0, 1)]
        print(
            f"{options.samples} samples: {cpu[0]:.3f} ms of CPU an item, null items {cpu[1]:.3f} ms, "
            f"difference {cpu[0] - cpu[1]:.3f} ms (at most 0.7)"
        )


if __name__ == "__main__":
    main()
