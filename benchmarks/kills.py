"""Kill -9 at random points of a 500-sample run, then resume: what is paid for twice, and is the result the same?

    python benchmarks/kills.py [--points 20] [--seed 1]

Half of the runs are single processes, in which the one process is killed; the others run under `-n 2`, in which the
controller or one of the workers is. A call that was in flight when its process died may be made again, no other.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import common

SAMPLES, IN_FLIGHT = 500, 32
CONFIG = """
default_models: [bench]
models:
  bench: {{provider: openai, model: bench, base_url: "{url}", concurrency: 32}}
"""


def main() -> None:
    """Print a line for each point, and whether all of them held."""
    parser = argparse.ArgumentParser(description="Kill and resume")
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(common.machine())
    chance = random.Random(options.seed)
    with common.server(0.1, "--number") as url, tempfile.TemporaryDirectory() as name:
        undisturbed = finished(made(Path(name), url))
    good = [point(number, chance, undisturbed) for number in range(options.points)]
    print(f"{sum(good)} of {len(good)} points held")
    raise SystemExit(0 if all(good) else 1)


def point(number: int, chance: random.Random, undisturbed: Any) -> bool:  # noqa: ANN401
    """Kill one run at a random point, finish it in a second one and compare."""
    victim = ("process", "controller", "worker")[number % 3]
    with common.server(0.1, "--number") as url, tempfile.TemporaryDirectory() as name:
        folder = made(Path(name), url)
        after = chance.randrange(1, SAMPLES)
        killed_in_flight = kill(folder, url, victim, after)
        results = finished(folder)
        found = common.counts(url)
    extra = found["requests"] - SAMPLES
    good = 0 <= extra <= killed_in_flight and found["delivered"] == SAMPLES and results == undisturbed
    same = "the same result" if results == undisturbed else "ANOTHER RESULT"
    print(
        f"{number + 1:>2}: killed the {victim:<10} after {after:>3} requests: {found['requests']} requests in all, "
        f"at most {killed_in_flight} were in flight; {same}{'' if good else '  WRONG'}"
    )
    return good


def made(folder: Path, url: str) -> Path:
    """Write the project."""
    return common.project(folder, SAMPLES // 2, CONFIG.format(url=url), numbered=True)


def command(*more: str) -> list[str]:
    """Return the command of a run."""
    return [sys.executable, "-m", "pytest", "-q", *common.PLUGIN, "-p", "xdist.plugin", *more, "skills"]


def kill(folder: Path, url: str, victim: str, after: int) -> int:
    """Start a run, kill its victim after so many requests, and return how many calls may have been in flight."""
    workers = () if victim == "process" else ("-n", "2")
    process = subprocess.Popen(
        command(*workers),
        cwd=folder,
        env=common.ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while common.counts(url)["requests"] < after and process.poll() is None:
        time.sleep(0.005)
    if victim == "worker":
        os.kill(next(worker_of(process.pid)), signal.SIGKILL)
        # The controller makes the calls: nothing is lost, and xdist replaces the worker.
        process.wait(120)
        return 0
    process.send_signal(signal.SIGKILL)
    process.wait()
    return IN_FLIGHT


def worker_of(controller: int) -> Iterator[int]:
    """Yield the workers that a controller started."""
    found = subprocess.run(["pgrep", "-P", str(controller)], capture_output=True, text=True, check=False)
    for line in found.stdout.split():
        if "exec(eval" in Path(f"/proc/{line}/cmdline").read_text():
            yield int(line)


def finished(folder: Path) -> Any:  # noqa: ANN401
    """Run to the end and return what of its results does not depend on time."""
    common.measured(command("--upskill-report=report"), folder)
    results = json.loads((folder / "report" / "results.json").read_text())
    samples = [
        [sample[key] for key in ("skill", "case", "model", "arm", "run", "status", "hit", "scores")]
        for sample in results["samples"]
    ]
    rows = [
        [row[key] for key in ("with_rate", "without_rate", "verdict", "gate")] for row in results["results"]
    ]
    return [samples, rows]


if __name__ == "__main__":
    main()
