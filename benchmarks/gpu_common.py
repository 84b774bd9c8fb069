"""What the parts of the check for a machine with a GPU share: a device to use, and what each part says."""

from __future__ import annotations

import os
import random
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.artefacts import Artefacts
from pytest_upskill.kernels.bench import Bench
from pytest_upskill.kernels.compile import Compiler
from pytest_upskill.kernels.data import Device, Tensor
from pytest_upskill.kernels.launcher import Launcher
from pytest_upskill.types import ScoringRun

Outcome: TypeAlias = Literal["passed", "failed", "impossible"]
_PATTERN = 2**20


@dataclass(frozen=True)
class Part:
    """What one part did: lines for a person, figures for a machine. `impossible` says in a line why."""

    name: str
    outcome: Outcome
    lines: tuple[str, ...]
    figures: dict[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Place:
    """A device, the bench that kernels are tried on, and a folder for what is made."""

    device: Device
    bench: Bench
    folder: Path
    seeds: int

    @property
    def arch(self) -> str:
        major, minor = self.device.capability
        return f"sm_{major}{minor}{'a' if major >= 9 else ''}"

    def launcher(self) -> Launcher:
        return Launcher(self.device, self.bench.device_sandbox)

    def compiled(self, code: str, prelude: str, entry: str) -> bytes:
        compiler = Compiler(self.bench.toolchain, self.bench.sandbox, Artefacts(self.folder / "probes"))
        return compiler.compile(code, prelude, self.arch, entry).cubin


def impossible(name: str, why: str) -> Part:
    return Part(name, "impossible", (why,))


def judged(name: str, wrong: int, lines: list[str], figures: dict[str, Any]) -> Part:
    return Part(name, "failed" if wrong else "passed", tuple(lines), figures)


def open_bench(folder: Path) -> Bench | str:
    """Return a bench, or why there is none."""
    try:
        return Bench(ScoringRun(folder, os.urandom(16)))
    except ScorerError as error:
        return str(error)


def data_of(tensor: Tensor, seed: int = 1) -> bytes:
    """Return bytes that are sound numbers of a tensor's type: what a kernel does with them takes its usual time."""
    dice = random.Random(seed)
    pattern = bytearray(dice.randbytes(_PATTERN))
    size = tensor.nbytes // max(1, tensor.elements)
    if tensor.dtype in ("bf16", "f16", "f32", "f64"):
        # The byte with the sign and most of the exponent: from about 0.01 to 2, both signs.
        pattern[size - 1 :: size] = bytes(
            byte & 0x80 | _EXPONENTS[tensor.dtype] for byte in pattern[size - 1 :: size]
        )
    return bytes((pattern * (tensor.nbytes // _PATTERN + 1))[: tensor.nbytes])


_EXPONENTS = {"bf16": 0x3E, "f16": 0x38, "f32": 0x3E, "f64": 0x3F}
