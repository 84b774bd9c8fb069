"""What crosses to the judge's process and back: heads that JSON can hold."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.data import Argument, Job, Scalar, Tensor, Workload

# `known` beforehand, without any work; `alike` rows; a tensor `unread`, a scalar `ignored`.
AnswerKind: TypeAlias = Literal[
    "right", "known", "copied", "tail", "alike", "element", "precision", "unread", "ignored"
]
_GIVEN = ("in", "inout")
_RETURNED = ("out", "out zero", "inout")


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether outputs are right, the evidence for it on one line or two, and figures by name.

    The figures are `error` (||out - reference|| / ||reference||, or the fraction of wrong integers, the largest of
    all outputs) and `of_allowed` (the largest part that any check took of what it allows: 1 is the limit).
    """

    hit: bool
    evidence: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MadeAnswer:
    """An answer that the judge made itself: what it is in words, and what the judge says of it."""

    kind: AnswerKind
    what: str
    hit: bool
    evidence: str


class ProvesNothing(ScorerError):
    """An answer that computes nothing would pass."""


@dataclass(frozen=True, slots=True)
class Posed:
    """A workload with its arguments in the order of the signature."""

    workload: Workload
    arguments: tuple[Argument, ...]

    @property
    def given(self) -> tuple[Tensor, ...]:
        return tuple(each for each in self._tensors() if each.role in _GIVEN)

    @property
    def returned(self) -> tuple[Tensor, ...]:
        return tuple(each for each in self._tensors() if each.role in _RETURNED)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return tuple(each for each in self.arguments if isinstance(each, Scalar))

    def _tensors(self) -> tuple[Tensor, ...]:
        return tuple(each for each in self.arguments if isinstance(each, Tensor))


@dataclass(frozen=True, slots=True)
class Task:
    """What the judge gets of a job: no cubin and no launch."""

    case: str
    reference: str = field(repr=False)
    reference_name: str
    seed: bytes = field(repr=False)
    tolerance: Mapping[str, float]
    problems: tuple[Posed, ...]

    def number(self, *parts: object) -> int:
        """Return 64 bits that depend on the secret seed, the case, and the parts: the seed of a draw."""
        message = "\0".join(str(part) for part in (self.case, *parts)).encode()
        return int.from_bytes(hmac.digest(self.seed, message, hashlib.sha256)[:8], "little")


def task_of(job: Job) -> Task:
    """Return what of a job the judge needs."""
    problems = tuple(Posed(problem.workload, problem.arguments) for problem in job.problems)
    return Task(job.case, job.reference, job.reference_name, job.seed, job.tolerance, problems)


def pack_task(task: Task) -> dict[str, Any]:
    """Return a task as JSON can hold it, but for the seed, which travels beside it."""
    return {
        "case": task.case,
        "reference": task.reference,
        "reference_name": task.reference_name,
        "tolerance": dict(task.tolerance),
        "problems": [
            [_pack_workload(posed.workload), [asdict(each) for each in posed.arguments]]
            for posed in task.problems
        ],
    }


def unpack_task(packed: dict[str, Any], seed: bytes) -> Task:
    """Return the task that was packed."""
    problems = tuple(
        Posed(Workload(**workload), tuple(_argument(each) for each in arguments))
        for workload, arguments in packed.pop("problems")
    )
    return Task(**packed, seed=seed, problems=problems)


def _pack_workload(workload: Workload) -> dict[str, Any]:
    return {
        "sizes": dict(workload.sizes),
        "dtype": workload.dtype,
        "label": workload.label,
        "misaligned": workload.misaligned,
        "drawn": workload.drawn,
    }


def _argument(packed: dict[str, Any]) -> Argument:
    if "role" in packed:
        return Tensor(**{**packed, "shape": tuple(packed["shape"])})
    return Scalar(**packed)
