"""What is said of one output: whether it is right, and the evidence that a person needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_upskill.kernels.data import Tensor
from pytest_upskill.kernels.judge.compare import Difference, difference, integer_difference, limits
from pytest_upskill.kernels.judge.sampling import rows_of
from pytest_upskill.kernels.judge.tensors import is_float, pattern, torch_type, widened
from pytest_upskill.kernels.judge.wire import Judgement

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """An output with what is known of it.

    Attributes:
        tensor: what the signature says of it.
        out: all of it, as it came from the device.
        ref: the reference, whole or one line for each chosen row.
        inputs: what the kernel was given, by name.
        rows: how many rows there are; `index` are the chosen ones, None where all are compared.
    """

    tensor: Tensor
    out: torch.Tensor
    ref: torch.Tensor
    inputs: Mapping[str, torch.Tensor]
    rows: int
    index: torch.Tensor | None

    @property
    def seen(self) -> torch.Tensor:
        """Return of the output what the reference is known of, in the reference's shape."""
        return self.out if self.index is None else rows_of(self.out, self.tensor, self.rows, self.index)

    def place(self, offset: int) -> str:
        """Return an element of the whole output in words: `y[3, 17]`."""
        indices: list[int] = []
        for extent in reversed(self.tensor.shape):
            offset, index = divmod(offset, extent)
            indices.insert(0, index)
        return f"{self.tensor.name}{indices}" if indices else self.tensor.name

    def seen_place(self, offset: int) -> str:
        """Return an element of what is compared in words."""
        if self.index is None:
            return self.place(offset)
        row, column = divmod(offset, self.ref.shape[1])
        return self.place(int(self.index[row]) * self.ref.shape[1] + column)


def judged(output: Output, tolerance: Mapping[str, float]) -> Judgement:
    """Return what is to be said of an output."""
    if not output.tensor.elements:
        return Judgement(hit=True, evidence=f"{output.tensor.name} has no elements")
    missing = _never_written(output)
    if missing is not None:
        return missing
    if not is_float(output.tensor.dtype):
        return _integers(output, tolerance)
    ref = as_stored(output.ref, output.tensor.dtype)
    return _not_finite(output, ref) or _numbers(output, ref, tolerance)


def as_stored(ref: torch.Tensor, dtype: str) -> torch.Tensor:
    """Return a reference with infinities for what is beyond the largest number of a type."""
    import torch

    if (
        not ref.numel()
        or float(torch.linalg.vector_norm(ref, math.inf)) <= torch.finfo(torch_type(dtype)).max
    ):
        return ref
    kept = ref.to(torch_type(dtype)).double()
    return torch.where(kept.isinf(), kept, ref)


def _never_written(output: Output) -> Judgement | None:
    if output.tensor.role != "out":
        return None
    left, dtype = _as_filled(output.out), output.tensor.dtype
    if not is_float(dtype) and bool(left.any()):
        # A whole number may be meant to be what a buffer was filled with.
        whole = output.index is None
        meant = (
            widened(output.out) == output.ref if whole else _as_filled(output.ref.to(torch_type(dtype))).any()
        )
        left = left & ~meant
    count = int(left.sum())
    if not count:
        return None
    name, total = output.tensor.name, output.tensor.elements
    first = output.place(int(left.view(-1).int().argmax()))
    words = f"{count} of {total} elements of {name} were never written, first at {first}"
    return _missed(words, count / total)


def _as_filled(out: torch.Tensor) -> torch.Tensor:
    """Return where elements are as the launcher fills a buffer.

    Floating point: all bits set, a NaN that no arithmetic yields. Whole numbers: one byte from 0xC1 on again and
    again; of a single byte any number may be such a one, and it is only seen to be wrong.
    """
    import torch

    if out.is_floating_point():
        return pattern(out) == -1
    size = out.element_size()
    if size == 1:
        return torch.zeros(out.shape, dtype=torch.bool)
    parts = out.reshape(-1).view(torch.uint8).view(-1, size)
    first = parts[:, :1]
    return ((parts == first).all(dim=1) & (first[:, 0] > 0x80) & (first[:, 0] < 0xFF)).view(out.shape)


