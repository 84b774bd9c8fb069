"""How fast a kernel is, against the baseline and against the roofline, and whether a case's gates are reached. Pure.

The rule: a sample is a hit only where its speed is *shown*. The lower end of the interval has to reach the gate; an
interval below the gate as a whole is proven to miss it, and one that straddles it is a miss too, called "not proven".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from pytest_upskill.errors import NotApplicable, ScorerError
from pytest_upskill.kernels.data import Miss
from pytest_upskill.kernels.roofline import MOST, Ceiling, Fingerprint, Roofline, roofline
from pytest_upskill.kernels.timings import (
    FEWEST_CALLS,
    Interval,
    Ratio,
    Series,
    drift,
    flat,
    mad,
    median_interval,
    speedup,
)

# Drift up to here is found on any device; beyond it, the figure must lie further from its gate than the drift.
STEADY = 0.03
# A call is mostly its own launch where it takes less than so many times what a launch of nothing takes.
MOSTLY_LAUNCH = 3.0


@dataclass(frozen=True, slots=True)
class Times:
    """Times of one side: how many calls, median, MAD and the median's interval in milliseconds, drift as a fraction."""

    calls: int
    ms: float
    mad: float
    interval: Interval
    drift: float


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured of one workload.

    Attributes:
        label: the workload.
        candidate, baseline: the times of the kernel and of what it is compared with, None where there is nothing.
        ratio: how many times as fast as the baseline the kernel is, None without one.
        roofline: what part of the roofline it reaches, None where no ceiling is known.
        floor_ms: the time of a launch that does nothing, 0 where it was not measured.
        judged: how many of the timed calls had their outputs judged.
        fingerprint: what the times hold for.
    """

    label: str
    candidate: Times
    baseline: Times | None
    ratio: Ratio | None
    roofline: Roofline | None
    floor_ms: float
    judged: int
    fingerprint: Fingerprint = field(repr=False)

    @property
    def evidence(self) -> str:
        """The figures on one line, with what to be wary of."""
        parts = [f"{self.label}: {_milliseconds(self.candidate)}", *_compared(self), *_reached(self)]
        if self.candidate.ms < MOSTLY_LAUNCH * self.floor_ms:
            parts.append(f"mostly the launch itself: one of nothing takes {self.floor_ms:.4f} ms")
        return ", ".join(parts)

    def figures(self) -> dict[str, float]:
        """Return all that was measured as numbers by their names, for reports."""
        found = {
            "milliseconds": self.candidate.ms,
            "mad": self.candidate.mad,
            "calls": self.candidate.calls,
            "drift": self.candidate.drift,
            "floor_milliseconds": self.floor_ms,
        }
        if self.baseline and self.ratio:
            found |= {
                "baseline_milliseconds": self.baseline.ms,
                "baseline_mad": self.baseline.mad,
                "baseline_drift": self.baseline.drift,
                "speedup": self.ratio.value,
                "speedup_low": self.ratio.interval[0],
                "speedup_high": self.ratio.interval[1],
            }
        if self.roofline:
            low, high = self.roofline.interval
            found |= {"roofline": self.roofline.fraction, "roofline_low": low, "roofline_high": high}
        return {name: value for name, value in found.items() if math.isfinite(value)}


def times(blocks: Sequence[Sequence[float]]) -> Times:
    """Sum up the times of one side, block after block.

    Raises:
        ValueError: there are fewer calls than a speed needs.
    """
    values = flat(blocks)
    if len(values) < FEWEST_CALLS:
        raise ValueError(f"a speed takes {FEWEST_CALLS} timed calls, not {len(values)}")
    return Times(len(values), median(values), mad(values), median_interval(values), drift(values))


def speed(
    label: str,
    candidate: Sequence[Sequence[float]],
    baseline: Sequence[Sequence[float]] | None,
    ceiling: Ceiling,
    *,
    judged: int,
    fingerprint: Fingerprint,
) -> Speed:
    """Return the speed that the times of both sides' blocks say, in milliseconds."""
    ours = times(candidate)
    theirs = times(baseline) if baseline else None
    ratio = speedup(Series(tuple(map(tuple, candidate)), tuple(map(tuple, baseline)))) if baseline else None
    reached = roofline(ceiling, ours.ms, ours.interval)
    return Speed(label, ours, theirs, ratio, reached, ceiling.floor_ms, judged, fingerprint)


def check_speed(found: Speed, min_speedup: float | None, min_roofline: float | None) -> None:
    """Hold a speed against the gates of its case, None where there is none.

    Raises:
        Miss: the speed is not shown to reach a gate.
        NotApplicable: a gate asks for what could not be measured here.
        ScorerError: the times cannot be true, or drifted by more than what lies between them and the gate.
    """
    _check_possible(found)
    if min_speedup is not None:
        if found.baseline is None or found.ratio is None:
            raise NotApplicable(f"{found.label}: there is no baseline here to compare the kernel with")
        drifted = max(found.candidate.drift, found.baseline.drift)
        _check_steady(found, "speed-up", found.ratio.value, min_speedup, drifted)
        _check_reached(found, "times as fast as eager", found.ratio.interval, min_speedup)
    if min_roofline is not None:
        if found.roofline is None:
            raise NotApplicable(f"{found.label}: no ceiling was measured here to compare the kernel with")
        _check_steady(
            found, "part of the roofline", found.roofline.fraction, min_roofline, found.candidate.drift
        )
        _check_reached(found, "of the roofline", found.roofline.interval, min_roofline)


def _check_possible(found: Speed) -> None:
    if found.roofline and not found.roofline.possible:
        raise ScorerError(
            f"{found.label}: {found.candidate.ms:.4f} ms is {found.roofline.fraction:.0%} of the "
            f"{found.roofline.bound} ceiling measured on this device, and nothing above {MOST:.0%} can be true: the "
            "kernel leaves out work, or the case's bytes or flops are too high, or the ceiling is wrong (without "
            f"{found.roofline.kept or 'its file'} it is measured again)"
        )


def _check_steady(found: Speed, what: str, value: float, gate: float, drifted: float) -> None:
    margin = max(STEADY, abs(value / gate - 1.0)) if gate > 0 else 1.0
    if drifted > margin:
        raise ScorerError(
            f"{found.label}: unstable, no verdict: the same code drifted by {drifted:.1%} between the halves of "
            f"{found.candidate.calls} calls, and the {what} of {value:.2f} is {margin:.1%} away from {gate:g}: let the "
            "device rest from other work, and run again"
        )


def _check_reached(found: Speed, unit: str, interval: Interval, gate: float) -> None:
    low, high = interval
    if low >= gate:
        return
    how = f"below {gate:g} {unit}" if high < gate else f"{gate:g} {unit} is not proven"
    raise Miss("fast", f"{how} ({low:.3f} to {high:.3f}): {found.evidence}")


def _milliseconds(times_: Times) -> str:
    return f"{times_.ms:.4f} ms (MAD {times_.mad:.4f})"


def _compared(found: Speed) -> list[str]:
    if found.ratio is None or found.baseline is None:
        return []
    low, high = found.ratio.interval
    eager = f"eager {_milliseconds(found.baseline)}"
    return [f"{found.ratio.value:.2f} times as fast as eager ({low:.2f} to {high:.2f})", eager]


def _reached(found: Speed) -> list[str]:
    if found.roofline is None:
        return []
    low, high = found.roofline.interval
    return [f"{found.roofline.fraction:.0%} of the {found.roofline.bound} ceiling ({low:.0%} to {high:.0%})"]
