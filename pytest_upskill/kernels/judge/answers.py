"""Answers that the judge makes itself: the right one, and wrong ones that a case has to tell from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.data import Scalar, Tensor
from pytest_upskill.kernels.judge.compare import limits
from pytest_upskill.kernels.judge.right import Known, Written
from pytest_upskill.kernels.judge.tensors import pattern
from pytest_upskill.kernels.judge.wire import AnswerKind
from pytest_upskill.kernels.tolerances import TF32

if TYPE_CHECKING:
    import torch

Outputs: TypeAlias = Mapping[str, "torch.Tensor"]
# Bits of the significands of types that are coarser than those of the key.
_COARSER: Mapping[str, Mapping[str, int]] = {
    "f64": {"f32": 24},
    "f32": {"tf32": 11, "bf16": 8},
    "f16": {"bf16": 8},
    "bf16": {"fp8": 4},
}


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """An answer: its kind, what it is in words, and how it is made, None where there is no such answer."""

    kind: AnswerKind
    what: str
    make: Callable[[Known], Outputs | None]

    def outputs(self, known: Known) -> Outputs | None:
        """Return the outputs, None where there are none or they are not wrong.

        What happens to be right on the inputs of the case alone is wrong: a copy, where relu never gets a negative
        number. And whoever does not read an input is wrong also where its values do nothing.
        """
        made = self.make(known)
        if made is None or self.kind in ("right", "unread", "ignored") or not _is_right(made, known):
            return made
        plain = known.elsewhere()
        other = None if plain is None else self.make(plain)
        return None if plain is None or other is None or _is_right(other, plain) else made


def answers(known: Known) -> Iterator[Answer]:
    """Yield the right answer, and then wrong ones, each wrong in one respect."""
    yield Answer("right", "the right answer", Known.right)
    for tensor in known.posed.returned:
        if tensor.elements:
            yield from _wrong_outputs(known, tensor)
    if known.posed.given:
        yield Answer("known", "the answer to other inputs", Known.other)
    yield from _unread_tensors(known)
    yield from _ignored_scalars(known)


def _wrong_outputs(known: Known, tensor: Tensor) -> Iterator[Answer]:
    """Yield answers of which one output is wrong."""
    name, written = tensor.name, Written(known, tensor)

    def wrong(kind: AnswerKind, what: str, make: Callable[[Written], torch.Tensor]) -> Answer:
        return Answer(kind, what, lambda given: {**given.right(), name: make(Written(given, tensor))})

    yield wrong("known", f"zeros in {name}", Written.zeros)
    yield wrong("known", f"one number all over {name}", Written.constant)
    if tensor.role != "out zero":
        yield wrong("known", f"{name} left as it was before the call", Written.before)
    for given in known.posed.given:
        if given.name != name and (given.dtype, given.elements) == (tensor.dtype, tensor.elements):
            yield wrong("copied", f"a copy of {given.name} in {name}", partial(Written.copy, name=given.name))
    if tensor.elements > 1:
        yield wrong("tail", f"the last element of {name} left out", partial(Written.without_end, count=1))
    if written.length > 1 and written.lines > 1:
        row = partial(Written.without_end, count=written.length)
        yield wrong("tail", f"the last row of {name} left out", row)
        yield wrong("alike", f"the first row of {name} in all rows", Written.first_row)
    yield wrong("element", f"one element of {name} off", Written.one_off)
    for coarse, bits in _COARSER.get(tensor.dtype, {}).items():
        if coarse != "tf32" or limits(tensor.dtype, known.tolerance).norm < TF32:
            words = f"{name} no more precise than {coarse} where {tensor.dtype} is asked for"
            yield wrong("precision", words, partial(Written.rounded, bits=bits))


def _unread_tensors(known: Known) -> Iterator[Answer]:
    """Yield what is right of other inputs, in each of which one tensor holds a number that often does nothing."""
    for tensor in known.posed.given:
        for number in (0, 1) if tensor.elements else ():
            make = partial(_unread, name=tensor.name, number=number)
            yield Answer("unread", f"{tensor.name} read as {number}", make)


def _unread(known: Known, name: str, number: int) -> Outputs | None:
    import torch

    return _attempt(known, {**known.inputs, name: torch.full_like(known.inputs[name], number)})


def _ignored_scalars(known: Known) -> Iterator[Answer]:
    sizes = known.posed.workload.sizes
    for scalar in known.posed.scalars:
        for number in (0, 1):
            if scalar.name not in sizes and scalar.value != number:
                make = partial(_ignored, scalar=replace(scalar, value=number))
                yield Answer("ignored", f"{scalar.name} read as {number}", make)


def _ignored(known: Known, scalar: Scalar) -> Outputs | None:
    arguments = (scalar if each.name == scalar.name else each for each in known.posed.arguments)
    return _attempt(replace(known, posed=replace(known.posed, arguments=tuple(arguments))), known.inputs)


def _attempt(known: Known, inputs: Outputs) -> Outputs | None:
    """Return the answer to what no case asks for. A reference that fails on it has none."""
    try:
        return known.again(inputs)
    except ScorerError:
        return None


def _is_right(outputs: Outputs, known: Known) -> bool:
    """Tell whether outputs are the right ones bit by bit."""
    import torch

    right = known.right()
    return all(torch.equal(pattern(outputs[name]), pattern(right[name])) for name in right)
