"""One job before the judge: its inputs, what the reference says of them, and the verdicts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.data import Tensor
from pytest_upskill.kernels.judge.answers import answers
from pytest_upskill.kernels.judge.degenerate import ENOUGH, constant_passes, insensitive, zeros_pass
from pytest_upskill.kernels.judge.expected import expected
from pytest_upskill.kernels.judge.findings import Output, judged
from pytest_upskill.kernels.judge.inputs import draw, draws_its_own
from pytest_upskill.kernels.judge.reference import Reference
from pytest_upskill.kernels.judge.right import Known
from pytest_upskill.kernels.judge.sampling import chosen_rows, row_count
from pytest_upskill.kernels.judge.tensors import float64_by_default, from_bytes, to_bytes
from pytest_upskill.kernels.judge.wire import Judgement, MadeAnswer, Posed, ProvesNothing, Task

if TYPE_CHECKING:
    import torch

# The copy of the inputs that no kernel ever gets: its answer is what must differ.
_OTHER = -1


class Trial:
    """A job of the judge's process. Raises `ScorerError` where nothing can be judged."""

    def __init__(self, task: Task) -> None:
        self._task = task
        with float64_by_default():
            self._reference = Reference(task.reference, task.reference_name)
        self._seen: set[str] = set()
        # Of the last draw only: they may be gigabytes.
        self._drawn: tuple[tuple[int, int], dict[str, torch.Tensor]] | None = None
        self._known: tuple[tuple[int, int], dict[str, torch.Tensor], torch.Tensor | None] | None = None

    def inputs(self, problem: int, copy: int) -> list[bytes]:
        """Return what a kernel is given."""
        return [to_bytes(each) for each in self._draw(problem, copy).values()]

    def verdict(self, problem: int, copy: int, outputs: Sequence[bytes]) -> Judgement:
        """Judge what a kernel returned."""
        posed = self._task.problems[problem]
        _check_sizes(posed, outputs)
        self._refuse_degenerate(posed.workload.dtype)
        refs, _ = self._expected(problem, copy)
        self._refuse_zeros(posed, refs)
        blocks = {tensor.name: block for tensor, block in zip(posed.returned, outputs, strict=True)}
        return self._judged(problem, copy, lambda tensor: from_bytes(blocks[tensor.name], tensor))

    def answers(self, problem: int, rejected: Collection[str]) -> Iterator[MadeAnswer]:
        """Judge answers of our own to a problem: the right one, and those wrong ones that are not yet rejected."""
        posed = self._task.problems[problem]
        self._refuse_degenerate(posed.workload.dtype)
        inputs = self._draw(problem, 0)
        refs, index = self._expected(problem, 0)
        self._refuse_zeros(posed, refs)
        known = Known(
            posed=posed,
            inputs=inputs,
            refs=refs,
            index=index,
            tolerance=self._task.tolerance,
            expected=lambda changed, given: expected(self._reference, changed, given, index),
            drawn=lambda: draw(self._task, self._reference, problem, _OTHER),
            plain=partial(draw, self._task, self._reference, problem, 0, own=False)
            if draws_its_own(self._reference)
            else None,
        )
        for answer in answers(known):
            outputs = None if answer.what in rejected else answer.outputs(known)
            if outputs is not None:
                found = self._judged(problem, 0, partial(_named, outputs))
                yield MadeAnswer(answer.kind, answer.what, found.hit, found.evidence)

    def _judged(self, problem: int, copy: int, output_of: Callable[[Tensor], torch.Tensor]) -> Judgement:
        posed, inputs = self._task.problems[problem], self._draw(problem, copy)
        refs, index = self._expected(problem, copy)
        rows = row_count(posed)
        found = []
        for tensor in posed.returned:
            output = Output(tensor, output_of(tensor), refs[tensor.name], inputs, rows, index)
            found.append(judged(output, self._task.tolerance))
            if not found[-1].hit:
                return found[-1]
        return _together(found)

    def _draw(self, problem: int, copy: int) -> dict[str, torch.Tensor]:
        if self._drawn is None or self._drawn[0] != (problem, copy):
            self._drawn = None
            self._drawn = (problem, copy), draw(self._task, self._reference, problem, copy)
        return self._drawn[1]

    def _expected(self, problem: int, copy: int) -> tuple[dict[str, torch.Tensor], torch.Tensor | None]:
        if self._known is None or self._known[0] != (problem, copy):
            self._known = None
            index = chosen_rows(self._task, self._reference, problem, copy)
            refs = expected(self._reference, self._task.problems[problem], self._draw(problem, copy), index)
            self._known = (problem, copy), refs, index
        return self._known[1], self._known[2]

    def _refuse_zeros(self, posed: Posed, refs: dict[str, torch.Tensor]) -> None:
        for tensor in posed.returned:
            why = zeros_pass(tensor, refs[tensor.name], self._task.tolerance)
            if why is not None:
                raise self._proves_nothing(posed, why, "zeros")

    def _refuse_degenerate(self, dtype: str) -> None:
        """Refuse a case whose smallest problem of this type that says anything has an answer known beforehand."""
        if dtype in self._seen:
            return
        problem = self._smallest(dtype)
        if problem is not None:
            posed = self._task.problems[problem]
            one, index = self._expected(problem, 0)
            self._refuse_zeros(posed, one)
            self._refuse_constants(posed, one)
            other = draw(self._task, self._reference, problem, _OTHER)
            found = expected(self._reference, posed, other, index)
            why = insensitive(posed, one, found, self._task.tolerance)
            if why is not None:
                raise self._proves_nothing(posed, why, "the answer to other inputs")
        self._seen.add(dtype)

    def _refuse_constants(self, posed: Posed, refs: dict[str, torch.Tensor]) -> None:
        # Without inputs nothing can vary, and a kernel that fills a buffer is as it should be.
        for tensor in posed.returned if posed.given else ():
            why = constant_passes(tensor, refs[tensor.name], self._task.tolerance)
            if why is not None:
                raise self._proves_nothing(posed, why, "one number for all")

    def _smallest(self, dtype: str) -> int | None:
        fitting = [
            (sum(map(_elements, (*posed.given, *posed.returned))), number)
            for number, posed in enumerate(self._task.problems)
            if posed.workload.dtype == dtype and min(map(_elements, posed.returned)) >= ENOUGH
        ]
        return min(fitting)[1] if fitting else None

    def _proves_nothing(self, posed: Posed, why: str, answer: str) -> ProvesNothing:
        return ProvesNothing(
            f"{self._reference.name}: the case {self._task.case} proves nothing on {posed.workload.label}: {why}, so "
            f"that {answer} would pass; write 'def make_inputs(sizes, dtype, generator)' whose inputs tell answers "
            "apart"
        )


def _named(outputs: Mapping[str, torch.Tensor], tensor: Tensor) -> torch.Tensor:
    return outputs[tensor.name]


def _elements(tensor: Tensor) -> int:
    return tensor.elements


def _check_sizes(posed: Posed, outputs: Sequence[bytes]) -> None:
    got, wanted = [len(block) for block in outputs], [tensor.nbytes for tensor in posed.returned]
    if got != wanted:
        raise ScorerError(
            f"the outputs on {posed.workload.label} are blocks of {got} bytes where the signature makes them {wanted}"
        )


def _together(found: Sequence[Judgement]) -> Judgement:
    figures = {name: max(each.figures.get(name, 0.0) for each in found) for name in ("error", "of_allowed")}
    return Judgement(hit=True, evidence="; ".join(each.evidence for each in found), figures=figures)
