"""Skill regression testing for pytest: does a skill help, on which model, by how much, at what cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_upskill.errors import CallError, ScorerError, UpskillError
    from pytest_upskill.types import (
        Case,
        Check,
        Message,
        Model,
        Provider,
        Reply,
        Request,
        Score,
        Scorer,
        ScoringContext,
        Skill,
        Usage,
    )

    __version__: str

_ERRORS = ("CallError", "ScorerError", "UpskillError")
__all__ = [
    "CallError",
    "Case",
    "Check",
    "Message",
    "Model",
    "Provider",
    "Reply",
    "Request",
    "Score",
    "Scorer",
    "ScorerError",
    "ScoringContext",
    "Skill",
    "UpskillError",
    "Usage",
]


def __getattr__(name: str) -> object:
    # Lazy: the plugin is imported on every pytest run, also where there is no skill.
    import importlib

    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("pytest-upskill")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{'errors' if name in _ERRORS else 'types'}"), name)
