"""The scorers that come with the plugin, from every room that has some."""

from __future__ import annotations

from pytest_upskill.protocols import Scorer


def shipped_scorers() -> dict[str, Scorer]:
    """Return a new scorer of each kind by the key of `expected` that asks for it."""
    from pytest_upskill.kernels.scorer import Kernel
    from pytest_upskill.scorers.builtin import builtin_scorers

    return {**builtin_scorers(), "kernel": Kernel()}
