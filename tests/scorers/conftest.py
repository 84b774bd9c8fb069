from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_upskill.scorers.builtin import builtin_scorers
from pytest_upskill.scorers.isolate import Judges
from pytest_upskill.types import JSON, Case, Check, Reply, Score, ScoringContext
from tests.scorers.pool import Scoring


@pytest.fixture
def context(tmp_path: Path) -> ScoringContext:
    """A skill's folder, empty, and a case of it."""
    return ScoringContext(tmp_path, Case("one", "Do it", ()))


@pytest.fixture
def judge(context: ScoringContext) -> Callable[..., list[Score]]:
    """Validate and score in this process, with the built-in scorer of a name."""

    def judge(name: str, value: JSON, reply: Reply | str, **options: JSON) -> list[Score]:
        check = Check(name, value, options)
        scorer = builtin_scorers()[name]
        scorer.validate(check, context)
        return scorer.score(Reply(reply) if isinstance(reply, str) else reply, check, context)

    return judge


@pytest.fixture
def refusal(context: ScoringContext) -> Callable[..., str]:
    """Return the sentence with which a built-in scorer refuses a check."""

    def refusal(name: str, value: JSON, **options: JSON) -> str:
        with pytest.raises(ValueError) as caught:
            builtin_scorers()[name].validate(Check(name, value, options), context)
        return str(caught.value)

    return refusal


@pytest.fixture
def scoring(context: ScoringContext) -> Scoring:
    async def scoring(judges: Judges, name: str, value: JSON, text: str) -> list[Score]:
        return await judges.score(builtin_scorers()[name], Reply(text), Check(name, value), context)

    return scoring
