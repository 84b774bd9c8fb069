"""A zoo of kernels: replies that fool a naive check, and honest ones that must not be rejected."""

from __future__ import annotations

from tests.kernels.zoo.device_cheats import DEVICE
from tests.kernels.zoo.entries import Cheat, Honest, Task
from tests.kernels.zoo.host_cheats import HOST
from tests.kernels.zoo.kernels import HONEST

__all__ = ["CHEATS", "HONEST", "Cheat", "Honest", "Task"]

CHEATS: tuple[Cheat, ...] = (*DEVICE, *HOST)
