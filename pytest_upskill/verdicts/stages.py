"""How many replies came through each stage of a check that has several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from statistics import median

from pytest_upskill.suite.matrix import Gate, Sample
from pytest_upskill.types import WITH, WITHOUT, Arm, Outcome, Stage

SPEEDUP = "speedup"
WANTED = "min_speedup"


@dataclass(frozen=True, slots=True)
class Rate:
    """`passed` of `of` samples."""

    passed: int = 0
    of: int = 0

    @property
    def rate(self) -> Fraction | None:
        return Fraction(self.passed, self.of) if self.of else None

    def __add__(self, other: Rate) -> Rate:
        return Rate(self.passed + other.passed, self.of + other.of)


@dataclass(frozen=True, slots=True)
class StageRates:
    """The rates of a stage, or of a speed (`fast_1`), by arm; the median of the seconds that a stage took."""

    name: str
    without: Rate
    with_: Rate
    seconds: float | None = None


def stage_rates(gate: Gate, outcomes: Mapping[Sample, Outcome]) -> list[StageRates]:
    """Return the rates of each stage of the samples of a gate, in the order of the stages, and then of speeds.

    A sample counts at a stage that it passed or missed, and at one that it did not reach because of a miss. One that
    could not be measured to the end, as without a GPU, has the stages alone that could be.
    """
    rows = [(sample.arm, outcomes[sample]) for sample in gate.samples if sample in outcomes]
    names = dict.fromkeys(stage.name for _, outcome in rows for stage in outcome.stages)
    found = [_of(name, rows) for name in names]
    return [*(rates for rates in found if rates.without.of or rates.with_.of), *_speeds(rows)]


def _of(name: str, rows: Iterable[tuple[Arm, Outcome]]) -> StageRates:
    rates = {WITH: Rate(), WITHOUT: Rate()}
    seconds = []
    for arm, outcome in rows:
        for stage in outcome.stages if arm in rates else ():
            if stage.name == name and _counts(stage, outcome):
                rates[arm] += Rate(stage.outcome == "passed", 1)
                if stage.outcome != "skipped":
                    seconds.append(stage.seconds)
    return StageRates(name, rates[WITHOUT], rates[WITH], median(seconds) if seconds else None)


def _counts(stage: Stage, outcome: Outcome) -> bool:
    if stage.outcome == "skipped":
        return any(other.outcome == "missed" for other in outcome.stages)
    return stage.outcome in ("passed", "missed")


def _speeds(rows: Iterable[tuple[Arm, Outcome]]) -> list[StageRates]:
    """Return fast_p: how many are right and more than p times as fast (Ouyang et al., KernelBench, 2025)."""
    timed = [
        (arm, stage, outcome)
        for arm, outcome in rows
        for stage in outcome.stages
        if stage.name == "fast" and _counts(stage, outcome)
    ]
    wanted = {stage.figures[WANTED] for _, stage, _ in timed if WANTED in stage.figures}
    found = []
    for least in sorted({0.0, 1.0, *wanted}) if timed else ():
        rates = {WITH: Rate(), WITHOUT: Rate()}
        for arm, stage, outcome in timed:
            if arm in rates:
                rates[arm] += Rate(_right(outcome) and stage.figures.get(SPEEDUP, 0.0) > least, 1)
        found.append(StageRates(f"fast_{least:g}", rates[WITHOUT], rates[WITH]))
    return found


def _right(outcome: Outcome) -> bool:
    stages = {stage.name: stage.outcome for stage in outcome.stages}
    return stages.get("correct") == "passed" and stages.get("robust") == "passed"
