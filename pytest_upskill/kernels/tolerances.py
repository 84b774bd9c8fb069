"""How far a kernel's numbers may lie from the reference, by type."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from pytest_upskill.errors import listing, nearest, one_line
from pytest_upskill.kernels.data import SIZES
from pytest_upskill.kernels.values import flag, number
from pytest_upskill.types import JSON

# ||out - ref|| / ||ref||. Honest kernels measured f32 1e-7, f16 2e-4, bf16 1.7e-3; bf16 passed off as f32 2e-3.
DEFAULTS: Final[Mapping[str, float]] = {"f64": 1e-12, "f32": 1e-5, "f16": 1e-3, "bf16": 5e-3}
TF32: Final = 1e-3
# Zeros have an error of 1.
_LARGEST: Final = 0.1


def read_tolerances(value: Mapping[str, JSON], used: Collection[str]) -> dict[str, float]:
    """Return the tolerance of every type; whole numbers have 0, which asks for the very numbers.

    `tolerance` is a number for all real types or an object by type; `"tf32": true` makes that of f32 1e-3. `used` are
    the types of what the kernel writes. Raises `ValueError`.
    """
    tolerances = {dtype: DEFAULTS.get(dtype, 0.0) for dtype in SIZES}
    if flag(value, "tf32"):
        if "f32" not in used:
            raise ValueError("kernel: 'tf32' says how exact f32 is, and this kernel writes no f32")
        tolerances["f32"] = TF32
    given = value.get("tolerance", {})
    if flag(value, "tf32") and (not isinstance(given, dict) or "f32" in given):
        raise ValueError("kernel: 'tf32' and 'tolerance' both say how exact f32 is; keep one of them")
    if not isinstance(given, dict):
        return tolerances | dict.fromkeys(DEFAULTS, float(number("tolerance", given, 1e-15, _LARGEST)))
    for dtype, tolerance in given.items():
        if dtype not in used:
            hint = nearest(dtype, used) or f"; it writes: {listing(used)}"
            raise ValueError(
                f"kernel: 'tolerance' names '{one_line(dtype)}', which the kernel does not write{hint}"
            )
        low = 1e-15 if dtype in DEFAULTS else 0
        tolerances[dtype] = float(number(f"tolerance of {dtype}", tolerance, low, _LARGEST))
    return tolerances