def _not_finite(output: Output, ref: torch.Tensor) -> Judgement | None:
    """Return what is to be said of NaN and infinities that are not where the reference has them, if anything."""
    import torch

    plain = bool(torch.isfinite(ref).all())
    if plain and bool(torch.isfinite(output.out).all()):
        return None
    whole = plain and output.index is not None
    out = output.out if whole else output.seen
    wrong = ~torch.isfinite(out) if plain else _specials_differ(out.double(), ref)
    count = int(wrong.sum())
    if not count:
        return None
    first = int(wrong.view(-1).int().argmax())
    place = output.place(first) if whole else output.seen_place(first)
    expected = "a number" if whole else f"{float(ref.reshape(-1)[first]):.6g}"
    got = float(out.reshape(-1)[first])
    words = (
        f"{count} of {wrong.numel()} elements of {output.tensor.name} are wrong by NaN or infinity, "
        f"first at {place}: expected {expected}, got {got:.6g}"
    )
    return _missed(words, count / wrong.numel())


def _specials_differ(out: torch.Tensor, ref: torch.Tensor) -> torch.Tensor:
    special = ~(out.isfinite() & ref.isfinite())
    return special & (out != ref) & ~(out.isnan() & ref.isnan())


def _numbers(output: Output, ref: torch.Tensor, tolerance: Mapping[str, float]) -> Judgement:
    import torch

    out, dtype = output.seen, output.tensor.dtype
    finite = torch.isfinite(ref)
    if not bool(finite.all()):
        # What is infinite in both is equal: it was looked at before.
        zero = torch.zeros((), dtype=torch.float64)
        out, ref = torch.where(finite, out.double(), zero), torch.where(finite, ref, zero)
    allowed = limits(dtype, tolerance)
    shape = output.tensor.shape if output.index is None else tuple(ref.shape)
    found = difference(out, ref, shape, allowed)
    figures = {"error": found.error, "of_allowed": max(found.of_allowed)}
    if found.hit:
        _, row, element = found.of_allowed
        words = (
            f"{output.tensor.name}: error {found.error:.2g} of the norm, {allowed.norm:.2g} allowed for {dtype}; "
            f"worst row at {row:.0%} and worst element at {element:.0%} of what is allowed{_sampled(output)}"
        )
        return Judgement(hit=True, evidence=words, figures=figures)
    words = (
        f"{output.tensor.name}: {_how_many(found, ref.numel())}; error {found.error:.3g} of the norm, "
        f"{allowed.norm:.2g} allowed for {dtype}{_hint(output)}{_sampled(output)}"
    )
    return Judgement(hit=False, evidence=f"{words}\n{_places(output, found)}", figures=figures)


def _how_many(found: Difference, total: int) -> str:
    rows = f"in {found.wrong_rows} of {found.rows} rows"
    if found.wrong:
        return f"{found.wrong} of {total} elements are wrong, {rows}"
    if found.wrong_rows:
        return f"no single element is far off, {found.wrong_rows} of {found.rows} rows are as a whole"
    return "no single row is far off, all of it is as a whole"


def _integers(output: Output, tolerance: Mapping[str, float]) -> Judgement:
    out = widened(output.seen)
    if tolerance.get(output.tensor.dtype, 0.0):
        return _numbers(output, output.ref.double(), tolerance)
    found = integer_difference(out, output.ref)
    name, total = output.tensor.name, output.ref.numel()
    figures = {"error": found.error, "of_allowed": max(found.of_allowed)}
    if found.hit:
        words = f"{name}: all of {total} integers are equal{_sampled(output)}"
        return Judgement(hit=True, evidence=words, figures=figures)
    words = f"{name}: {found.wrong} of {total} integers are wrong{_hint(output)}{_sampled(output)}"
    return Judgement(hit=False, evidence=f"{words}\n{_places(output, found)}", figures=figures)


def _places(output: Output, found: Difference) -> str:
    first = f"first at {_element(output, found.first)}"
    return first if found.first == found.worst else f"{first}; worst at {_element(output, found.worst)}"


def _element(output: Output, offset: int) -> str:
    ref, out = output.ref.reshape(-1)[offset].item(), widened(output.seen).reshape(-1)[offset].item()
    form = ".6g" if isinstance(ref, float) else "d"
    return f"{output.seen_place(offset)}: expected {ref:{form}}, got {out:{form}}"


def _hint(output: Output) -> str:
    import torch

    bits = pattern(output.out)
    if not bool(bits.any()):
        return "; every element is 0"
    for name, given in output.inputs.items():
        if given.dtype == output.out.dtype and torch.equal(pattern(given).view(-1), bits.view(-1)):
            return "; it is as it was given" if name == output.tensor.name else f"; it is a copy of {name}"
    return ""


def _sampled(output: Output) -> str:
    return "" if output.index is None else f" ({len(output.index)} of {output.rows} rows compared)"


def _missed(words: str, part: float) -> Judgement:
    return Judgement(hit=False, evidence=words, figures={"error": part, "of_allowed": 1e9})
