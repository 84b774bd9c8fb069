"""Numbers as a kernel gets them: in as many bytes as its signature says."""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Mapping
from typing import Any, TypeAlias

Box: TypeAlias = Any  # a number of ctypes, whatever its width
_WHOLE: Mapping[str, Any] = {
    "i8": ctypes.c_int8, "i16": ctypes.c_int16, "i32": ctypes.c_int32, "i64": ctypes.c_int64,
    "u8": ctypes.c_uint8, "u16": ctypes.c_uint16, "u32": ctypes.c_uint32, "u64": ctypes.c_uint64,
}  # fmt: skip
_BFLOAT_NAN = 0x7FC0
_FLOATS: Mapping[str, Any] = {"f32": ctypes.c_float, "f64": ctypes.c_double}


def boxed(dtype: str, value: float) -> Box:
    """Return a number in the form of its type. Raises ValueError where it does not fit."""
    if dtype in _FLOATS:
        return _FLOATS[dtype](value)
    if dtype in ("f16", "bf16"):
        return ctypes.c_uint16(_half(value) if dtype == "f16" else _bfloat(value))
    box = _WHOLE[dtype](int(value))
    if box.value != value:
        raise ValueError(f"{value} does not fit in {dtype}")
    return box


def address(place: int) -> Box:
    return ctypes.c_uint64(place)


def _half(value: float) -> int:
    try:
        return int.from_bytes(struct.pack("<e", value), "little")
    except OverflowError:
        raise ValueError(f"{value} does not fit in f16") from None


def _bfloat(value: float) -> int:
    # The upper half of a float, rounded to nearest, ties to even.
    if math.isnan(value):
        return _BFLOAT_NAN
    bits = int.from_bytes(bytes(ctypes.c_float(value)), "little")
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
