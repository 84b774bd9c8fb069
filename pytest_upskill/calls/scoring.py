"""Judging a reply by the checks of its case: here, in a process of the pool, or by a scorer that is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from pytest_upskill.calls.clients import closed, finished
from pytest_upskill.calls.strangers import in_words
from pytest_upskill.errors import ScorerError
from pytest_upskill.protocols import AwaitedScorer, Scorer, is_awaited
from pytest_upskill.suite.matrix import Sample
from pytest_upskill.types import Check, Reply, Score, ScoringContext, ScoringRun, Stage


class Isolation(Protocol):
    """Runs isolated scorers elsewhere, with a time limit."""

    async def score(
        self, scorer: Scorer, reply: Reply, check: Check, context: ScoringContext
    ) -> list[Score]: ...

    async def close(self) -> None: ...


class Scoring:
    """The scorers of a test run, on the engine's loop."""

    def __init__(self, scorers: Mapping[str, Scorer], isolation: Isolation, run: ScoringRun) -> None:
        self._scorers = scorers
        self._isolation = isolation
        self._run = run
        self._opening: dict[str, asyncio.Future[None]] = {}

    async def ready(self, sample: Sample) -> None:
        """Wait until the scorers of a sample's case can judge. Raises `ScorerError` where one cannot."""
        for check in sample.case.checks:
            scorer = self._scorers[check.scorer]
            if is_awaited(scorer):
                with in_words(f"{check.scorer}: the scorer failed", ScorerError):
                    await self._opened(check.scorer, scorer)

    async def scores(self, sample: Sample, reply: Reply) -> tuple[Score, ...]:
        """Return what the checks of a sample's case say of its reply.

        Raises:
            ScorerError: one cannot say, or (`NotApplicable`) not here; its stages are those of all checks until then.
        """
        context = ScoringContext(sample.suite.skill.root, sample.case, sample.run)
        found: list[Score] = []
        for check in sample.case.checks:
            with _all_stages(found):
                found += await self._score(check, reply, context)
        return tuple(found)

    async def close(self) -> None:
        """End the processes of scorers."""
        opened = [self._scorers[name] for name in self._opening]
        awaited = [scorer for scorer in opened if is_awaited(scorer)]
        closing = [closed(self._isolation), *(closed(scorer) for scorer in awaited)]
        await finished([asyncio.ensure_future(each) for each in closing])

    async def _score(self, check: Check, reply: Reply, context: ScoringContext) -> list[Score]:
        scorer = self._scorers[check.scorer]
        with in_words(f"{check.scorer}: the scorer failed", ScorerError):
            if is_awaited(scorer):
                scores = await scorer.judge(reply, check, context)
            elif scorer.isolated:
                scores = await self._isolation.score(scorer, reply, check, context)
            else:
                scores = list(scorer.score(reply, check, context))
        # No score at all would be a hit: all of none.
        if not scores or not all(isinstance(score, Score) for score in scores):
            raise ScorerError(f"{check.scorer}: the scorer did not return a list of scores")
        return scores

    async def _opened(self, name: str, scorer: AwaitedScorer) -> None:
        if name not in self._opening:
            self._opening[name] = asyncio.ensure_future(scorer.open(self._run))
        # One sample that is cancelled must not take the scorer away from the others.
        await asyncio.wait([self._opening[name]])
        error = self._opening[name].exception()
        if isinstance(error, ScorerError):
            raise type(error)(str(error))  # anew: each sample adds its own stages to it
        if error is not None:
            raise error


@contextmanager
def _all_stages(before: list[Score]) -> Iterator[None]:
    try:
        yield
    except ScorerError as error:
        error.stages = (*stages_of(before), *error.stages)
        raise


def stages_of(scores: list[Score] | tuple[Score, ...]) -> tuple[Stage, ...]:
    """Return the steps that the checks of a reply took."""
    return tuple(stage for score in scores for stage in score.stages)
