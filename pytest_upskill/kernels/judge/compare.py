"""Outputs against the reference: how far they are off, in units that no scale of the numbers changes.

Of floating point three things are measured: ||out - ref|| / ||ref|| over all, the same of each row, and of each
element |out - ref| against |ref| plus the root mean square of its row. The first is precise and blind to a single
element, the last finds one element and would let all be a little wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_upskill.kernels.judge.tensors import is_float, torch_type
from pytest_upskill.kernels.tolerances import DEFAULTS

if TYPE_CHECKING:
    import torch

# What an element may be off by: 4 units in the last place of 16-bit types, whose honest maximum is 1.5; of the wider
# ones sums of many products are normally distributed, and one of 16 million lies 5.5 deviations out.
_ELEMENT: Mapping[str, float] = {"f64": 8e-12, "f32": 8e-5, "f16": 4 * 2**-11, "bf16": 4 * 2**-9}
# A row is as many of the last dimensions as hold this many elements: of fewer, one sum that happens to be near
# zero would be a row, and its rounding errors all of it.
_SHORTEST_ROW = 64
_LONGEST_ROW = 2**21
_PIECE = 2**20
_BLOCK = 2**18
# A row with less energy than this part of the mean one is judged as if it had as much.
_FAINT = 1 / 64
# So far off that more says nothing; it is a number that every reader of JSON knows.
_HOPELESS = 1e9


@dataclass(frozen=True, slots=True)
class Limits:
    """What a type allows: of the norm, of an element, and for its grain, which no answer can be finer than.

    `grain` is the step between the smallest numbers of a floating point type, added to both; `unit` is added to what
    an element may be off by: of whole numbers 1, where they need not be equal.
    """

    norm: float
    element: float
    grain: float
    unit: float


@dataclass(frozen=True, slots=True)
class Difference:
    """How far outputs are off. `wrong` counts elements beyond what is allowed, `wrong_rows` rows with one or by norm.

    Attributes:
        error: ||out - ref|| / ||ref||, or of integers the part that is wrong.
        of_allowed: of the norm, of the worst row, of the worst element: the part of what is allowed; 1 is the limit.
        first, worst: flat offsets of elements: the first wrong one (of the first wrong row), the worst of all.
    """

    error: float
    of_allowed: tuple[float, float, float]
    wrong: int = 0
    wrong_rows: int = 0
    rows: int = 0
    first: int = 0
    worst: int = 0

    @property
    def hit(self) -> bool:
        return max(self.of_allowed) <= 1


def limits(dtype: str, tolerance: Mapping[str, float]) -> Limits:
    """Return what a type allows under a case's tolerance, of whole numbers one that is above 0."""
    import torch

    norm = tolerance.get(dtype, DEFAULTS.get(dtype, 0.0))
    if not is_float(dtype):
        return Limits(norm, norm, 0.0, 1.0)
    kind = torch.finfo(torch_type(dtype))
    grain = kind.smallest_normal * kind.eps
    return Limits(norm, _ELEMENT[dtype] * max(1.0, norm / DEFAULTS[dtype]), grain, grain)


def difference(out: torch.Tensor, ref: torch.Tensor, shape: Sequence[int], allowed: Limits) -> Difference:
    """Return how far finite outputs are from their reference in float64; both are of one shape."""
    import torch

    out, ref = out.reshape(-1), ref.reshape(-1)
    norm = float(torch.linalg.vector_norm(ref))
    sums = _Sums(allowed, _FAINT * norm / math.sqrt(max(ref.numel(), 1)))
    for start, rows, length in _blocks(shape):
        stop = start + rows * length
        sums.add(start, out[start:stop].view(rows, length), ref[start:stop].view(rows, length))
    return sums.difference(norm, ref.numel())


