"""The stages of checks that have several: the table on the terminal, and what results.json and JUnit say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_upskill.errors import one_line
from pytest_upskill.reports.table import Line, Shape, laid_out
from pytest_upskill.scorers.evidence import fold
from pytest_upskill.suite.matrix import Sample
from pytest_upskill.types import JSON, Outcome, Stage
from pytest_upskill.verdicts.result import GateResult
from pytest_upskill.verdicts.stages import Rate, StageRates, stage_rates

_SHAPE = Shape(
    ("kernels of", "model", "stage", "without", "with", "seconds"),
    ("kernels of", "model", "stage"),
    ("seconds",),
)
_EVIDENCE = 300
# What is shown of a run that went well; the others are in results.json.
_SHOWN = ("compile", "facts", "correct", "robust", "fast")


def stage_lines(
    results: Sequence[GateResult], outcomes: Mapping[Sample, Outcome], width: int, *, timed: bool = False
) -> Iterator[Line]:
    """Yield a table with a row for each stage of each skill and model that has some, `timed` with its median time."""
    rows = [
        _cells(result, rates) if timed else {**_cells(result, rates), "seconds": ""}
        for result in results
        for rates in stage_rates(result.gate, outcomes)
        if rates.name in _SHOWN or rates.name.startswith("fast_")
    ]
    if rows:
        yield Line("")
        yield from laid_out(rows, _SHAPE, width)


def missed_lines(results: Sequence[GateResult], outcomes: Mapping[Sample, Outcome]) -> Iterator[Line]:
    """Yield a line for each sample that missed a stage: also of those that no gate speaks of, as without a GPU."""
    for result in results:
        for sample in result.gate.samples:
            for stage in outcomes[sample].stages if sample in outcomes else ():
                if stage.outcome == "missed":
                    evidence = fold(stage.evidence, _EVIDENCE)
                    yield Line(one_line(f"{sample.id}: {stage.name}: {evidence}"))


def _cells(result: GateResult, rates: StageRates) -> dict[str, str]:
    return {
        "kernels of": one_line(result.gate.suite.skill.name),
        "model": one_line(result.gate.model.name),
        "stage": rates.name,
        "without": _share(rates.without),
        "with": _share(rates.with_),
        "seconds": "" if rates.seconds is None else f"{rates.seconds:.2g}",
    }


def _share(rate: Rate) -> str:
    return f"{rate.passed}/{rate.of}" if rate.of else "-"


def stage_data(stages: Sequence[Stage]) -> list[JSON]:
    """Return what results.json says of the stages of a sample."""
    return [
        {
            "name": stage.name,
            "outcome": stage.outcome,
            "evidence": stage.evidence,
            "seconds": round(stage.seconds, 6),
            "figures": dict(stage.figures),
        }
        for stage in stages
    ]


def rates_data(result: GateResult, outcomes: Mapping[Sample, Outcome]) -> list[JSON]:
    """Return what results.json says of the stages of a gate's samples: passed and all, by arm."""
    return [
        {
            "stage": rates.name,
            "without": [rates.without.passed, rates.without.of],
            "with": [rates.with_.passed, rates.with_.of],
        }
        for rates in stage_rates(result.gate, outcomes)
    ]


def stage_properties(stages: Sequence[Stage]) -> Iterator[tuple[str, object]]:
    """Yield the rows of a JUnit testcase: the outcome of each stage that was reached, and its figures."""
    for stage in stages:
        if stage.outcome != "skipped":
            yield f"stage.{stage.name}", stage.outcome
            yield f"stage.{stage.name}.seconds", f"{stage.seconds:.3f}"
        if stage.outcome in ("missed", "error"):
            yield f"stage.{stage.name}.evidence", stage.evidence
        for name, value in stage.figures.items():
            yield f"stage.{stage.name}.{name}", f"{value:.6g}"
