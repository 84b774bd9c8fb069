"""The right answer to a problem as a kernel would write it, and what is left of it when something goes wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.data import Tensor
from pytest_upskill.kernels.judge.sampling import row_count
from pytest_upskill.kernels.judge.tensors import from_bytes, is_float, pattern, torch_type
from pytest_upskill.kernels.judge.wire import Posed

if TYPE_CHECKING:
    import torch

# What the launcher may fill a buffer with.
_REAL, _WHOLE = b"\xff", b"\x9c"


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is known of a problem, and how to know more.

    Attributes:
        posed: the problem.
        inputs: what a kernel would be given, by name.
        refs: what is right, whole or one line for each chosen row; `index` are the chosen rows, None for all.
        tolerance: of the case, by type.
        expected: returns what is right of other arguments and other inputs, in the form of `refs`.
        drawn: returns another draw of the inputs.
        plain: returns inputs as they are drawn without `make_inputs`; None where the case has none of its own.
    """

    posed: Posed
    inputs: Mapping[str, torch.Tensor]
    refs: Mapping[str, torch.Tensor]
    index: torch.Tensor | None
    tolerance: Mapping[str, float]
    expected: Callable[[Posed, dict[str, torch.Tensor]], Mapping[str, torch.Tensor]]
    drawn: Callable[[], dict[str, torch.Tensor]]
    plain: Callable[[], dict[str, torch.Tensor]] | None = None

    def right(self) -> dict[str, torch.Tensor]:
        """Return the right answer, rounded to its types."""
        return self._stored(self.refs)

    def other(self) -> dict[str, torch.Tensor]:
        """Return the right answer to another draw of the inputs."""
        return self.again(self.drawn())

    def again(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the right answer to other inputs. Raises `ScorerError` where there is none."""
        return self._stored(self.expected(self.posed, dict(inputs)))

    def elsewhere(self) -> Known | None:
        """Return what is known of the problem on plain inputs, if the case draws others and there is an answer."""
        if self.plain is None:
            return None
        inputs = self.plain()
        try:
            return replace(self, inputs=inputs, refs=self.expected(self.posed, inputs), plain=None)
        except ScorerError:
            return None

    def _stored(self, refs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {
            tensor.name: Written(self, tensor).stored(refs[tensor.name]) for tensor in self.posed.returned
        }


class Written:
    """One output of a problem, written rightly or wrongly. All of it, with zeros where nothing is compared."""

    def __init__(self, known: Known, tensor: Tensor) -> None:
        self._known = known
        self._tensor = tensor
        self._ref = known.refs[tensor.name]
        sampled = known.index is not None
        self.lines = row_count(known.posed) if sampled else max(1, math.prod(tensor.shape[:-1]))
        self.length = tensor.elements // self.lines

    def stored(self, ref: torch.Tensor) -> torch.Tensor:
        """Return numbers, of the chosen rows where some are, as a kernel would write them."""
        import torch

        numbers = ref.to(torch_type(self._tensor.dtype), copy=True)
        if self._known.index is None:
            return numbers.view(self._tensor.shape)
        whole = torch.zeros(self._tensor.shape, dtype=numbers.dtype)
        self._rows(whole)[self._known.index] = pattern(numbers)
        return whole

    def right(self) -> torch.Tensor:
        return self.stored(self._ref)

    def zeros(self) -> torch.Tensor:
        import torch

        return torch.zeros(self._tensor.shape, dtype=torch_type(self._tensor.dtype))

    def constant(self) -> torch.Tensor:
        """Return the one number that is nearest to all of them."""
        import torch

        finite = self._ref[self._ref.isfinite()]
        number = finite.double().mean() if finite.numel() else 0
        return self.stored(torch.full_like(self._ref, float(number)))

    def before(self) -> torch.Tensor:
        """Return what the buffer holds before a call."""
        if self._tensor.role == "inout":
            return self._known.inputs[self._tensor.name].clone()
        if self._tensor.role == "out zero":
            return self.zeros()
        byte = _REAL if is_float(self._tensor.dtype) else _WHOLE
        return from_bytes(byte * self._tensor.nbytes, self._tensor)

    def copy(self, name: str) -> torch.Tensor:
        """Return an input of as many elements."""
        return self._known.inputs[name].clone().view(self._tensor.shape)

    def without_end(self, count: int) -> torch.Tensor:
        """Return the right output whose last elements were never written."""
        whole = self.right()
        pattern(whole).view(-1)[-count:] = pattern(self.before()).view(-1)[-count:]
        return whole

    def first_row(self) -> torch.Tensor:
        """Return the first row in all rows."""
        whole = self.right()
        rows = self._rows(whole)
        rows[:] = rows[0].clone()
        return whole

    def one_off(self) -> torch.Tensor:
        """Return the right output but for its largest element: that is twice as large, of whole numbers one more."""
        ref = self._ref.clone().contiguous()
        flat = ref.view(-1)
        sizes = flat.abs().double().nan_to_num(0, 0, 0)
        at = int(sizes.argmax())
        flat[at] = flat[at] * 2 if is_float(self._tensor.dtype) else flat[at] + 1
        return self.stored(ref)

    def rounded(self, bits: int) -> torch.Tensor:
        """Return the right output with significands of so many bits; their exponents are left alone."""
        import torch

        significand, exponent = torch.frexp(self._ref)
        return self.stored((significand * 2**bits).round() / 2**bits * torch.exp2(exponent.double()))

    def _rows(self, whole: torch.Tensor) -> torch.Tensor:
        return pattern(whole).view(self.lines, self.length)
