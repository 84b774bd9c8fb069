"""Scorers that start programs of their own: opened once, waited for, closed; what they say of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pytest_upskill.errors import NotApplicable, ScorerError
from pytest_upskill.types import Check, Reply, Score, ScoringContext, ScoringRun, Stage
from tests.calls.fakes import Fake, Has, at_once, case, gate, measurer, outcome, outcomes, suite

COMPILED = Stage("compile", "passed", "nvcc 13.0")
WITH_SKILL, WITHOUT_SKILL = gate().samples


class Awaited(Has):
    """Judges after a moment, and counts."""

    def __init__(self, raises: Exception | None = None, unopened: Exception | None = None) -> None:
        self.raises = raises
        self.unopened = unopened
        self.runs: list[ScoringRun] = []
        self.contexts: list[ScoringContext] = []
        self.closed = 0

    def score(self, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        raise AssertionError("it is waited for")

    async def open(self, run: ScoringRun) -> None:
        self.runs.append(run)
        await asyncio.sleep(0)
        if self.unopened is not None:
            raise self.unopened

    async def judge(self, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        self.contexts.append(context)
        await asyncio.sleep(0)
        if self.raises is not None:
            raise self.raises
        return [Score(True, "fine", "compiles", "has", (COMPILED,))]

    async def close(self) -> None:
        self.closed += 1


def test_it_is_opened_once_for_all_samples_and_closed() -> None:
    scorer = Awaited()
    samples = gate(suite(case("a"), case("b"))).samples
    found = at_once(measurer(Fake(), scorers={"has": scorer}), *samples)
    assert [one.hit for one in found] == [True] * 4
    assert [one.stages for one in found] == [(COMPILED,)] * 4
    assert [run.seed for run in scorer.runs] == [b"seed"]
    assert scorer.closed == 1


def test_it_is_neither_opened_nor_closed_where_nothing_is_judged() -> None:
    scorer = Awaited()
    assert outcomes(measurer(Fake(), scorers={"has": scorer})) == []
    assert (scorer.runs, scorer.closed) == ([], 0)


def test_it_is_told_which_run_it_judges() -> None:
    scorer = Awaited()
    outcomes(measurer(Fake(), scorers={"has": scorer}), *gate(runs=2).samples)
    assert sorted(context.run for context in scorer.contexts) == [1, 1, 2, 2]


def test_what_does_not_apply_here_is_a_skip_with_its_stages_and_the_reply_that_was_paid() -> None:
    found = outcome(
        measurer(Fake(), scorers={"has": Awaited(NotApplicable("no CUDA device", (COMPILED,)))}), WITH_SKILL
    )
    assert (found.skip, found.error, found.scores) == ("no CUDA device", None, ())
    assert found.stages == (COMPILED,)
    assert found.reply is not None
    assert not found.measured


def test_what_cannot_be_judged_is_an_error_with_its_stages() -> None:
    found = outcome(
        measurer(Fake(), scorers={"has": Awaited(ScorerError("unstable", (COMPILED,)))}), WITH_SKILL
    )
    assert (found.skip, found.error, found.stages) == (None, "unstable", (COMPILED,))


def test_the_stages_of_the_checks_before_stay_when_a_later_one_cannot_say() -> None:
    class Second(Awaited):
        async def judge(self, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
            raise ScorerError("no", (Stage("fast", "error"),))

    checks: Sequence[Check] = (Check("has", "yes"), Check("second", "yes"))
    sample = gate(suite(replace(case("a"), checks=tuple(checks)))).samples[0]
    found = outcome(measurer(Fake(), scorers={"has": Awaited(), "second": Second()}), sample)
    assert [stage.name for stage in found.stages] == ["compile", "fast"]


@pytest.mark.parametrize("error", [ScorerError("no sandbox works"), OSError("no sandbox works")])
def test_one_that_cannot_be_opened_is_an_error_of_every_sample(error: Exception) -> None:
    found = outcomes(measurer(Fake(), scorers={"has": Awaited(unopened=error)}), WITH_SKILL, WITHOUT_SKILL)
    words = (
        "no sandbox works"
        if isinstance(error, ScorerError)
        else "has: the scorer failed: OSError: no sandbox works"
    )
    assert [one.error for one in found] == [words, words]


def test_one_that_does_not_apply_here_is_a_skip_of_which_nothing_is_paid() -> None:
    provider = Fake()
    found = outcome(
        measurer(provider, scorers={"has": Awaited(unopened=NotApplicable("Linux alone"))}), WITH_SKILL
    )
    assert (found.skip, found.error, found.reply) == ("Linux alone", None, None)
    assert provider.requests == []


def test_nothing_is_paid_for_one_that_cannot_be_opened() -> None:
    provider = Fake()
    outcome(measurer(provider, scorers={"has": Awaited(unopened=ScorerError("no compiler"))}), WITH_SKILL)
    assert provider.requests == []


def test_whatever_it_raises_becomes_a_sentence() -> None:
    found = outcome(measurer(Fake(), scorers={"has": Awaited(ZeroDivisionError("oops"))}), WITH_SKILL)
    assert found.error == "has: the scorer failed: ZeroDivisionError: oops"
