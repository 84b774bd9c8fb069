"""pytest's start in a project without skills, with the plugin and without, in pairs.

python benchmarks/startup.py [--pairs 20]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import common


def main() -> None:
    """Print the median difference of wall time in milliseconds."""
    parser = argparse.ArgumentParser(description="What the plugin adds to pytest's start")
    parser.add_argument("--pairs", type=int, default=20)
    options = parser.parse_args()
    print(common.machine())
    pytest = [sys.executable, "-m", "pytest", "-q"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "test_unit.py").write_text("def test_one():\n    assert True\n")
        (folder / "README.md").write_text("# A project\n")
        (folder / "data.json").write_text("{}\n")
        found = common.pairs([*pytest, *common.PLUGIN], pytest, folder, options.pairs)
        added = common.median([1000 * (a.wall - b.wall) for a, b in found])
        without = 1000 * common.median([b.wall for _, b in found])
        print(f"without: {without:.0f} ms; the plugin adds {added:.1f} ms (at most 10)")


if __name__ == "__main__":
    main()
