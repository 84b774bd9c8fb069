"""All that the speed of a correct kernel takes: what it is compared with, the ceilings, a launcher of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from pytest_upskill.errors import NotApplicable
from pytest_upskill.kernels.baseline.parent import Baseline, allows_tf32, baseline
from pytest_upskill.kernels.data import Device, Job, Problem, Tensor
from pytest_upskill.kernels.judge import Judge
from pytest_upskill.kernels.launcher import Launcher
from pytest_upskill.kernels.probe import ceilings_of
from pytest_upskill.kernels.roofline import fingerprint, traffic
from pytest_upskill.kernels.speed import measure_speed
from pytest_upskill.kernels.speed_gates import Speed

_FLOATS = ("f64", "f32", "f16", "bf16")


def timed_problems(job: Job) -> tuple[int, ...]:
    """Return which problems are timed: of each element type the one that moves the most bytes.

    Those whose sizes were drawn, and misaligned ones, only where a type has no others: their speeds differ from run
    to run.
    """
    largest: dict[str, tuple[tuple[bool, int], int]] = {}
    for number, problem in enumerate(job.problems):
        workload = problem.workload
        size = traffic(problem, job.moved.get(workload.label, 0)).total
        rank = (not (workload.drawn or workload.misaligned), size)
        if workload.dtype not in largest or rank > largest[workload.dtype][0]:
            largest[workload.dtype] = rank, number
    return tuple(number for _, number in largest.values())


def time_problem(
    job: Job,
    number: int,
    device: Device,
    start: Callable[[], Launcher],
    judge: Judge,
    folder: Path | None = None,
) -> Speed:
    """Measure the speed on one problem. Somebody has to hold the device, and no launcher be open on it.

    Args:
        job: what is measured, its probe included.
        number: which of its problems.
        device: where.
        start: makes a launcher for it. The ceilings are measured by one, and the kernel is timed by another: none
            has been used before.
        judge: of this job.
        folder: where ceilings are kept; None is the user's own.

    Raises:
        Miss: a timed call wrote what it must not, or its output is wrong.
        Fault: the kernel could not be loaded, or a timed call failed.
        NotApplicable: the case asks for a speed-up, and there is no baseline here.
        ScorerError: judge, baseline or the measurement of the ceilings failed.
    """
    problem = job.problems[number]
    label, dtype = problem.workload.label, element(problem)
    with ExitStack() as stack:
        versus = _baseline(stack, job, device)
        moved, flops = traffic(problem, job.moved.get(label, 0)), job.flops.get(label, 0)
        loose = allows_tf32(job) and dtype == "f32"
        ceilings = ceilings_of(job, device, start, versus, folder)
        ceiling = ceilings.ceiling(moved, flops, dtype, loose=loose)
        launcher = stack.enter_context(start())
        loaded = launcher.load(job.cubins[problem.workload.dtype], job.entry)
        mark = fingerprint(device, job.compiler)
        return measure_speed(job, number, launcher, judge, versus, ceiling, mark=mark, loaded=loaded)


def element(problem: Problem) -> str:
    """Return the type that a problem computes in: its element type, else that of its first tensor of real numbers."""
    dtypes = [each.dtype for each in problem.arguments if isinstance(each, Tensor)]
    reals = [dtype for dtype in dtypes if dtype in _FLOATS]
    return problem.workload.dtype or next(iter(reals or dtypes), "f32")


def _baseline(stack: ExitStack, job: Job, device: Device) -> Baseline | None:
    try:
        return stack.enter_context(baseline(job, device))
    except NotApplicable:
        if job.min_speedup is not None:
            raise
        return None
