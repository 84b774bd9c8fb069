"""Executing a compiled kernel on this machine's device: load, correct, robust, fast, under one lock."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from pytest_upskill.errors import NotApplicable, ScorerError
from pytest_upskill.kernels.data import Device, Job, Miss, Problem
from pytest_upskill.kernels.devices import devices, hold
from pytest_upskill.kernels.judge import Judge, JudgePool
from pytest_upskill.kernels.launcher import Call, Called, Fault, Launcher, Loaded
from pytest_upskill.kernels.sandbox import Sandbox, choose
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


def execute(job: Job, judges: JudgePool | None = None, driver: str | None = None) -> Executed:
    """Execute a job on the first device of this machine that its code is for, when nobody else uses it.

    Args:
        job: plain data.
        judges: processes to use again; without them one is started and ended.
        driver: the library of the CUDA driver, where it is not the system's.

    Raises:
        NotApplicable: there is no device, or none that the code is for.
        ScorerError: it could not be judged; it has the stages until then.
    """
    line = Timeline()
    with ExitStack() as stack:
        sandbox = stack.enter_context(_sandbox(job))
        device = fitting(devices(sandbox, driver), job)
        judge = stack.enter_context(Judge(job, judges))
        lock = stack.enter_context(hold(device, _LONGEST_WAIT))

        def start() -> Launcher:
            return Launcher(device, sandbox, driver, lock)

        with suppress(Miss):  # its stage says so
            with _started(start()) as launcher:
                _Trial(job, launcher, judge, line).all(device)
            if job.require == "fast":
                _time(job, device, start, judge, line)
    return Executed(tuple(line.stages), device, sandbox.level)


def fitting(found: Sequence[Device], job: Job) -> Device:
    """Return the first device that a job's code is for. Raises `NotApplicable`."""
    if not found:
        raise NotApplicable(NO_DEVICE)
    wanted = job.arch.removeprefix("sm_").rstrip("af")
    for device in found:
        if wanted == "{}{}".format(*device.capability):
            return device
    there = ", ".join(f"{device.name} (sm_{device.capability[0]}{device.capability[1]})" for device in found)
    raise NotApplicable(f"compiled for {job.arch} and not executed: the device here is {there}")


@contextmanager
def _started(launcher: Launcher) -> Iterator[Launcher]:
    with ExitStack() as stack:
        with _faults("load", "the launcher"):
            stack.enter_context(launcher)
        yield launcher


@contextmanager
def _sandbox(job: Job) -> Iterator[Sandbox]:
    sandbox = choose(job.unsafe)
    try:
        yield sandbox
    finally:
        sandbox.close()


class _Trial:
    """One kernel on its way through the stages that need a device."""

    def __init__(self, job: Job, launcher: Launcher, judge: Judge, line: Timeline) -> None:
        self._job = job
        self._launcher = launcher
        self._judge = judge
        self._line = line
        self._kernels: dict[str, Loaded] = {}

    def all(self, device: Device) -> None:
        with self._line.stage("load") as note:
            for dtype, cubin in self._job.cubins.items():
                with _faults("load", dtype or self._job.entry):
                    self._kernels[dtype] = self._launcher.load(cubin, self._job.entry)
            note.evidence = f"{device.name}, driver {device.driver}"
        with self._line.stage("correct") as note:
            note.evidence = self._on_problems("correct", lambda problem: not _hidden(problem))
        with self._line.stage("robust") as note:
            shapes = self._on_problems("robust", _hidden)
            self._repeat()
            note.evidence = f"{shapes}; {_REPEATS} calls with fresh data"

    def _on_problems(self, stage: str, wanted: Callable[[Problem], bool]) -> str:
        tried = [index for index, problem in enumerate(self._job.problems) if wanted(problem)]
        worst = 0.0
        for index in tried:
            called = self._call(stage, index, 0)
            worst = max(worst, self._judged(stage, index, 0, called))
        return f"{len(tried)} problem{'s' * (len(tried) != 1)}, error at most {worst:.2g} of what is allowed"

    def _repeat(self) -> None:
        """Call again on fresh data; which calls are looked at nobody knows before they have all been made."""
        made = {copy: self._call("robust", 0, copy) for copy in range(1, _REPEATS + 1)}
        picked = {_REPEATS, *secrets.SystemRandom().sample(range(1, _REPEATS), _JUDGED)}
        for copy in sorted(picked):
            self._judged("robust", 0, copy, made[copy])

    def _call(self, stage: str, index: int, copy: int) -> Called:
        problem = self._job.problems[index]
        label = problem.workload.label
        self._launcher.put(index, self._judge.inputs(index, copy))
        with _faults(stage, label):
            called = self._launcher.call(self._call_of(problem, index))
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
        if fault.of_kernel:
            raise Miss(stage, f"{place}: {fault}") from None
        raise ScorerError(f"{place}: the device could not be used: {fault}") from None
