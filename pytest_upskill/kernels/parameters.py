"""What a kernel takes: its parameters, what they are in C++, its arguments for a workload."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from pytest_upskill.kernels.data import C_TYPES, ELEMENT, SIZES, Argument, Role, Scalar, Tensor, Workload
from pytest_upskill.kernels.expressions import Expression

ELEMENT_SIZE: Final = "sizeof_T"
WRITTEN: Final = ("out", "out zero", "inout")
_POINTER: Final = 8


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a kernel.

    `dtype` is a name of `SIZES`, or `T` for the case's element type. A tensor has the `shape` of its extents; a
    workspace is `u8` and its one extent is its bytes. A scalar has no shape, and a `default` or none.
    """

    name: str
    role: Role
    dtype: str
    shape: tuple[Expression, ...] = ()
    default: int | float | None = None

    @property
    def whole(self) -> bool:
        """Whether it is a scalar that holds a whole number, so that expressions may name it."""
        return self.role == "scalar" and self.dtype[0] in "iu"


@dataclass(frozen=True, slots=True)
class Signature:
    """The entry's name and its parameters in order."""

    entry: str
    parameters: tuple[Parameter, ...]

    @property
    def generic(self) -> bool:
        """Whether a parameter is of the case's element type `T`."""
        return any(parameter.dtype == ELEMENT for parameter in self.parameters)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The types that its parameters name, without `T`."""
        named = dict.fromkeys(parameter.dtype for parameter in self.parameters)
        return tuple(dtype for dtype in named if dtype != ELEMENT)

    @property
    def sizes(self) -> tuple[str, ...]:
        """The names that a workload has to give: those of the extents, and of whole scalars without a default."""
        extents = [name for each in self.parameters for extent in each.shape for name in extent.names]
        needed = [each.name for each in self.parameters if each.whole and each.default is None]
        return tuple(name for name in dict.fromkeys(extents + needed) if name != ELEMENT_SIZE)

    @property
    def optional(self) -> tuple[str, ...]:
        """The whole scalars with a default, which a workload may give another value."""
        return tuple(each.name for each in self.parameters if each.whole and each.name not in self.sizes)

    @property
    def given(self) -> tuple[str, ...]:
        """The names that a reference can take: what a kernel reads, the sizes, the scalars."""
        read = [each.name for each in self.parameters if each.role in ("in", "inout", "scalar")]
        return tuple(dict.fromkeys([*read, *self.sizes]))

    @property
    def known(self) -> tuple[str, ...]:
        """All names that an expression of the case or of a reply may use."""
        return (*self.sizes, *self.optional, *((ELEMENT_SIZE,) if self.generic else ()))

    def written(self, elements: Collection[str]) -> tuple[str, ...]:
        """Return the types of what a kernel writes, where `T` stands for the types `elements`."""
        written = [each.dtype for each in self.parameters if each.role in WRITTEN]
        return tuple(
            dict.fromkeys(one for dtype in written for one in (elements if dtype == ELEMENT else [dtype]))
        )

    def prototype(self) -> str:
        """Return the declaration in CUDA C++, on one line and without a semicolon."""
        parameters = ", ".join(f"{_c_type(each)} {each.name}" for each in self.parameters)
        return f'extern "C" __global__ void {self.entry}({parameters})'

    def parameter_sizes(self, dtype: str) -> tuple[int, ...]:
        """Return the bytes of each parameter as compiled code holds them, for an element type."""
        return tuple(
            SIZES[_resolved(each.dtype, dtype)] if each.role == "scalar" else _POINTER
            for each in self.parameters
        )

    def numbers(self, workload: Workload) -> dict[str, int]:
        """Return the value of each known name on a workload."""
        defaults = {
            each.name: int(each.default or 0) for each in self.parameters if each.name in self.optional
        }
        numbers = defaults | dict(workload.sizes)
        return numbers | {ELEMENT_SIZE: SIZES[workload.dtype]} if workload.dtype else numbers

    def arguments(self, workload: Workload) -> tuple[Argument, ...]:
        """Return the arguments in order, scalars as their types hold them.

        Raises `ValueError` where an extent is under 1 or a scalar does not fit its type.
        """
        numbers = self.numbers(workload)
        return tuple(_argument(each, numbers, workload.dtype) for each in self.parameters)

    def moved(self, workload: Workload) -> int:
        """Return the bytes that a kernel has to move at least: each tensor once, `inout` twice, no workspace."""
        tensors = [
            each for each in self.arguments(workload) if isinstance(each, Tensor) and each.role != "workspace"
        ]
        return sum(each.nbytes * (2 if each.role == "inout" else 1) for each in tensors)


def number_of(name: str, dtype: str, value: float) -> int | float:
    """Return the number that a scalar of a type holds for a value: the nearest one. Raises `ValueError`."""
    if dtype[0] in "iu":
        low, high = whole_range(dtype)
        if not low <= value <= high or value != int(value):
            raise ValueError(f"{name}={value} is no {dtype}, which holds whole numbers from {low} to {high}")
        return int(value)
    try:
        rounded = _ROUNDED[dtype](value)
    except OverflowError:
        rounded = math.inf
    if not math.isfinite(rounded):
        raise ValueError(f"{name}={value} is no number that {dtype} holds")
    return rounded


def whole_range(dtype: str) -> tuple[int, int]:
    """Return the smallest and the largest number of an integer type."""
    bits = 8 * SIZES[dtype]
    return (0, 2**bits - 1) if dtype[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _packed(form: str, value: float) -> float:
    return float(struct.unpack(form, struct.pack(form, value))[0])


def _bfloat(value: float) -> float:
    # The upper half of a float, rounded to nearest, ties to even.
    bits = int.from_bytes(struct.pack(">f", value))
    upper = bits + 0x7FFF + (bits >> 16 & 1) >> 16
    return float(struct.unpack(">f", (upper << 16).to_bytes(4))[0])


# What a kernel gets of a number, so that the reference can have the same.
_ROUNDED: Final[Mapping[str, Callable[[float], float]]] = {
    "f64": float,
    "f32": partial(_packed, "<f"),
    "f16": partial(_packed, "<e"),
    "bf16": _bfloat,
}


def _resolved(dtype: str, element: str) -> str:
    return element if dtype == ELEMENT else dtype


def _c_type(parameter: Parameter) -> str:
    name = C_TYPES.get(parameter.dtype, parameter.dtype)
    if parameter.role == "scalar":
        return name
    return f"const {name}*" if parameter.role == "in" else f"{name}*"


def _argument(parameter: Parameter, numbers: Mapping[str, int], dtype: str) -> Argument:
    if parameter.role == "scalar":
        value = numbers.get(parameter.name, parameter.default)
        if value is None:
            raise ValueError(f"the scalar {parameter.name} has no value")
        resolved = _resolved(parameter.dtype, dtype)
        return Scalar(parameter.name, resolved, number_of(parameter.name, resolved, value))
    shape = tuple(_extent(parameter, extent, numbers) for extent in parameter.shape)
    return Tensor(parameter.name, parameter.role, _resolved(parameter.dtype, dtype), shape)


def _extent(parameter: Parameter, extent: Expression, numbers: Mapping[str, int]) -> int:
    value = extent.value(numbers)
    if value < 1:
        raise ValueError(
            f"{parameter.name} has the extent {extent.text}, which comes to {value}; it is 1 or more"
        )
    return value
