"""The limits that a case sets for speed and for what the compiler says of a kernel."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pytest_upskill.errors import one_line
from pytest_upskill.kernels.data import Require
from pytest_upskill.kernels.values import number, unknown_keys, words
from pytest_upskill.scorers.subject import kind
from pytest_upskill.types import JSON

_INSTRUCTION = re.compile(r"[A-Z][A-Z0-9_.]*")
_SPEED: Final = ("min_speedup", "min_roofline")
# The smallest value that says anything, and the largest that can be.
_NUMBERS: Final[Mapping[str, tuple[float, float]]] = {
    "min_speedup": (0.01, 1000),
    "min_roofline": (0.01, 1),
    "max_registers": (16, 255),
    "max_spill": (0, 2**20),
    "max_stack": (0, 2**20),
}
_LISTS: Final = ("sass_required", "sass_forbidden")


@dataclass(frozen=True, slots=True)
class SpecGates:
    """Limits that a case sets; None where it sets none.

    `min_speedup` is against the eager baseline, `min_roofline` a fraction of what the device can do; registers a
    thread, `max_spill` and `max_stack` in bytes a thread; `sass_...` are names of instructions such as `HGMMA`.
    """

    min_speedup: float | None = None
    min_roofline: float | None = None
    max_registers: int | None = None
    max_spill: int | None = None
    max_stack: int | None = None
    sass_required: tuple[str, ...] = ()
    sass_forbidden: tuple[str, ...] = ()


def read_gates(value: JSON, require: Require) -> SpecGates:
    """Return the gates of a case. Raises `ValueError` where they are wrong, or do not go with what it requires."""
    given = {} if value is None else value
    if not isinstance(given, dict):
        raise ValueError(f"kernel: 'gates' needs an object such as {{\"max_spill\": 0}}, not {kind(given)}")
    unknown_keys("kernel: 'gates'", given, (*_NUMBERS, *_LISTS))
    _check_speed(given, require)
    required, forbidden = (_instructions(given, key) for key in _LISTS)
    both = next((name for name in required if name in forbidden), None)
    if both:
        raise ValueError(f"kernel: 'gates' requires and forbids the instruction {both}")
    return SpecGates(
        min_speedup=_real(given, "min_speedup"),
        min_roofline=_real(given, "min_roofline"),
        max_registers=_whole(given, "max_registers"),
        max_spill=_whole(given, "max_spill"),
        max_stack=_whole(given, "max_stack"),
        sass_required=required,
        sass_forbidden=forbidden,
    )


def _check_speed(given: Mapping[str, JSON], require: Require) -> None:
    asked = [key for key in _SPEED if key in given]
    if require == "fast" and not asked:
        raise ValueError("kernel: 'require' is fast, which needs a gate: min_speedup or min_roofline")
    if asked and require != "fast":
        raise ValueError(f'kernel: the gate {asked[0]} needs "require": "fast"; it is \'{require}\'')


def _real(given: Mapping[str, JSON], key: str) -> float | None:
    return float(number(key, given[key], *_NUMBERS[key])) if key in given else None


def _whole(given: Mapping[str, JSON], key: str) -> int | None:
    return int(number(key, given[key], *_NUMBERS[key], whole=True)) if key in given else None


def _instructions(given: Mapping[str, JSON], key: str) -> tuple[str, ...]:
    names = words(given, key, "HGMMA")
    for name in names:
        if not _INSTRUCTION.fullmatch(name):
            raise ValueError(
                f"kernel: '{key}' has '{one_line(name)}'; an instruction is written like HGMMA or LDG.E.128"
            )
    return names
