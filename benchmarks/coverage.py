"""What the verdicts claim, held against what they do: coverage, false alarms and power, over suites of all kinds.

    python benchmarks/coverage.py [--quick] [--seed 4]

needs numpy (`pip install numpy`), takes some minutes (--quick: one), and ends with status 1 where a bound is broken.
Whatever can be computed exactly is; where suites are drawn, the error is printed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import (
    common,
    coverage_alarms,
    coverage_check,
    coverage_pooled,
    coverage_population,
    coverage_power,
    coverage_rates,
)
from benchmarks.coverage_cells import Question


def main() -> int:
    """Print each question with its cells, its worst value and whether its bound holds."""
    parser = argparse.ArgumentParser(description="What the verdicts claim against what they do")
    parser.add_argument("--quick", action="store_true", help="Fewer cells, in a minute")
    parser.add_argument("--seed", type=int, default=4)
    options = parser.parse_args()
    print(common.machine())
    start = time.process_time()
    held = [
        told(these_cases(quick=options.quick)),
        told(cases_like_these(quick=options.quick)),
        told(false_alarms(options.seed, quick=options.quick)),
        told(power(options.seed, quick=options.quick)),
    ]
    print(
        f"\n{time.process_time() - start:.0f} s of CPU; {'all bounds hold' if all(held) else 'A BOUND IS BROKEN'}"
    )
    return 0 if all(held) else 1


def told(found: Iterable[Question]) -> bool:
    """Print answered questions and say whether all bounds hold."""
    held = True
    for question in found:
        print("\n".join(question.lines()), flush=True)
        held &= question.holds
    return held


def these_cases(*, quick: bool) -> Iterable[Question]:
    """Return the answers about the intervals over these cases."""
    print("\n1. These cases: intervals of pooled counts, exact", flush=True)
    found, rates = coverage_pooled.questions(), coverage_rates.questions()
    cases = (3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 15, 20, 30, 50) if quick else range(3, 51)
    runs = (1, 2, 3, 10) if quick else range(1, 11)
    print(coverage_pooled.measure(cases, runs, found))
    coverage_rates.measure(cases, runs, rates)
    return (*found, *rates)


def cases_like_these(*, quick: bool) -> Iterable[Question]:
    """Return the answer about the interval over the population that cases are drawn from."""
    print("\n2. Cases like these: cases drawn from a population", flush=True)
    found = coverage_population.question()
    cases = (4, 5, 6, 8, 12, 20) if quick else (4, 5, 6, 7, 8, 10, 12, 15, 20, 30, 50)
    print(coverage_population.measure(cases, (1, 2, 3) if quick else (1, 2, 3, 5, 10), found))
    return (found,)


def false_alarms(seed: int, *, quick: bool) -> Iterable[Question]:
    """Return the answers about the test for a fall where nothing changed."""
    print("\n3. A fall: false alarms of the whole procedure", flush=True)
    print(coverage_check.check(100 if quick else 400, seed))
    found = coverage_alarms.questions()
    cases, runs = ((3, 8, 20), (1, 3, 10)) if quick else ((3, 4, 5, 8, 12, 20, 35, 50), (1, 2, 3, 5, 10))
    coverage_alarms.bound(cases, runs, 200 if quick else 400, seed, found)
    coverage_alarms.simulate((20,) if quick else (5, 20), (1, 3, 10), 1000 if quick else 2000, seed, found)
    print(
        f"standard error of a bound at most {found.error:.4f}, of what is simulated {0.0022 if quick else 0.0016}"
    )
    print(found.unconfirmed)
    return (*found.alarms.values(), *found.drifted.values(), found.simulated, found.confirmed)


def power(seed: int, *, quick: bool) -> Iterable[Question]:
    """Return the answers about what is found, after the tables of it."""
    print("\n4. A fall: how often it is found", flush=True)
    runs = (1, 3, 5, 10)
    found = coverage_power.questions()
    print("\n".join(coverage_power.broken(runs, found)))
    print("\n".join(coverage_power.uniform(runs, 1000 if quick else 4000, seed)))
    return found


if __name__ == "__main__":
    sys.exit(main())
