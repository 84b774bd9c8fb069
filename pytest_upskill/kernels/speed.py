"""Measuring a kernel's speed: its calls and those of the baseline take turns, and what was timed is judged."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import TypeAlias

from pytest_upskill.kernels.baseline.parent import Baseline
from pytest_upskill.kernels.data import Job, Miss, Tensor
from pytest_upskill.kernels.judge import Judge
from pytest_upskill.kernels.launcher import Call, Called, Launcher, Loaded
from pytest_upskill.kernels.roofline import Ceiling, Fingerprint
from pytest_upskill.kernels.speed_gates import Speed, speed
from pytest_upskill.kernels.timings import RESOLUTION_MS

# Milliseconds of so many calls on end, each timed for itself.
Side: TypeAlias = Callable[[int], list[float]]
BLOCKS = 16
CALLS_A_BLOCK = 4
# A turn's first call is one of them: a kernel must not know it from the others.
TOTAL = BLOCKS * (CALLS_A_BLOCK + 1)
# Beside the last, so many timed calls have their outputs judged; which, nobody outside of this process knows.
JUDGED = 3
# Draws that no earlier stage has used.
FIRST_COPY = 1000
_POOL_BYTES = 2**30
_FEWEST_DRAWS, _MOST_DRAWS = 2, 80
_BASELINE_DRAWS = 4


def measure_speed(
    job: Job,
    number: int,
    launcher: Launcher,
    judge: Judge,
    baseline: Baseline | None,
    ceiling: Ceiling,
    *,
    mark: Fingerprint,
    loaded: Loaded | None = None,
) -> Speed:
    """Time a problem of a job on the launcher's device, which nobody else may use meanwhile.

    Args:
        job: what is measured.
        number: which of its problems.
        launcher: has the kernel loaded.
        judge: of this job.
        baseline: None where there is nothing to compare with.
        ceiling: of this problem; an empty one where there is no roofline.
        mark: what the times hold for.
        loaded: the kernel for the problem's type; None is the one that was loaded last.

    Raises:
        Miss: a timed call wrote what it must not, or its output is wrong.
        Fault: a timed call failed.
        ScorerError: judge or baseline failed.
    """
    candidate = TimedCalls(job, number, launcher, judge, loaded)
    if baseline:
        baseline.prepare(number, candidate.draws[:_BASELINE_DRAWS])
    ours, theirs = interleaved(candidate.times, baseline.times if baseline else None)
    judged = candidate.judge()
    label = job.problems[number].workload.label
    return speed(label, ours, theirs, ceiling, judged=judged, fingerprint=mark)


def interleaved(
    candidate: Side, baseline: Side | None, blocks: int = BLOCKS, calls: int = CALLS_A_BLOCK
) -> tuple[list[list[float]], list[list[float]] | None]:
    """Return the milliseconds of both sides, block by block: who begins changes from pair to pair.

    Each turn begins with a call that does not count: it finds the device as the other side has left it.
    """
    ours: list[list[float]] = []
    theirs: list[list[float]] = []
    for number in range(blocks):
        turns = [(candidate, ours), *([(baseline, theirs)] if baseline else [])]
        for side, kept in turns if number % 2 == 0 else reversed(turns):
            kept.append([max(time, RESOLUTION_MS) for time in side(calls + 1)[1:]])
    return ours, theirs if baseline else None


class TimedCalls:
    """The candidate's calls, each with another draw of the inputs, of which some outputs are kept and judged.

    Attributes:
        draws: the tensors that are read, several times over.
    """

    def __init__(
        self, job: Job, number: int, launcher: Launcher, judge: Judge, loaded: Loaded | None
    ) -> None:
        self._problem = job.problems[number]
        self._number = number
        self._launcher = launcher
        self._judge = judge
        self._loaded = loaded
        count = draw_count(self._problem.arguments)
        self.draws = [judge.inputs(number, FIRST_COPY + copy) for copy in range(count)]
        self._made = 0
        # Chosen beforehand, so that not all have to be kept: neither launcher nor kernel is ever told.
        self._picked = {TOTAL - 1, *secrets.SystemRandom().sample(range(TOTAL - 1), JUDGED)}
        self._kept: list[tuple[int, int, list[bytes]]] = []

    def times(self, count: int) -> list[float]:
        """Return the milliseconds of so many calls."""
        return [self._one() for _ in range(count)]

    def judge(self) -> int:
        """Judge what was kept and return how many calls that were. Raises `Miss`."""
        for made, copy, outputs in self._kept:
            found = self._judge.verdict(self._number, FIRST_COPY + copy, outputs)
            if not found.hit:
                raise Miss(
                    "fast",
                    f"{self._where(made)} left a wrong output: {found.evidence}",
                )
        return len(self._kept)

    def _one(self) -> float:
        copy = secrets.randbelow(len(self.draws))
        # Not handed over before the call before it has ended: whoever reads ahead finds nothing.
        self._launcher.put(self._number, self.draws[copy])
        called = self._launcher.call(self._call())
        self._refuse_damage(called)
        if self._made in self._picked:
            self._kept.append((self._made, copy, called.outputs))
        self._made += 1
        return called.milliseconds

    def _call(self) -> Call:
        problem = self._problem
        return Call(
            problem.arguments,
            problem.launch,
            self._number,
            misaligned=problem.workload.misaligned,
            flush=True,
            kernel=self._loaded,
        )

    def _refuse_damage(self, called: Called) -> None:
        if called.broken_guards:
            where = self._where(self._made)
            raise Miss("fast", f"{where} wrote outside of its buffers: {'; '.join(called.broken_guards)}")
        if called.changed_inputs:
            raise Miss(
                "fast", f"{self._where(self._made)} changed its input {', '.join(called.changed_inputs)}"
            )

    def _where(self, made: int) -> str:
        return f"{self._problem.workload.label}: call {made + 1} of the {TOTAL} that were timed"


def draw_count(arguments: Sequence[object]) -> int:
    """Return how many draws of the inputs there are room for; one where there is nothing to draw."""
    tensors = [each for each in arguments if isinstance(each, Tensor) and each.role in ("in", "inout")]
    size = sum(tensor.nbytes for tensor in tensors)
    return min(max(_POOL_BYTES // size, _FEWEST_DRAWS), _MOST_DRAWS) if size else 1
