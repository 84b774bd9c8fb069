"""Whether a case tells wrong answers from right ones: the judge makes some of its own, and no device is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pytest_upskill.kernels.data import Job, Launch, Problem, Tensor
from pytest_upskill.kernels.judge import AnswerKind, Judge, JudgePool, ProvesNothing
from pytest_upskill.kernels.spec import KernelSpec
from pytest_upskill.kernels.workloads import workloads

_INPUTS = "let make_inputs in {reference} draw inputs"
_MENDS: Mapping[AnswerKind, str] = {
    "known": f"{_INPUTS} that make every answer another one",
    "copied": f"{_INPUTS} that the kernel has to change by more than the tolerance",
    "tail": f"narrow 'tolerance', or {_INPUTS} whose ends matter as much as the rest",
    "alike": f"{_INPUTS} whose rows differ",
    "element": "narrow 'tolerance'",
    "precision": f"narrow 'tolerance', or {_INPUTS} that the coarser type cannot hold",
    "unread": f"{_INPUTS} in which it is neither 0 nor 1, and large enough to matter",
    "ignored": f"{_INPUTS} on which it decides, or give it another value in the signature",
}
_ONCE = Launch((1, 1, 1), (1, 1, 1))


@dataclass(frozen=True, slots=True)
class Accepted:
    """A wrong answer that was taken for right on all problems that it fits: what it is, and how to mend the case."""

    what: str
    problems: tuple[str, ...]
    mend: str


@dataclass(frozen=True, slots=True)
class Strength:
    """What became of a case's trial.

    Attributes:
        tried: how many wrong answers there were, on how many `problems`.
        accepted: those of them that no problem tells from the right one.
        refused: of problems where the right answer itself is rejected, the label and the evidence in one line.
        nothing: sentences about problems that prove nothing.
    """

    tried: int
    problems: int
    accepted: tuple[Accepted, ...]
    refused: tuple[str, ...]
    nothing: tuple[str, ...]

    @property
    def weak(self) -> bool:
        return bool(self.accepted or self.refused or self.nothing)


@dataclass(slots=True)
class _Findings:
    kinds: dict[str, AnswerKind] = field(default_factory=dict)
    taken: dict[str, list[str]] = field(default_factory=dict)
    rejected: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    nothing: dict[str, None] = field(default_factory=dict)


def try_wrong_answers(spec: KernelSpec, case: str, seed: bytes, judges: JudgePool | None = None) -> Strength:
    """Return whether a case takes the right answer for right and wrong ones for wrong.

    A wrong answer has to pass all problems, as a kernel has: the smallest come first, and once one tells it from the
    right answer it is tried no more.

    Args:
        spec: what the case asks; it has a reference.
        case: its id, for messages.
        seed: what shapes and inputs are drawn from.
        judges: a process to use again; without one it is started and ended.

    Raises:
        ScorerError: there is no PyTorch, or the reference is wrong.
    """
    job, found = _job(spec, case, seed), _Findings()
    with Judge(job, judges) as judge:
        for number in sorted(range(len(job.problems)), key=lambda number: _size(job.problems[number])):
            _try(judge, number, job.problems[number].workload.label, found)
    return Strength(
        tried=len(found.kinds),
        problems=len(job.problems),
        accepted=tuple(_accepted(found, spec.reference_name)),
        refused=tuple(found.refused),
        nothing=tuple(found.nothing),
    )


def _try(judge: Judge, number: int, label: str, found: _Findings) -> None:
    try:
        made = judge.answers(number, found.rejected)
    except ProvesNothing as error:
        found.nothing[str(error)] = None
        return
    right, *wrong = made
    if not right.hit:
        # Whatever is wrong here is none the wiser.
        found.refused.append(f"{label}: {right.evidence.splitlines()[0]}")
        return
    for answer in wrong:
        found.kinds[answer.what] = answer.kind
        if answer.hit:
            found.taken.setdefault(answer.what, []).append(label)
        else:
            found.rejected.add(answer.what)


def _accepted(found: _Findings, reference: str) -> Iterator[Accepted]:
    for what, labels in found.taken.items():
        if what not in found.rejected:
            yield Accepted(what, tuple(labels), _MENDS[found.kinds[what]].format(reference=reference))


def _size(problem: Problem) -> int:
    return sum(each.nbytes for each in problem.arguments if isinstance(each, Tensor))


def _job(spec: KernelSpec, case: str, seed: bytes) -> Job:
    """Return a job that is judged only: without code, and launches that nobody reads."""
    return Job(
        case=case,
        entry=spec.signature.entry,
        require=spec.require,
        cubins={},
        problems=tuple(
            Problem(work, spec.signature.arguments(work), _ONCE) for work in workloads(spec, seed)
        ),
        reference=spec.reference,
        reference_name=spec.reference_name,
        seed=seed,
        tolerance=spec.tolerance,
        moved={},
        flops={},
    )
