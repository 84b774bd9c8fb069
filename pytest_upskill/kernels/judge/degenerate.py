"""Cases that prove nothing, because an answer that computes nothing would pass."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_upskill.kernels.data import Tensor
from pytest_upskill.kernels.judge.compare import limits
from pytest_upskill.kernels.judge.findings import as_stored
from pytest_upskill.kernels.judge.tensors import is_float
from pytest_upskill.kernels.judge.wire import Posed

if TYPE_CHECKING:
    import torch

# In a smaller output all may be 0 or alike by chance.
ENOUGH = 64
_ALIKE = 0.01
_MOST = 2**18


def zeros_pass(tensor: Tensor, ref: torch.Tensor, tolerance: Mapping[str, float]) -> str | None:
    """Return why zeros would be right as an output, or None."""
    import torch

    if tensor.elements < ENOUGH:
        return None
    if not is_float(tensor.dtype):
        return None if bool(ref.any()) else f"the reference's '{tensor.name}' is 0 everywhere"
    size = float(torch.linalg.vector_norm(ref)) / math.sqrt(ref.numel())
    # NaN compares with nothing: such a reference is not 0.
    if not size <= limits(tensor.dtype, tolerance).grain:
        return None
    return f"the reference's '{tensor.name}' is 0 everywhere, or too small for {tensor.dtype}"


def constant_passes(tensor: Tensor, ref: torch.Tensor, tolerance: Mapping[str, float]) -> str | None:
    """Return why one number would be right for all of an output, or None."""
    if tensor.elements < ENOUGH:
        return None
    words = f"the reference's '{tensor.name}' is nearly the same number everywhere"
    if not is_float(tensor.dtype):
        return words if bool((ref == ref.view(-1)[0]).all()) else None
    some = _some(ref)
    numbers = some[as_stored(some, tensor.dtype).isfinite()]
    size = float(numbers.square().mean().sqrt()) if len(numbers) else 0.0
    spread = float(numbers.std(correction=0)) if len(numbers) else 0.0
    return words if spread <= _far(tensor, tolerance) * size else None


def insensitive(
    posed: Posed,
    one: Mapping[str, torch.Tensor],
    other: Mapping[str, torch.Tensor],
    tolerance: Mapping[str, float],
) -> str | None:
    """Return why the answer to other inputs would be right for these, or None."""
    large = [tensor for tensor in posed.returned if tensor.elements >= ENOUGH]
    if not large or not posed.given:
        return None
    if all(_near(tensor, one[tensor.name], other[tensor.name], tolerance) for tensor in large):
        return "the reference returns nearly the same for two draws of the inputs"
    return None


def _near(tensor: Tensor, one: torch.Tensor, other: torch.Tensor, tolerance: Mapping[str, float]) -> bool:
    import torch

    if not is_float(tensor.dtype):
        return bool((one == other).all())
    one, other = _some(one), _some(other)
    both = as_stored(one, tensor.dtype).isfinite() & as_stored(other, tensor.dtype).isfinite()
    off = torch.linalg.vector_norm(one[both] - other[both])
    return float(off) <= _far(tensor, tolerance) * float(torch.linalg.vector_norm(one[both]))


def _some(ref: torch.Tensor) -> torch.Tensor:
    """Return elements from all over a tensor, enough to tell numbers that are alike from others."""
    # An odd step meets every column of rows whose length is a power of 2.
    return ref.view(-1)[:: (ref.numel() // _MOST) | 1]


def _far(tensor: Tensor, tolerance: Mapping[str, float]) -> float:
    return max(_ALIKE, 2 * limits(tensor.dtype, tolerance).norm)
