"""Runs what the zoo holds: the naive check over Python, and our own stages over replies."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self, TypedDict, cast, get_args

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.artefacts import Artefacts
from pytest_upskill.kernels.compile import Compiler
from pytest_upskill.kernels.data import Job, Miss, Problem
from pytest_upskill.kernels.execute import Executed, execute
from pytest_upskill.kernels.extract import Source, extract
from pytest_upskill.kernels.facts import check_facts
from pytest_upskill.kernels.judge import JudgePool
from pytest_upskill.kernels.prelude import prelude
from pytest_upskill.kernels.sandbox import Limits, Ran, Sandbox, reports, sandboxes
from pytest_upskill.kernels.spec import KernelSpec
from pytest_upskill.kernels.toolchain import find_toolchain
from pytest_upskill.kernels.workloads import workloads
from tests.kernels.emulated import build
from tests.kernels.zoo.entries import HERE, Expected

ARCH = "sm_90a"
_NVCC_ONLY = re.compile(r"^#ifdef __CUDACC__\n.*?^#endif\n", re.MULTILINE | re.DOTALL)


def reason_to_skip() -> str | None:
    """Return why no verdict can be had on this machine, or None."""
    if find_spec("torch") is None:
        return "the judge needs torch"
    if not any(report.works for report in reports()):
        return "no level of the sandbox works here"
    try:
        find_toolchain()
    except ScorerError as error:
        return str(error)
    return build.missing()


class Naive(TypedDict, total=False):
    """What the naive check says: `speedup` over the reference, `registers` as a compiler would print them."""

    correct: bool
    speedup: float
    registers: int


def naive(candidates: Sequence[Mapping[str, str]]) -> list[Naive]:
    """Return what the naive check says of each, in one new process for all of them."""
    done = subprocess.run(
        [sys.executable, str(HERE / "naive.py")],
        input=json.dumps(candidates), stdout=subprocess.PIPE, text=True, timeout=300, check=True,
    )  # fmt: skip
    found: list[Naive] = json.loads(done.stdout)
    return found


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a reply: the stage that stopped it, `task` where the case was refused, else `harmless`."""

    stopped: Expected
    evidence: str


class Workshop:
    """What verdicts take: compiler, judging processes, and a driver. Several threads may use it.

    Args:
        folder: for what was compiled.
        patience: seconds for a compiler, where its own limits are not short enough.
        emulated: the driver is the pretended one; else the system's, and replies run as nvcc compiles them.
        arch: what they are compiled for.
    """

    def __init__(
        self, folder: Path, patience: float | None = None, *, emulated: bool = True, arch: str = ARCH
    ) -> None:
        self._sandbox = sandboxes(unsafe=False)[0]
        sandbox = self._sandbox if patience is None else cast("Sandbox", Hurried(self._sandbox, patience))
        toolchain = find_toolchain()
        self._compiler = Compiler(toolchain, sandbox, Artefacts(folder))
        self.compiler, self.sandbox = toolchain.name, self._sandbox.level
        self._judges = JudgePool()
        self._driver = str(build.driver()) if emulated else None
        self._arch = arch
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._judges.close()
        self._sandbox.close()

    def verdict(self, reply: str, spec: KernelSpec, seed: bytes) -> Verdict:
        """Take a reply through all stages."""
        try:
            source = extract(reply, spec)
            problems = problems_of(spec, source, seed)
            cubins = self.cubins(source.code, spec)
            executed = self.execute(job_of(spec, cubins, problems, seed, self._arch))
        except Miss as miss:
            return Verdict(stage_named(miss.stage), miss.evidence)
        except ScorerError as error:
            return Verdict("task", str(error))
        last = executed.stages[-1]
        return Verdict(stage_named(last.name) if last.outcome == "missed" else "harmless", last.evidence)

    def execute(self, job: Job) -> Executed:
        """Execute a job on the first device of the driver."""
        return execute(job, self._judges, self._driver)

    def cubins(self, code: str, spec: KernelSpec) -> dict[str, bytes]:
        """Return what is loaded, by element type. Raises `Miss` where nvcc or the facts are against it."""
        found = {dtype: self._compiled(code, spec, dtype) for dtype in spec.elements}
        if self._driver is None:
            return found
        # Two threads may have code that is the same for g++.
        with self._lock:
            return images(code, spec)

    def _compiled(self, code: str, spec: KernelSpec, dtype: str) -> bytes:
        signature = spec.signature
        artefact = self._compiler.compile(code, prelude(dtype, signature.dtypes), self._arch, signature.entry)
        names = [each.name for each in signature.parameters]
        check_facts(artefact.facts, signature.parameter_sizes(dtype), spec.gates, signature.entry, names)
        return artefact.cubin


class Hurried:
    """A sandbox whose commands have less time."""

    def __init__(self, sandbox: Sandbox, seconds: float) -> None:
        self._sandbox = sandbox
        self._seconds = seconds
        self.level = sandbox.level

    def run(self, *args: Any, limits: Limits, **more: Any) -> Ran:
        return self._sandbox.run(*args, limits=replace(limits, wall_seconds=self._seconds), **more)


def problems_of(spec: KernelSpec, source: Source, seed: bytes) -> tuple[Problem, ...]:
    """Return the problems of one run. Raises `Miss` where they cannot be launched as the reply says."""
    return tuple(
        Problem(
            workload,
            spec.signature.arguments(workload),
            source.declaration.launch(spec.signature.numbers(workload), workload.dtype),
        )
        for workload in workloads(spec, seed)
    )


def images(code: str, spec: KernelSpec) -> dict[str, bytes]:
    """Return what the pretended driver loads, by element type; what only nvcc understands is left out."""
    plain = _NVCC_ONLY.sub("", code)
    return {dtype: build.image(plain, dtype, spec.signature.entry) for dtype in spec.elements}


def job_of(
    spec: KernelSpec, cubins: Mapping[str, bytes], problems: Sequence[Problem], seed: bytes, arch: str = ARCH
) -> Job:
    """Return the job of executing a kernel until it is seen to be correct."""
    return Job(
        case=f"zoo/{spec.signature.entry}",
        entry=spec.signature.entry,
        require="correct",
        cubins=cubins,
        problems=tuple(problems),
        reference=spec.reference,
        reference_name=spec.reference_name,
        seed=seed,
        tolerance=spec.tolerance,
        moved={each.workload.label: spec.moved_on(each.workload) for each in problems},
        flops={each.workload.label: spec.flops_on(each.workload) for each in problems},
        arch=arch,
    )


def stage_named(name: str) -> Expected:
    """Return a stage's name as one that a cheat may expect."""
    return next(each for each in get_args(Expected) if each == name)
