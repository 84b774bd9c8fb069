"""All that needs a GPU, in one command: facts, the zoo, timings beside those of others, ceilings, the sandbox.

    python benchmarks/gpu_check.py [--parts facts,zoo,timings,ceilings,sandbox] [--seeds 3] [--json FILE]

The exit code is 0 where every part passed, 1 where one failed, 2 where one could not be checked, as without a GPU.
What others are needed for: torch with CUDA (zoo, timings, products), triton (timings).
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import common, gpu_ceilings, gpu_sandbox, gpu_timings, gpu_zoo
from benchmarks.gpu_common import Outcome, Part, Place, impossible, open_bench
from pytest_upskill.errors import ScorerError, one_line
from pytest_upskill.kernels.bench import Bench
from pytest_upskill.kernels.devices import hold
from pytest_upskill.kernels.sandbox import reports

CHECKS: Mapping[str, Callable[[Place], Part]] = {
    "zoo": gpu_zoo.check,
    "timings": gpu_timings.check,
    "ceilings": gpu_ceilings.check,
    "sandbox": gpu_sandbox.check,
}
PARTS = ("facts", *CHECKS)
NO_DEVICE = "there is no CUDA device here"
# The zoo's kernels are executed under the device's lock, which each takes for itself.
_LOCKING = ("zoo",)
_WAIT = 600.0
CODES: Mapping[Outcome, int] = {"passed": 0, "failed": 1, "impossible": 2}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that are asked for; return the exit code."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="upskill-gpu-check-") as folder:
        bench = open_bench(Path(folder))
        if isinstance(bench, str):
            found = _all(options, None, bench, Path(folder))
        else:
            with closing(bench):
                found = _all(options, bench, "", Path(folder))
    if options.json is not None:
        options.json.write_text(json.dumps(_report(found), indent=1, allow_nan=False) + "\n")
    print(_summary(found))
    outcomes = {part.outcome for part in found}
    return next(CODES[outcome] for outcome in ("failed", "impossible", "passed") if outcome in outcomes)


def facts(bench: Bench | None, why: str) -> Part:
    """Say what is here: devices, compiler, sandbox, and the versions of what the parts need."""
    lines = [f"    {common.machine()}"]
    figures: dict[str, Any] = {"machine": common.machine(), "kernel": platform.release()}
    for name in ("torch", "triton", "numpy"):
        figures[name] = _version(name)
        lines.append(f"    {name}: {figures[name]}")
    figures["sandbox"] = {report.level: report.why for report in reports()}
    lines += [f"    {report.why}" for report in reports()]
    figures["nvidia-smi"] = _nvidia_smi()
    lines += [f"    nvidia-smi: {line}" for line in figures["nvidia-smi"]]
    if bench is None:
        return Part("facts", "impossible", (*lines, f"    {why}"), figures)
    lines.append(f"    {bench.toolchain.name} at {bench.toolchain.nvcc}")
    figures["compiler"] = bench.toolchain.name
    try:
        figures["devices"] = [_plain(device) for device in bench.devices]
    except ScorerError as error:
        return Part("facts", "failed", (*lines, f"BAD {error}"), figures)
    lines += [f"    device {device.index}: {_described(device)}" for device in bench.devices]
    if not bench.devices:
        return Part("facts", "impossible", (*lines, f"    {NO_DEVICE}"), figures)
    return Part("facts", "passed", tuple(lines), figures)


def _all(options: argparse.Namespace, bench: Bench | None, why: str, folder: Path) -> list[Part]:
    found = []
    for name in options.parts:
        started = time.perf_counter()
        print(f"== {name}", flush=True)
        part = facts(bench, why) if name == "facts" else _checked(name, bench, why, folder, options.seeds)
        print("\n".join(part.lines))
        print(f"   {part.outcome} in {time.perf_counter() - started:.1f} s", flush=True)
        found.append(part)
    return found


def _checked(name: str, bench: Bench | None, why: str, folder: Path, seeds: int) -> Part:
    try:
        if bench is None or not bench.devices:
            return impossible(name, f"    not checked: {why or NO_DEVICE}")
        place = Place(bench.devices[0], bench, folder, seeds)
        if name in _LOCKING:
            return CHECKS[name](place)
        with hold(place.device, _WAIT):
            return CHECKS[name](place)
    except Exception as error:
        # One part that breaks must not hide what the others find.
        kind = "" if isinstance(error, ScorerError) else f"{type(error).__name__}: "
        return Part(name, "failed", (f"BAD {kind}{one_line(str(error))}",))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Check all that needs a GPU")
    parser.add_argument(
        "--parts", type=_parts, default=PARTS, help=f"Some of {','.join(PARTS)}; all by default"
    )
    parser.add_argument(
        "--seeds", type=int, default=3, help="Seeds for each honest kernel and type; 3 by default"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="Write what was found to FILE as well")
    return parser.parse_args(arguments)


def _parts(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in PARTS:
            raise argparse.ArgumentTypeError(f"there is no part '{name}'; there are {', '.join(PARTS)}")
    return names


def _report(found: Sequence[Part]) -> dict[str, Any]:
    return {"version": 1, "upskill": _version("pytest-upskill"), "parts": [part.plain() for part in found]}


def _summary(found: Sequence[Part]) -> str:
    missing = [part.name for part in found if part.outcome == "impossible"]
    failed = [part.name for part in found if part.outcome == "failed"]
    passed = [part.name for part in found if part.outcome == "passed"]
    named = {"failed": failed, "could not be checked": missing, "passed": passed}
    return "; ".join(f"{', '.join(names)}: {words}" for words, names in named.items() if names)


def _plain(device: Any) -> dict[str, Any]:  # noqa: ANN401 - a device
    return {
        name: getattr(device, name)
        for name in ("index", "name", "uuid", "capability", "memory", "l2", "driver")
    }


def _described(device: Any) -> str:  # noqa: ANN401 - a device
    major, minor = device.capability
    return (
        f"{device.name} (sm_{major}{minor}), {device.memory / 2**30:.0f} GiB, L2 {device.l2 / 2**20:.0f} MiB, "
        f"CUDA {device.driver}, {device.uuid}"
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _nvidia_smi() -> list[str]:
    fields = (
        "name,driver_version,compute_mode,persistence_mode,clocks.sm,clocks.mem,temperature.gpu,power.limit"
    )
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return ["not here"]
    return done.stdout.strip().splitlines() or [f"ended with {done.returncode}"]


if __name__ == "__main__":
    sys.exit(main())