def integer_difference(out: torch.Tensor, ref: torch.Tensor) -> Difference:
    """Return where integers are not equal to their reference; both are int64 and of one shape."""
    wrong = (out != ref).view(-1)
    count = int(wrong.sum())
    if not count:
        return Difference(0.0, (0.0, 0.0, 0.0))
    far = (out.double() - ref.double()).abs().view(-1)
    # The limit is that none is wrong: whatever is wrong is beyond it.
    return Difference(
        count / wrong.numel(),
        (2.0, 2.0, 2.0),
        count,
        first=int(wrong.int().argmax()),
        worst=int(far.argmax()),
    )


class _Sums:
    """What is summed up over blocks of rows."""

    def __init__(self, allowed: Limits, faint: float) -> None:
        self._allowed = allowed
        self._faint = faint
        self._squares = 0.0
        self._row = self._element = 0.0
        self._wrong = self._wrong_rows = self._rows = self._worst = 0
        self._first: int | None = None

    def add(self, start: int, out: torch.Tensor, ref: torch.Tensor) -> None:
        import torch

        off = out.to(torch.float64, copy=True).sub_(ref).abs_()
        errors = torch.linalg.vector_norm(off, dim=1)
        norms = torch.linalg.vector_norm(ref, dim=1)
        self._squares += float(errors.square().sum())
        self._rows += len(errors)
        rows = errors / self._row_limits(norms, ref.shape[1])
        parts = off.div_(self._element_limits(norms, ref))
        top, place = parts.view(-1).max(0)
        if float(top) > self._element or not self._rows:
            self._element, self._worst = float(top), start + int(place)
        self._row = max(self._row, float(rows.max()))
        if float(top) > 1 or float(rows.max()) > 1:
            self._count(start, parts, rows)

    def difference(self, norm: float, total: int) -> Difference:
        error = math.sqrt(self._squares)
        limit = self._allowed.norm * norm + self._allowed.grain / 2 * math.sqrt(total)
        relative = error / norm if norm else float(error > 0)
        parts = (error / limit if error else 0.0, self._row, self._element)
        return Difference(
            min(relative, _HOPELESS),
            (min(parts[0], _HOPELESS), min(parts[1], _HOPELESS), min(parts[2], _HOPELESS)),
            self._wrong,
            self._wrong_rows,
            self._rows,
            self._worst if self._first is None else self._first,
            self._worst,
        )

    def _row_limits(self, norms: torch.Tensor, length: int) -> torch.Tensor:
        root = math.sqrt(length)
        return norms.clamp_min(self._faint * root) * self._allowed.norm + self._allowed.grain / 2 * root

    def _element_limits(self, norms: torch.Tensor, ref: torch.Tensor) -> torch.Tensor:
        means = (norms / math.sqrt(ref.shape[1])).clamp_min(self._faint)
        return ref.abs().add_(means[:, None]).mul_(self._allowed.element).add_(self._allowed.unit)

    def _count(self, start: int, parts: torch.Tensor, rows: torch.Tensor) -> None:
        elements = parts > 1
        bad = elements.any(dim=1) | (rows > 1)
        self._wrong += int(elements.sum())
        self._wrong_rows += int(bad.sum())
        if self._first is None:
            row = int(bad.int().argmax())
            beyond = elements[row].int() if bool(elements[row].any()) else parts[row]
            self._first = start + row * parts.shape[1] + int(beyond.argmax())


def _blocks(shape: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield offset, rows and the length of a row of blocks that fit in a cache and hold all elements in order."""
    for start, rows, length in _sheets(shape):
        step = max(1, _BLOCK // length)
        for row in range(0, rows, step):
            yield start + row * length, min(step, rows - row), length


def _sheets(shape: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield offset, number and length of rows that are of one length; a very long row is several."""
    total, length = math.prod(shape), 1
    for extent in reversed(shape):
        length = length * extent if length < _SHORTEST_ROW else length
    if length <= _LONGEST_ROW:
        if total:
            yield 0, total // length, length
        return
    pieces = length // _PIECE - 1
    for start in range(0, total, length):
        yield start, pieces, _PIECE
        yield start + pieces * _PIECE, 1, length - pieces * _PIECE
