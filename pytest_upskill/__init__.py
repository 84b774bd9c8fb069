"""Skill regression testing for pytest: does a skill help, on which model, by how much, at what cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_upskill.errors import CallError, ScorerError, SuiteError, UpskillError
    from pytest_upskill.protocols import BatchProvider, BatchState, Dialect, Provider, Scorer
    from pytest_upskill.types import (
        Case,
        CaseFile,
        Check,
        GateConfig,
        Message,
        Model,
        Outcome,
        Price,
        RateLimits,
        Reply,
        Request,
        Score,
        ScoringContext,
        Skill,
        Usage,
        Window,
    )

    __version__: str

_HOMES = {
    **dict.fromkeys(("CallError", "ScorerError", "SuiteError", "UpskillError"), "errors"),
    **dict.fromkeys(("BatchProvider", "BatchState", "Dialect", "Provider", "Scorer"), "protocols"),
}
__all__ = [
    "BatchProvider",
    "BatchState",
    "CallError",
    "Case",
    "CaseFile",
    "Check",
    "Dialect",
    "GateConfig",
    "Message",
    "Model",
    "Outcome",
    "Price",
    "Provider",
    "RateLimits",
    "Reply",
    "Request",
    "Score",
    "Scorer",
    "ScorerError",
    "ScoringContext",
    "Skill",
    "SuiteError",
    "UpskillError",
    "Usage",
    "Window",
]


if not TYPE_CHECKING:  # mypy is to find names that are not there

    def __getattr__(name: str) -> object:
        # Lazy: the plugin is imported on every pytest run, also where there is no skill.
        import importlib

        if name == "__version__":
            return importlib.import_module("importlib.metadata").version("pytest-upskill")
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'types')}"), name)
