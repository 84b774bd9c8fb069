"""The sandbox that code of a model is compiled and executed in, as strong as the machine allows."""

from __future__ import annotations

from pytest_upskill.kernels.sandbox.choice import at_level, reports, sandboxes
from pytest_upskill.kernels.sandbox.limits import (
    Ended,
    Level,
    LevelReport,
    Limits,
    Ran,
    SandboxMissing,
    ending,
)
from pytest_upskill.kernels.sandbox.process import Started
from pytest_upskill.kernels.sandbox.sandbox import Sandbox

__all__ = [
    "Ended",
    "Level",
    "LevelReport",
    "Limits",
    "Ran",
    "Sandbox",
    "SandboxMissing",
    "Started",
    "at_level",
    "ending",
    "reports",
    "sandboxes",
]
