"""The stages of one kernel as they are gone through: outcome, evidence, seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pytest_upskill.errors import NotApplicable, ScorerError
from pytest_upskill.kernels.data import Miss
from pytest_upskill.types import Stage, StageOutcome

_LONGEST = 4000


@dataclass(slots=True)
class Note:
    """What a stage that is under way has to say."""

    evidence: str = ""
    figures: dict[str, float] = field(default_factory=dict)


class Timeline:
    """Takes note of stages. A miss ends the way through them; errors carry the stages until then."""

    def __init__(self, stages: Sequence[Stage] = ()) -> None:
        self.stages = list(stages)

    @contextmanager
    def stage(self, name: str) -> Iterator[Note]:
        """Go through a stage. Raises what is raised within: `Miss`, or a `ScorerError` that then has the stages."""
        note, started = Note(), time.perf_counter()

        def end(outcome: StageOutcome, evidence: str) -> None:
            seconds = time.perf_counter() - started
            self.stages.append(Stage(name, outcome, evidence[:_LONGEST], seconds, dict(note.figures)))

        try:
            yield note
        except Miss as miss:
            end("missed", miss.evidence)
            raise
        except ScorerError as error:
            end("skipped" if isinstance(error, NotApplicable) else "error", str(error))
            error.stages = tuple(self.stages)
            raise
        end("passed", note.evidence)

    def through(self, wanted: Sequence[str]) -> tuple[Stage, ...]:
        """Return the stages; those of `wanted` that were not reached are there as skipped."""
        reached = {stage.name for stage in self.stages}
        missing = [Stage(name, "skipped", "not reached") for name in wanted if name not in reached]
        return (*self.stages, *missing)
