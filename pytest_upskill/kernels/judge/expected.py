"""What the reference says that the outputs are: in float64 from the rounded inputs, seen to be of the right form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_upskill.kernels.data import SIZES, Tensor
from pytest_upskill.kernels.judge.reference import Reference
from pytest_upskill.kernels.judge.sampling import cut, row_count
from pytest_upskill.kernels.judge.tensors import float64_by_default, is_float, rounded, torch_type, widened
from pytest_upskill.kernels.judge.wire import Posed

if TYPE_CHECKING:
    import torch

_NAME = "reference"


def expected(
    reference: Reference, posed: Posed, inputs: dict[str, torch.Tensor], index: torch.Tensor | None
) -> dict[str, torch.Tensor]:
    """Return the outputs by name in float64 (integers in int64): whole, or one line for each chosen row.

    Raises `ScorerError` when the reference fails or returns what cannot be the outputs.
    """
    label = posed.workload.label
    kept = inputs if index is None else cut(reference, inputs, index, label)
    found = _called(reference, _values(posed, kept), label)
    by_name = _named(reference, posed.returned, found)
    nan_given = any(bool(each.isnan().any()) for each in inputs.values() if each.is_floating_point())
    shapes = _shapes(posed, index)
    return {
        tensor.name: _checked(reference, tensor, by_name[tensor.name], shapes[tensor.name], nan=nan_given)
        for tensor in posed.returned
    }


def _values(posed: Posed, inputs: Mapping[str, Any]) -> dict[str, Any]:
    import torch

    scalars = {scalar.name: rounded(scalar.value, scalar.dtype) for scalar in posed.scalars}
    wide = {name: widened(each) if isinstance(each, torch.Tensor) else each for name, each in inputs.items()}
    return {**posed.workload.sizes, **scalars, **wide}


def _called(reference: Reference, values: dict[str, Any], label: str) -> object:
    import torch

    with torch.no_grad(), float64_by_default():
        return reference.call(_NAME, values, label)


def _named(reference: Reference, outputs: Sequence[Tensor], found: object) -> Mapping[str, object]:
    import torch

    names = [tensor.name for tensor in outputs]
    if isinstance(found, dict):
        if sorted(found, key=str) != sorted(names):
            raise reference.mistake(
                _NAME,
                f"reference() returned {', '.join(map(str, found)) or 'nothing'} where the signature has "
                f"the outputs {', '.join(names)}",
            )
        return found
    several = (found,) if isinstance(found, torch.Tensor) else found
    if not isinstance(several, tuple | list):
        raise reference.mistake(
            _NAME,
            f"reference() returned {type(found).__name__} and not a tensor, a tuple of tensors, or a dict of them",
        )
    if len(several) != len(names):
        raise reference.mistake(
            _NAME,
            f"reference() returned {len(several)} tensors where the signature has {len(names)} outputs "
            f"({', '.join(names)})",
        )
    return dict(zip(names, several, strict=True))


def _shapes(posed: Posed, index: torch.Tensor | None) -> dict[str, tuple[int, ...]]:
    if index is None:
        return {tensor.name: tensor.shape for tensor in posed.returned}
    rows = row_count(posed)
    return {tensor.name: (len(index), tensor.elements // rows) for tensor in posed.returned}


def _checked(
    reference: Reference, tensor: Tensor, found: object, shape: tuple[int, ...], *, nan: bool
) -> torch.Tensor:
    import torch

    if not isinstance(found, torch.Tensor):
        words: str | None = f"is {type(found).__name__} and not a tensor"
    elif not _fits(found, shape, tensor):
        words = f"has shape {list(found.shape)} where {_wanted(tensor, shape)}"
    else:
        words = _wrong_values(tensor, found, nan=nan)
    if words is not None:
        raise reference.mistake(_NAME, f"'{tensor.name}' of reference() {words}")
    wide = torch.float64 if is_float(tensor.dtype) else torch.int64
    result: torch.Tensor = found.detach().to(wide).contiguous().view(shape)  # type: ignore[attr-defined]
    return result


def _fits(found: torch.Tensor, shape: tuple[int, ...], tensor: Tensor) -> bool:
    if shape == tensor.shape:
        return tuple(found.shape) == shape
    # Of chosen rows the reference may return any shape: [rows], [rows, cols], [1, rows, cols].
    return bool(found.numel() == shape[0] * shape[1])


def _wanted(tensor: Tensor, shape: tuple[int, ...]) -> str:
    if shape == tensor.shape:
        return f"the signature says {list(shape)}"
    return f"{shape[0]} chosen rows are {list(shape)}"


def _wrong_values(tensor: Tensor, found: torch.Tensor, *, nan: bool) -> str | None:
    """Return what is wrong with the type or the values of a result, or None."""
    if not is_float(tensor.dtype):
        return _wrong_integers(tensor, found)
    if found.is_complex() or (found.is_floating_point() and found.element_size() < 8):
        return f"is {found.dtype}: what it is computed in must stay float64, as its inputs are"
    if not nan and found.is_floating_point() and bool(found.isnan().any()):
        return f"holds NaN in {int(found.isnan().sum())} of {found.numel()} elements, and no input does"
    return None


def _wrong_integers(tensor: Tensor, found: torch.Tensor) -> str | None:
    import torch

    if found.is_floating_point() or found.is_complex():
        return f"is {found.dtype} where the signature says {tensor.dtype}: return integers, as '.long()' does"
    if SIZES[tensor.dtype] == 8 or not found.numel():
        return None
    limits = torch.iinfo(torch_type(tensor.dtype))
    wide = found.to(torch.int64)
    low, high = int(wide.min()), int(wide.max())
    if low < limits.min or high > limits.max:
        return f"goes from {low} to {high}, which does not fit in {tensor.dtype}"
    return None
