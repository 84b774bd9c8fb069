"""A machine with the pretended device, for tests: a sandbox that is none, the device, launchers on it."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from pytest_upskill.kernels.data import Device
from pytest_upskill.kernels.devices import devices
from pytest_upskill.kernels.launcher import Launcher
from tests.kernels.emulated import build
from tests.kernels.emulated.plain import PlainSandbox

if TYPE_CHECKING:
    from pytest_upskill.kernels.sandbox import Sandbox


@dataclass(frozen=True)
class Machine:
    """What a job needs of a machine."""

    plain: PlainSandbox
    driver: Path
    device: Device

    @property
    def sandbox(self) -> Sandbox:
        return cast("Sandbox", self.plain)

    def launcher(self, *, limit: float = 30.0) -> Launcher:
        return Launcher(self.device, self.sandbox, self.driver, limit=limit)


@contextmanager
def machine(uuid: str = build.UUID) -> Iterator[Machine]:
    """Give a machine whose one device has this UUID; nothing that was started on it is left in the end."""
    needs()
    plain = PlainSandbox()
    try:
        yield Machine(plain, build.driver(uuid), _device(uuid))
    finally:
        plain.close()


@cache
def _device(uuid: str) -> Device:
    plain = PlainSandbox()
    try:
        (device,) = devices(cast("Sandbox", plain), build.driver(uuid))
    finally:
        plain.close()
    return device


def needs() -> None:
    """Skip the test where nothing can be emulated."""
    if why := build.missing():
        pytest.skip(why)


def floats(*values: float) -> bytes:
    return struct.pack(f"{len(values)}f", *values)


def values(data: bytes, code: str = "f") -> Sequence[float]:
    return struct.unpack(f"{len(data) // struct.calcsize(code)}{code}", data)
