"""Show the zoo of kernels: what a naive check and our stages say of cheats, and of honest kernels in three types."""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pytest_upskill.kernels.data import Problem
from pytest_upskill.kernels.extract import Source, extract
from pytest_upskill.kernels.spec import KernelSpec
from pytest_upskill.scorers.evidence import fold
from tests.kernels.zoo import CHEATS, HONEST, Cheat, Honest
from tests.kernels.zoo.entries import DTYPES
from tests.kernels.zoo.runner import (
    Naive,
    Verdict,
    Workshop,
    images,
    job_of,
    naive,
    problems_of,
    reason_to_skip,
)

_WIDTH = 80
_PATIENCE = 10.0
_LARGER = 4
# The problem on which it was seen, and the name of its output.
_PLACE = re.compile(r"^\w+=\d[^:]*: (\w+: )?")
_PART = re.compile(r"error at most (\S+) of what is allowed")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=20, help="seeds for each honest kernel (default: 20)")
    seeds = options.parse_args().seeds
    if reason := reason_to_skip():
        raise SystemExit(f"nothing can be shown here: {reason}")
    with tempfile.TemporaryDirectory() as folder, Workshop(Path(folder), _PATIENCE) as workshop:
        _say_machine(workshop)
        _show_cheats(workshop)
        _show_honest(workshop, seeds)


def _say_machine(workshop: Workshop) -> None:
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, no GPU used"
    )
    print(f"{workshop.compiler}, sandbox: {workshop.sandbox}")
    print("Device code is compiled by nvcc, and then emulated on the CPU: nothing here was")
    print("seen on a GPU.\n")


def _show_cheats(workshop: Workshop) -> None:
    believed = naive([cheat.candidate for cheat in CHEATS])
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        verdicts = list(
            threads.map(lambda cheat: workshop.verdict(cheat.reply, cheat.spec(), os.urandom(16)), CHEATS)
        )
    print(f"{'cheat':20} {'naive check':13} here")
    for cheat, one, verdict in zip(CHEATS, believed, verdicts, strict=True):
        print(_line(cheat, one, verdict))
    wrong = [
        cheat.name
        for cheat, verdict in zip(CHEATS, verdicts, strict=True)
        if verdict.stopped not in (cheat.expected, cheat.also)
    ]
    accepted = sum(one["correct"] for one in believed)
    stopped = sum(verdict.stopped != "harmless" for verdict in verdicts)
    print(
        f"\n{len(CHEATS)} cheats: the naive check accepts {accepted}; here {stopped} are stopped and", end=" "
    )
    print(f"{len(CHEATS) - stopped} gain nothing.")
    print(f"Not as expected: {', '.join(wrong) or 'none'}\n")


def _line(cheat: Cheat, one: Naive, verdict: Verdict) -> str:
    said = "wrong" if not one["correct"] else f"right, {one['speedup']:.0f} x" if cheat.fast else "right"
    head = f"{cheat.name:20} {said:13} {verdict.stopped}: "
    return head + fold(_PLACE.sub("", verdict.evidence), _WIDTH - len(head))


def _show_honest(workshop: Workshop, seeds: int) -> None:
    print(f"{'honest kernel':14} {'type':5} {'seeds':>5} {'calls':>5} {'rejected':>8}  worst error / allowed")
    for kernel in HONEST:
        for dtype in DTYPES:
            print(_tried(workshop, kernel, dtype, seeds), flush=True)


def _tried(workshop: Workshop, kernel: Honest, dtype: str, seeds: int) -> str:
    shapes = [
        re.sub(r"\d+", lambda number: str(int(number[0]) * _LARGER), shape) for shape in kernel.task.shapes
    ]
    spec = kernel.task.spec((dtype,), shapes)
    source = extract(kernel.reply, spec)
    cubins = images(source.code, spec)
    rejected, calls, worst = 0, 0, 0.0
    for problems in _of_seeds(spec, source, seeds):
        executed = workshop.execute(job_of(spec, cubins, problems, os.urandom(16)))
        rejected += any(stage.outcome != "passed" for stage in executed.stages)
        parts = [float(part) for stage in executed.stages for part in _PART.findall(stage.evidence)]
        calls, worst = calls + len(problems), max(worst, *parts)
    return f"{kernel.name:14} {dtype:5} {seeds:5} {calls:5} {rejected:8}  {worst:.3f}"


def _of_seeds(spec: KernelSpec, source: Source, seeds: int) -> Iterator[tuple[Problem, ...]]:
    for _ in range(seeds):
        yield problems_of(spec, source, os.urandom(16))


if __name__ == "__main__":
    main()
