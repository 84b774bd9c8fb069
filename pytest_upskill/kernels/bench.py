"""The bench on which answers are tried: a compiler, a sandbox, a cache of artefacts, and devices or none."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from functools import cached_property

from pytest_upskill.errors import NotApplicable, ScorerError
from pytest_upskill.kernels.artefacts import Artefacts
from pytest_upskill.kernels.ceilings import PROBE, PROBE_ENTRY
from pytest_upskill.kernels.compile import Compiler
from pytest_upskill.kernels.data import STAGES, Artefact, Device, Job, Miss, Problem
from pytest_upskill.kernels.devices import Seen, look
from pytest_upskill.kernels.execute import Executed, fitting
from pytest_upskill.kernels.executors import Elsewhere, Local
from pytest_upskill.kernels.extract import Source, extract
from pytest_upskill.kernels.facts import check_facts
from pytest_upskill.kernels.prelude import prelude
from pytest_upskill.kernels.resources import check_launch
from pytest_upskill.kernels.sandbox import Sandbox, sandboxes
from pytest_upskill.kernels.sass import check_instructions, instructions
from pytest_upskill.kernels.spec import KernelSpec
from pytest_upskill.kernels.timeline import Timeline
from pytest_upskill.kernels.toolchain import find_toolchain
from pytest_upskill.kernels.workloads import workloads
from pytest_upskill.types import ScoringRun, Stage

# What is compiled for where neither the case nor a device says: the Hopper that the skills are about.
DEFAULT_ARCH = "sm_90a"
FOLDER = "kernels"
EMULATED = "executed on an emulated device, which proves nothing"
WITHOUT_DEVICE = STAGES[: STAGES.index("facts") + 1]
_LAST = {"compile": "facts", "correct": "robust", "fast": "fast"}


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of an answer: its stages, those that were not reached as skipped."""

    stages: tuple[Stage, ...]

    @property
    def hit(self) -> bool:
        return all(stage.outcome == "passed" for stage in self.stages)

    @property
    def telling(self) -> Stage:
        """The stage that decided: the one that was missed, else the last."""
        return next((stage for stage in self.stages if stage.outcome == "missed"), self.stages[-1])


