"""The stages of kernels on the terminal, in results.json and in JUnit."""

from __future__ import annotations

from dataclasses import replace

from pytest_upskill.reports.junit import sample_properties
from pytest_upskill.reports.stages import rates_data, stage_data, stage_lines
from pytest_upskill.types import Stage
from tests.reports.made import Made, made

FINE = (Stage("extract", "passed"), Stage("compile", "passed", "nvcc 13.0.88", 0.7, {"registers": 32}))
BROKEN = (
    Stage("extract", "passed"),
    Stage("compile", "missed", "error: expected a ;"),
    Stage("facts", "skipped", "not reached"),
)


def staged(of: Made) -> Made:
    outcomes = {
        sample: replace(outcome, stages=FINE if sample.arm == "with_skill" else BROKEN)
        for sample, outcome in of.outcomes.items()
    }
    return Made(of.gate, outcomes, of.result)


def test_the_table_has_a_row_for_each_stage_that_people_ask_for() -> None:
    of = staged(made(2, 1, 3))
    assert [line.text for line in stage_lines([of.result], of.outcomes, 80)] == [
        "",
        "kernels of  model  stage    without  with",
        "demo        haiku  compile      0/3   3/3",
        "demo        haiku  facts        0/3     -",
    ]


def test_where_more_is_asked_for_the_table_says_how_long_a_stage_took() -> None:
    of = staged(made(2, 1, 3))
    assert [line.text for line in stage_lines([of.result], of.outcomes, 80, timed=True)] == [
        "",
        "kernels of  model  stage    without  with  seconds",
        "demo        haiku  compile      0/3   3/3     0.35",
        "demo        haiku  facts        0/3     -",
    ]


def test_a_run_without_kernels_has_no_such_table() -> None:
    of = made(2, 1, 3)
    assert list(stage_lines([of.result], of.outcomes, 80)) == []
    assert rates_data(of.result, of.outcomes) == []


def test_results_json_has_every_stage_with_its_evidence() -> None:
    assert stage_data(FINE)[1] == {
        "name": "compile",
        "outcome": "passed",
        "evidence": "nvcc 13.0.88",
        "seconds": 0.7,
        "figures": {"registers": 32},
    }
    of = staged(made(2, 1, 3))
    assert rates_data(of.result, of.outcomes) == [
        {"stage": "extract", "without": [3, 3], "with": [3, 3]},
        {"stage": "compile", "without": [0, 3], "with": [3, 3]},
        {"stage": "facts", "without": [0, 3], "with": [0, 0]},
    ]


def test_junit_names_the_stages_that_were_reached_and_their_figures() -> None:
    of = staged(made(2, 1, 3))
    with_, without = of.gate.samples[:2]
    found = dict(sample_properties(with_, of.outcomes[with_]))
    assert {key: value for key, value in found.items() if ".stage." in key} == {
        "upskill.stage.extract": "passed",
        "upskill.stage.extract.seconds": "0.000",
        "upskill.stage.compile": "passed",
        "upskill.stage.compile.seconds": "0.700",
        "upskill.stage.compile.registers": "32",
    }
    missed = dict(sample_properties(without, of.outcomes[without]))
    assert missed["upskill.stage.compile"] == "missed"
    assert "upskill.stage.facts" not in missed
