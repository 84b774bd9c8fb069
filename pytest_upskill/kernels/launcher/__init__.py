"""The trusted process that loads compiled kernels and starts them on a device, and nothing else."""

from __future__ import annotations

from pytest_upskill.kernels.launcher.client import Launcher
from pytest_upskill.kernels.launcher.wire import Call, Called, Fault, Loaded

__all__ = ["Call", "Called", "Fault", "Launcher", "Loaded"]
