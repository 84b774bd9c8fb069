"""Tensors and the bytes that they are on a device."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_upskill.kernels.data import Tensor

if TYPE_CHECKING:
    import torch

_KINDS: Mapping[str, str] = {"f": "float", "i": "int", "u": "uint"}


def torch_type(dtype: str) -> torch.dtype:
    """Return PyTorch's type for a signature's name of it: `torch.bfloat16` for `bf16`."""
    import torch

    name = "bfloat16" if dtype == "bf16" else f"{_KINDS[dtype[0]]}{dtype[1:]}"
    found: torch.dtype = getattr(torch, name)
    return found


def is_float(dtype: str) -> bool:
    return dtype[0] in "fb"


def to_bytes(tensor: torch.Tensor) -> bytes:
    """Return the elements of a contiguous tensor as they lie in memory."""
    # Not by way of numpy: it knows no bfloat16 and need not be installed.
    return ctypes.string_at(tensor.data_ptr(), tensor.numel() * tensor.element_size())


def from_bytes(block: bytes, tensor: Tensor) -> torch.Tensor:
    """Return the tensor that a block of bytes is."""
    import torch

    if not block:
        return torch.empty(tensor.shape, dtype=torch_type(tensor.dtype))
    return torch.frombuffer(bytearray(block), dtype=torch_type(tensor.dtype)).view(tensor.shape)


def pattern(tensor: torch.Tensor) -> torch.Tensor:
    """Return the bits of a tensor as signed integers of the same size."""
    return tensor.view(torch_type(f"i{8 * tensor.element_size()}"))


def widened(tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy in float64, or of integers in int64."""
    import torch

    if tensor.dtype == torch.uint64:
        return pattern(tensor).clone()
    return tensor.to(torch.float64 if tensor.is_floating_point() else torch.int64, copy=True)


def rounded(value: float, dtype: str) -> int | float:
    """Return what is left of a number once it has been passed as a scalar of a type."""
    import torch

    if not is_float(dtype):
        return int(value)
    return float(torch.tensor(value, dtype=torch.float64).to(torch_type(dtype)))


@contextmanager
def float64_by_default() -> Iterator[None]:
    """Make tensors that a reference makes itself as wide as those that it gets, for the time of the block."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
