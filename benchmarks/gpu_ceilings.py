"""The ceilings of a device, what torch's own copy reaches beside them, and that they are measured once."""

from __future__ import annotations

import subprocess
from typing import Any

from benchmarks.gpu_common import Part, Place, judged
from benchmarks.gpu_timings import by_torch
from pytest_upskill.errors import NotApplicable, ScorerError
from pytest_upskill.kernels.baseline.parent import baseline
from pytest_upskill.kernels.ceilings import PROBE, PROBE_ENTRY, Ceilings
from pytest_upskill.kernels.data import Job
from pytest_upskill.kernels.probe import ceilings_of
from pytest_upskill.kernels.roofline import MOST, Traffic

_FLOPS = 10**12


def check(place: Place) -> Part:
    """Measure what the device moves and multiplies, and hold a copy by torch against it."""
    lines: list[str] = []
    figures: dict[str, Any] = {}
    job = _job(place)
    ceilings = ceilings_of(job, place.device, place.launcher, None, place.folder / "ceilings")
    wrong = _memory(place, ceilings, lines, figures)
    wrong += _again(place, job, lines)
    wrong += _products(place, job, lines, figures)
    return judged("ceilings", wrong, lines, figures)


def _memory(place: Place, ceilings: Ceilings, lines: list[str], figures: dict[str, Any]) -> int:
    half = 2 * place.device.l2
    ways = {
        "copy of four times the L2": Traffic(half, half),
        "read of four times the L2": Traffic(2 * half, 0),
        "write of four times the L2": Traffic(0, 2 * half),
        "copy of 1 MiB": Traffic(2**19, 2**19),
    }
    for name, traffic in ways.items():
        found = ceilings.ceiling(traffic, 0, "f32", loose=False)
        took = found.memory_ms or 0.0
        figures[name] = {"bytes": traffic.total, "ms": took, "gigabytes_a_second": traffic.total / took / 1e6}
        lines.append(f"    {name}: {took:.4f} ms, {traffic.total / took / 1e6:.0f} GB/s")
    figures["floor_ms"] = ceilings.ceiling(Traffic(0, 0), 0, "f32", loose=False).floor_ms
    lines.append(f"    launch of nothing: {figures['floor_ms']:.4f} ms")
    return _beside_torch(place, half, figures["copy of four times the L2"]["ms"], lines, figures)


def _beside_torch(place: Place, size: int, ceiling: float, lines: list[str], figures: dict[str, Any]) -> int:
    try:
        theirs = by_torch(place, {"mode": "copy", "bytes": size})["events"]
    except subprocess.SubprocessError as error:
        lines.append(f"    torch's copy could not be timed: {error}")
        return 0
    if theirs is None:
        return 0
    figures["torch_copy_ms"] = theirs
    fine = ceiling <= MOST * theirs
    lines.append(
        f"{'ok ' if fine else 'BAD'} torch's copy of as much: {theirs:.4f} ms, {ceiling / theirs:.0%} of the ceiling"
    )
    return not fine


def _again(place: Place, job: Job, lines: list[str]) -> int:
    """Ask for a ceiling that is kept, of ceilings that can measure nothing."""
    half = 2 * place.device.l2
    kept = ceilings_of(job, place.device, _refuse, None, place.folder / "ceilings")
    try:
        kept.ceiling(Traffic(half, half), 0, "f32", loose=False)
    except AssertionError as error:
        lines.append(f"BAD {error}")
        return 1
    lines.append("ok  what was measured is not measured again")
    return 0


def _products(place: Place, job: Job, lines: list[str], figures: dict[str, Any]) -> int:
    try:
        with baseline(job, place.device) as multiplier:
            ceilings = ceilings_of(job, place.device, place.launcher, multiplier, place.folder / "ceilings")
            for dtype in ("bf16", "f16", "f32", "f64"):
                found = ceilings.ceiling(Traffic(0, 0), _FLOPS, dtype, loose=False)
                rates = [_FLOPS / (ms or float("inf")) / 1e9 for ms in (found.compute_ms, found.fewest_ms)]
                figures[f"product {dtype}"] = {"teraflops": rates[0], "loose_teraflops": rates[1]}
                lines.append(
                    f"    product in {dtype}: {rates[0]:.1f} TFLOP/s, {rates[1]:.1f} with looser arithmetic"
                )
    except NotApplicable as error:
        lines.append(f"    products were not measured: {error}")
    except ScorerError as error:
        lines.append(f"BAD products: {error}")
        return 1
    return 0


def _refuse() -> Any:  # noqa: ANN401 - it never returns
    raise AssertionError("a ceiling that is kept was measured again")


def _job(place: Place) -> Job:
    return Job(
        case="gpu check",
        entry=PROBE_ENTRY,
        require="fast",
        cubins={},
        problems=(),
        reference="",
        reference_name="",
        seed=b"",
        tolerance={},
        moved={},
        flops={},
        probe=place.compiled(PROBE, "", PROBE_ENTRY),
        compiler=place.bench.toolchain.version,
    )
