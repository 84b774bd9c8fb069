"""The plan line says what will be measured in true sums."""

from __future__ import annotations

import pytest

from pytest_upskill.reports.plan import Plan, make_plan, plan_lines
from pytest_upskill.suite.matrix import Gate, Sample, build
from pytest_upskill.types import Case, Check, Model
from pytest_upskill.verdicts.intervals import smallest_lift
from tests.calls.fakes import case, suite

HAIKU, GLM = Model("haiku", "fake", "a"), Model("glm", "fake", "b")


def matrix(
    cases: list[Case], models: list[Model], runs: int | dict[str, int] = 1, skills: int = 1
) -> tuple[list[Sample], list[Gate]]:
    by_model = runs if isinstance(runs, dict) else {model.name: runs for model in models}
    found = [build(suite(*cases, name=f"skill-{n}"), models, by_model) for n in range(skills)]
    return [s for one in found for s in one.samples], [g for one in found for g in one.gates]


def line(samples: list[Sample], gates: list[Gate], stored: int = 0, *, exact: tuple[str, ...] = ()) -> str:
    plan = make_plan(samples, gates, len(samples), stored, lambda name: name in exact)
    return " ".join(" ".join(plan_lines(plan, 80)).split())


def cases(count: int) -> list[Case]:
    return [case(f"case-{n}") for n in range(count)]


def test_one_of_each_is_said_in_the_singular() -> None:
    samples, gates = matrix(cases(1), [HAIKU])
    assert (
        line(samples[:1], [], 0)
        == "upskill: 1 skill, 1 case x 1 model x 1 arm = 1 sample; 0 in the store, 1 call"
    )
    assert line(samples, gates) == (
        "upskill: 1 skill, 1 case x 1 model x 2 arms = 2 samples; 0 in the store, 2 calls; "
        "1 sample an arm can show no lift reliably"
    )


def test_several_are_said_in_the_plural_with_the_smallest_lift() -> None:
    samples, gates = matrix(cases(20), [HAIKU, GLM])
    smallest = smallest_lift(20)
    assert smallest is not None
    assert line(samples, gates, 30) == (
        "upskill: 1 skill, 20 cases x 2 models x 2 arms = 80 samples; 30 in the store, 50 calls; "
        f"20 samples an arm reliably show lifts above {smallest * 100:.0f} points"
    )


def test_runs_stand_in_the_product() -> None:
    samples, gates = matrix(cases(2), [HAIKU], runs=3)
    assert "2 cases x 1 model x 2 arms x 3 runs = 12 samples;" in line(samples, gates)


def test_a_matrix_with_holes_is_no_product() -> None:
    only_haiku = Case("x", "X?", (Check("has", "yes"),), models=("haiku",))
    samples, gates = matrix([*cases(2), only_haiku], [HAIKU, GLM])
    assert "upskill: 1 skill, 3 cases, 2 models, 2 arms: 10 samples;" in line(samples, gates)
    samples, gates = matrix(cases(2), [HAIKU, GLM], runs={"haiku": 1, "glm": 3})
    assert "2 cases, 2 models, 2 arms, 3 runs: 16 samples;" in line(samples, gates)


def test_skills_with_cases_of_the_same_name_have_cases_of_their_own() -> None:
    samples, gates = matrix([], [HAIKU])
    for name in ("a", "b"):
        found = build(suite(*cases(3), name=name), [HAIKU], {"haiku": 1})
        samples += found.samples
        gates += found.gates
    assert line(samples, gates).startswith("upskill: 2 skills, 6 cases x 1 model x 2 arms = 12 samples;")


def test_nothing_to_call_is_said() -> None:
    samples, gates = matrix(cases(3), [HAIKU])
    assert "; 6 in the store, 0 calls" in line(samples, gates, 6)


def test_gates_of_several_sizes_say_the_smallest_and_the_largest() -> None:
    samples, gates = matrix(cases(10), [HAIKU, GLM], runs={"haiku": 1, "glm": 2})
    text = line(samples, gates)
    assert "; 10 samples an arm reliably show lifts above " in text
    assert "; 20 samples an arm reliably show lifts above " in text


@pytest.mark.parametrize("runs", [1, 3])
def test_a_deterministic_model_and_a_gate_that_is_not_selected_show_no_smallest_lift(runs: int) -> None:
    samples, gates = matrix(cases(10), [HAIKU], runs)
    assert "reliably" not in line(samples, gates, exact=("haiku",))
    assert "reliably" not in line(samples, [])


def test_cases_that_are_skipped_show_no_lift() -> None:
    skipped = case("later", skip="no judge")
    samples, gates = matrix([*cases(10), skipped, skipped], [HAIKU])
    assert "; 10 samples an arm reliably" in line(samples, gates)
    samples, gates = matrix([skipped], [HAIKU])
    assert "an arm" not in line(samples, gates)


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    plan = Plan(123, 4567, 89, 3, 10, 12_345_678, 999_999, 99_999, ((5, None), (1000, 0.05)))
    lines = plan_lines(plan, width)
    assert max(len(line) for line in lines) <= width
    assert lines[0].startswith("upskill: ")
    assert all(line.startswith("         ") for line in lines[1:])


def test_the_sentence_at_80_columns() -> None:
    samples, gates = matrix(cases(20), [HAIKU, GLM, Model("opus", "fake", "c")])
    plan = make_plan(samples, gates, 120, 62, lambda name: False)
    assert plan_lines(plan, 80) == [
        "upskill: 1 skill, 20 cases x 3 models x 2 arms = 120 samples; 62 in the store,",
        "         58 calls; 20 samples an arm reliably show lifts above 44 points",
    ]
