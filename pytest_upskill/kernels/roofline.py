"""The roofline: how fast a kernel could be on a device, and what part of that it reaches. Pure.

Source: Williams, Waterman & Patterson 2009, Communications of the ACM 52(4):65. The ceilings are measured ones, not
those of a data sheet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Literal, TypeAlias

from pytest_upskill.kernels.data import Device, Problem, Tensor
from pytest_upskill.kernels.timings import RESOLUTION_MS, Interval

Bound: TypeAlias = Literal["memory", "compute"]
# A time that would need more than this of what the device can do is no win: something is wrong.
MOST = 1.05
_READ = ("in", "inout")
_WRITTEN = ("out", "out zero", "inout")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a time holds for: the device, its driver, the compiler. Speeds are compared only within one."""

    device: str
    uuid: str
    driver: str
    toolchain: str

    @property
    def digest(self) -> str:
        return sha256(repr(sorted(self.plain().items())).encode()).hexdigest()[:16]

    def plain(self) -> dict[str, str]:
        """Return it as builtins."""
        return asdict(self)


def fingerprint(device: Device, toolchain: str) -> Fingerprint:
    """Return what times on a device hold for, of code by a compiler of that version."""
    return Fingerprint(device.name, device.uuid, device.driver, toolchain)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes that a call has to read and to write."""

    read: int
    written: int

    @property
    def total(self) -> int:
        return self.read + self.written


def traffic(problem: Problem, moved: int) -> Traffic:
    """Return the `moved` bytes of a problem, split as its tensors are: each read or written once.

    With a `moved` of 0 it is the tensors' own bytes.
    """
    tensors = [argument for argument in problem.arguments if isinstance(argument, Tensor)]
    read = sum(tensor.nbytes for tensor in tensors if tensor.role in _READ)
    written = sum(tensor.nbytes for tensor in tensors if tensor.role in _WRITTEN)
    if not moved:
        return Traffic(read, written)
    share = moved * read // (read + written) if read + written else moved
    return Traffic(share, moved - share)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What the device was measured to do at most for a problem.

    Attributes:
        memory_ms: the time in which our own kernel moves as many bytes; None where it was not measured.
        compute_ms: the time that the operations take at the rate of a large matrix product in that type; None where
            the operations are unknown or there is no such rate.
        fewest_ms: the same at the highest rate of any unit that takes the type (TF32 for f32, sums in f16): nothing
            is faster.
        floor_ms: the time of a launch that does nothing.
        kept: the file that these were read from or written to.
    """

    memory_ms: float | None = None
    compute_ms: float | None = None
    fewest_ms: float | None = None
    floor_ms: float = 0.0
    kept: str = ""


@dataclass(frozen=True, slots=True)
class Roofline:
    """What part of the roofline a time reaches, its interval, what bounds it, whether that can be true."""

    fraction: float
    interval: Interval
    bound: Bound
    possible: bool
    kept: str = ""


def roofline(ceiling: Ceiling, time_ms: float, interval: Interval) -> Roofline | None:
    """Return what part of the roofline a time in milliseconds reaches; None where no ceiling was measured."""
    known: Mapping[Bound, float | None] = {"memory": ceiling.memory_ms, "compute": ceiling.compute_ms}
    needed = {bound: time for bound, time in known.items() if time}
    if not needed:
        return None
    bound = max(needed, key=lambda name: needed[name])
    least = needed[bound]
    low, high = interval
    ends = least / (high + RESOLUTION_MS), least / max(low - RESOLUTION_MS, RESOLUTION_MS)
    limit = max(ceiling.memory_ms or 0.0, ceiling.fewest_ms or ceiling.compute_ms or 0.0)
    possible = limit <= MOST * (time_ms + RESOLUTION_MS)
    return Roofline(least / time_ms, ends, bound, possible, ceiling.kept)
