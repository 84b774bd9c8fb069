"""Which model to take for each skill of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_upskill.session.rules import target_for
from pytest_upskill.suite.matrix import Sample, Suite
from pytest_upskill.types import Outcome
from pytest_upskill.verdicts.choice import Choice, choose
from pytest_upskill.verdicts.result import GateResult

if TYPE_CHECKING:
    from pytest_upskill.session.library import Library


def choices(
    results: Sequence[GateResult], outcomes: Mapping[Sample, Outcome], library: Library
) -> dict[Suite, Choice]:
    """Weigh the models of each skill of which there is a choice; none where both arms hold the same skill."""
    found: dict[Suite, Choice] = {}
    if library.settings.aa:
        return found
    for suite in dict.fromkeys(result.gate.suite for result in results):
        target = target_for(suite, library.file, library.settings.gate)
        own = [result for result in results if result.gate.suite is suite]
        # A target of nothing is reached by all.
        choice = choose(own, outcomes, target) if target else None
        if choice is not None:
            found[suite] = choice
    return found