class Bench:
    """Tries answers; for any threads. Making one finds out what the machine has.

    Raises:
        ScorerError: there is no compiler, or no sandbox works.
    """

    def __init__(self, run: ScoringRun) -> None:
        self.toolchain = find_toolchain()
        self._boxes = sandboxes(run.unsafe)
        self.sandbox = self._boxes[0]
        self._run = run
        self._compiler = Compiler(self.toolchain, self.sandbox, Artefacts(run.folder / FOLDER))
        self._compiling = threading.BoundedSemaphore(os.cpu_count() or 1)
        self._lock = threading.Lock()
        self._place: Local | Elsewhere | None = None
        self._closed = False

    def close(self) -> None:
        """End everything that was started."""
        with self._lock:
            self._closed = True
            place = self._place
        for box in self._boxes:
            box.close()
        if place is not None:
            place.close()

    def try_answer(self, text: str, spec: KernelSpec, case: str, seed: bytes) -> Tried:
        """Take a reply through the stages as far as its case asks.

        Args:
            text: the reply.
            spec: what the case asks.
            case: its id, for messages.
            seed: what shapes and inputs are drawn from; the reply must not know it.

        Raises:
            NotApplicable: the case asks to execute it, and there is nowhere to; it has the stages until then.
            ScorerError: it could not be judged.
        """
        line = Timeline()
        try:
            problems, made = self._compiled(text, spec, seed, line)
            if spec.require != "compile" and not self._nowhere(spec):
                self._execute(self._job(spec, case, seed, problems, made), line)
        except Miss:
            pass  # its stage says so
        if spec.require != "compile" and (reason := self._nowhere(spec)):
            # A miss of the compiler's too: rates of what never could be a hit would be no rates of the case.
            raise NotApplicable(reason, line.through(WITHOUT_DEVICE))
        return Tried(line.through(stages_of(spec)))

    def _compiled(
        self, text: str, spec: KernelSpec, seed: bytes, line: Timeline
    ) -> tuple[tuple[Problem, ...], Mapping[str, Artefact]]:
        with line.stage("extract") as note:
            source = extract(text, spec)
            problems = _problems(spec, source, seed)
            note.evidence = f"{len(source.code.splitlines())} lines, {len(problems)} problems"
        arch = self.arch(spec)
        with line.stage("compile") as note:
            made = {
                dtype: self._compile(source.code, prelude(dtype, spec.signature.dtypes), arch, spec)
                for dtype in spec.elements
            }
            note.evidence = f"{self.toolchain.name} for {arch}, sandbox: {self.sandbox.level}"
        with line.stage("facts") as note:
            for dtype, artefact in made.items():
                self._check(artefact, dtype, spec)
            for problem in problems:
                check_launch(made[problem.workload.dtype].facts, problem)
            note.figures.update(_figures(list(made.values())))
            note.evidence = ", ".join(f"{name} {value:g}" for name, value in note.figures.items())
        return problems, made

    def _check(self, artefact: Artefact, dtype: str, spec: KernelSpec) -> None:
        signature, gates = spec.signature, spec.gates
        names = [parameter.name for parameter in signature.parameters]
        sizes = signature.parameter_sizes(dtype)
        check_facts(artefact.facts, sizes, gates, signature.entry, names)
        if gates.sass_required or gates.sass_forbidden:
            found = instructions(artefact.cubin, self.toolchain, self.sandbox)
            check_instructions(found, gates.sass_required, gates.sass_forbidden)

    def _compile(self, code: str, before: str, arch: str, spec: KernelSpec) -> Artefact:
        with self._compiling:
            return self._compiler.compile(code, before, arch, spec.signature.entry)

    def _job(
        self,
        spec: KernelSpec,
        case: str,
        seed: bytes,
        problems: tuple[Problem, ...],
        made: Mapping[str, Artefact],
    ) -> Job:
        works = [problem.workload for problem in problems]
        arch = self.arch(spec)
        return Job(
            case=case,
            entry=spec.signature.entry,
            require=spec.require,
            cubins={dtype: artefact.cubin for dtype, artefact in made.items()},
            problems=problems,
            reference=spec.reference,
            reference_name=spec.reference_name,
            seed=seed,
            tolerance=spec.tolerance,
            moved={work.label: spec.moved_on(work) for work in works},
            flops={work.label: spec.flops_on(work) for work in works},
            min_speedup=spec.gates.min_speedup,
            min_roofline=spec.gates.min_roofline,
            unsafe=self._run.unsafe,
            probe=self._probe(arch),
            compiler=self.toolchain.version,
            arch=arch,
            hidden=self._run.hidden,
        )

    def _probe(self, arch: str) -> bytes:
        with self._compiling:
            return self._compiler.compile(PROBE, "", arch, PROBE_ENTRY).cubin

    def _execute(self, job: Job, line: Timeline) -> None:
        try:
            done: Executed = self._where().submit(job).result()
        except CancelledError:
            raise ScorerError("the run is over: nothing is executed any more") from None
        except ScorerError as error:
            error.stages = (*line.stages, *error.stages)
            raise
        if done.device.emulated:
            seen = (replace(stage, outcome="skipped", evidence=_emulated(stage)) for stage in done.stages)
            raise NotApplicable(EMULATED, (*line.stages, *seen))
        line.stages += done.stages
        if any(stage.outcome == "missed" for stage in done.stages):
            raise Miss(done.stages[-1].name, done.stages[-1].evidence)

    def _where(self) -> Local | Elsewhere:
        with self._lock:
            if self._closed:
                raise ScorerError("the run is over: nothing is executed any more")
            if self._place is None:
                executor = self._run.executor
                self._place = Local(self._seen, self._run.hidden) if executor is None else Elsewhere(executor)
            return self._place

    @property
    def devices(self) -> tuple[Device, ...]:
        """The devices of this machine."""
        return self._seen.devices

    @property
    def device_sandbox(self) -> Sandbox:
        """The best sandbox in which the driver works; that of the compiler may be a better one."""
        return next(box for box in self._boxes if box.level == self._seen.level)

    @cached_property
    def _seen(self) -> Seen:
        return look(self._boxes)

    def _nowhere(self, spec: KernelSpec) -> str | None:
        """Return why a kernel cannot be executed here, None where it can, or where somebody else has to know."""
        if self._run.executor is not None:
            return None
        try:
            fitting(self.devices, self.arch(spec))
        except NotApplicable as reason:
            return str(reason)
        return None

    def arch(self, spec: KernelSpec) -> str:
        """Return what code is compiled for: what the case says, else the device's own."""
        if spec.arch:
            return spec.arch
        if self._run.executor is not None or not self.devices:
            return DEFAULT_ARCH
        major, minor = self.devices[0].capability
        # Since Hopper there is a target with all that the very device has.
        return f"sm_{major}{minor}{'a' if major >= 9 else ''}"


def _problems(spec: KernelSpec, source: Source, seed: bytes) -> tuple[Problem, ...]:
    """Return the problems of a run. Raises `Miss` where the reply's launch does not fit one."""
    signature = spec.signature
    return tuple(
        Problem(
            work,
            signature.arguments(work),
            source.declaration.launch(signature.numbers(work), work.dtype),
        )
        for work in workloads(spec, seed)
    )


def _figures(made: Sequence[Artefact]) -> dict[str, float]:
    """Return the worst of the facts over the element types."""
    facts = [artefact.facts for artefact in made]
    return {
        "registers": max(fact.registers for fact in facts),
        "stack": max(fact.stack for fact in facts),
        "spills": max(fact.spill_stores + fact.spill_loads for fact in facts),
        "shared": max(fact.shared for fact in facts),
    }


def _emulated(stage: Stage) -> str:
    return f"emulated, which proves nothing: {stage.outcome}: {stage.evidence}"


def stages_of(spec: KernelSpec) -> tuple[str, ...]:
    """Return the stages that a case asks for, in their order."""
    return STAGES[: STAGES.index(_LAST[spec.require]) + 1]
