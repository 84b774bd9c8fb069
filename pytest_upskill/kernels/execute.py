"""Executing a compiled kernel on this machine's device: load, correct, robust, fast, under one lock."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from pytest_upskill.errors import NotApplicable, ScorerError
from pytest_upskill.kernels.ceilings import PROBE_ENTRY
from pytest_upskill.kernels.data import Device, Job, Miss, Problem
from pytest_upskill.kernels.devices import Lock, Seen, hold, look
from pytest_upskill.kernels.judge import Judge, JudgePool
from pytest_upskill.kernels.launcher import Call, Called, Fault, Launcher, Loaded
from pytest_upskill.kernels.sandbox import sandboxes
from pytest_upskill.kernels.speed_gates import check_speed
from pytest_upskill.kernels.timeline import Timeline
from pytest_upskill.types import Stage

NO_DEVICE = "no CUDA device here: kernels are compiled and not executed"
# Calls with fresh data beside those on every shape; of these some are judged, and the last.
_REPEATS = 6
_JUDGED = 2
_LONGEST_WAIT = 1800.0  # seconds that another run may hold the device


@dataclass(frozen=True, slots=True)
class Executed:
    """What became of a job, on which device and in what sandbox. On an emulated device nothing of it counts."""

    stages: tuple[Stage, ...]
    device: Device
    sandbox: str


def execute(
    job: Job,
    judges: JudgePool | None = None,
    driver: str | None = None,
    known: Seen | None = None,
) -> Executed:
    """Execute a job on a device of this machine that its code is for, when nobody else uses it.

    Args:
        job: plain data.
        judges: processes to use again; without them one is started and ended.
        driver: the library of the CUDA driver, where it is not the system's.
        known: what `look` found on this machine; None where it was not asked.

    Raises:
        NotApplicable: there is no device, or none that the code is for.
        ScorerError: it could not be judged; it has the stages until then.
    """
    line = Timeline()
    with ExitStack() as stack:
        boxes = [stack.enter_context(box) for box in sandboxes(job.unsafe)]
        seen = known or look(boxes, driver)
        sandbox = next(box for box in boxes if box.level == seen.level)
        fits = fitting(seen.devices, job.arch)
        judge = stack.enter_context(Judge(job, judges))
        device, lock = _held(fits, stack)

        def start() -> Launcher:
            return Launcher(device, sandbox, driver, lock)

        with suppress(Miss):  # its stage says so
            with _started(start()) as launcher:
                _Trial(job, launcher, judge, line).all(device, sandbox.level)
            if job.require == "fast":
                _time(job, device, start, judge, line)
    return Executed(tuple(line.stages), device, sandbox.level)


def fitting(found: Sequence[Device], arch: str) -> list[Device]:
    """Return the devices that code for an architecture is for. Raises `NotApplicable` where there is none."""
    if not found:
        raise NotApplicable(NO_DEVICE)
    wanted = arch.removeprefix("sm_").rstrip("af")
    fits = [device for device in found if wanted == "{}{}".format(*device.capability)]
    if not fits:
        there = ", ".join(
            f"{device.name} (sm_{device.capability[0]}{device.capability[1]})" for device in found
        )
        raise NotApplicable(f"compiled for {arch} and not executed: the device here is {there}")
    return fits


def _held(fits: Sequence[Device], stack: ExitStack) -> tuple[Device, Lock]:
    """Hold the first device that is free, else wait for the first."""
    for device in fits:
        with suppress(ScorerError):  # somebody has it
            return device, stack.enter_context(hold(device, 0))
    return fits[0], stack.enter_context(hold(fits[0], _LONGEST_WAIT))


@contextmanager
def _started(launcher: Launcher) -> Iterator[Launcher]:
    with ExitStack() as stack:
        with _faults("load", "the launcher"):
            stack.enter_context(launcher)
        yield launcher


class _Trial:
    """One kernel on its way through the stages that need a device."""

    def __init__(self, job: Job, launcher: Launcher, judge: Judge, line: Timeline) -> None:
        self._job = job
        self._launcher = launcher
        self._judge = judge
        self._line = line
        self._kernels: dict[str, Loaded] = {}

    def all(self, device: Device, level: str) -> None:
        with self._line.stage("load") as note:
            for dtype, cubin in self._job.cubins.items():
                self._kernels[dtype] = self._load(dtype, cubin, device)
            note.evidence = f"{device.name}, driver {device.driver}, sandbox: {level}"
        with self._line.stage("correct") as note:
            note.evidence = self._on_problems("correct", lambda problem: not _hidden(problem))
        with self._line.stage("robust") as note:
            shapes = self._on_problems("robust", _hidden)
            self._repeat()
            note.evidence = f"{shapes}; {_REPEATS} calls with fresh data"

    def _load(self, dtype: str, cubin: bytes, device: Device) -> Loaded:
        job = self._job
        try:
            return self._launcher.load(cubin, job.entry)
        except Fault as fault:
            if fault.of_kernel and not fault.sticky and job.probe:
                self._check_driver(device)
            raise _sorted(fault, "load", dtype or job.entry) from None

    def _check_driver(self, device: Device) -> None:
        """See whether a kernel of ours can be loaded: a driver that is older than the compiler takes none."""
        try:
            self._launcher.load(self._job.probe, PROBE_ENTRY)
        except Fault as fault:
            raise ScorerError(
                f"the driver of this device ({device.driver}) does not take what nvcc {self._job.compiler} compiles, "
                f"not even a kernel of ours ({fault}): update the driver, or use an older nvcc"
            ) from None

    def _on_problems(self, stage: str, wanted: Callable[[Problem], bool]) -> str:
        tried = [index for index, problem in enumerate(self._job.problems) if wanted(problem)]
        worst = 0.0
        for index in tried:
            called = self._call(stage, index, 0)
            worst = max(worst, self._judged(stage, index, 0, called))
        return f"{len(tried)} problem{'s' * (len(tried) != 1)}, error at most {worst:.2g} of what is allowed"

    def _repeat(self) -> None:
        """Call again on fresh data of any problem; neither the reply nor the launcher knows which are looked at."""
        secret = secrets.SystemRandom()
        picked = {_REPEATS, *secret.sample(range(1, _REPEATS), _JUDGED)}
        for copy in range(1, _REPEATS + 1):
            index = secret.randrange(len(self._job.problems))
            called = self._call("robust", index, copy)
            if copy in picked:
                self._judged("robust", index, copy, called)

    def _call(self, stage: str, index: int, copy: int) -> Called:
        problem = self._job.problems[index]
        label = problem.workload.label
        self._launcher.put(index, self._judge.inputs(index, copy))
        with _faults(stage, label):
            called = self._launcher.call(self._call_of(problem, index))
        self._launcher.drop(index)
        if called.broken_guards:
            raise Miss(stage, f"{label}: it wrote {', '.join(called.broken_guards)}")
        if called.changed_inputs:
            raise Miss(stage, f"{label}: it changed its input {', '.join(called.changed_inputs)}")
        return called

    def _call_of(self, problem: Problem, key: int) -> Call:
        workload = problem.workload
        kernel = self._kernels[workload.dtype]
        return Call(problem.arguments, problem.launch, key, misaligned=workload.misaligned, kernel=kernel)

    def _judged(self, stage: str, index: int, copy: int, called: Called) -> float:
        judgement = self._judge.verdict(index, copy, called.outputs)
        if not judgement.hit:
            raise Miss(stage, f"{self._job.problems[index].workload.label}: {judgement.evidence}")
        return judgement.figures.get("of_allowed", 0.0)


def _time(job: Job, device: Device, start: Callable[[], Launcher], judge: Judge, line: Timeline) -> None:
    """Time the kernel on the largest problem of each type; the slowest of them stands for it."""
    from pytest_upskill.kernels.fast import time_problem, timed_problems

    with line.stage("fast") as note:
        found = []
        for number in timed_problems(job):
            with _faults("fast", job.problems[number].workload.label):
                found.append(time_problem(job, number, device, start, judge))
        note.evidence = "; ".join(speed.evidence for speed in found)
        slowest = min(found, key=lambda speed: speed.ratio.value if speed.ratio else -speed.candidate.ms)
        note.figures.update(slowest.figures())
        if job.min_speedup is not None:
            note.figures["min_speedup"] = job.min_speedup
        for speed in found:
            check_speed(speed, job.min_speedup, job.min_roofline)


def _hidden(problem: Problem) -> bool:
    """Tell whether a problem is one that the reply could not know."""
    return problem.workload.drawn or problem.workload.misaligned


@contextmanager
def _faults(stage: str, place: str) -> Iterator[None]:
    """Turn a fault that is the kernel's own into a miss, and any other into an error."""
    try:
        yield
    except Fault as fault:
        raise _sorted(fault, stage, place) from None


def _sorted(fault: Fault, stage: str, place: str) -> Miss | ScorerError:
    if fault.of_kernel:
        return Miss(stage, f"{place}: {fault}")
    return ScorerError(f"{place}: the device could not be used: {fault}")
