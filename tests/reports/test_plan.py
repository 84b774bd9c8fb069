"""The plan line says what will be measured in true sums."""

from __future__ import annotations

import pytest

from pytest_upskill.calls.estimate import Estimate
from pytest_upskill.reports.plan import Load, Plan, in_time, make_plan, plan_lines
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


def rest(calls: int, cost: float | None = 0.0, *, batched: bool = False) -> Estimate:
    return Estimate(calls, 10 * calls, 5 * calls, cost, None, batched)


def line(samples: list[Sample], gates: list[Gate], stored: int = 0, *, exact: tuple[str, ...] = ()) -> str:
    loads = [Load("skill-0", "haiku", len(samples), 0, stored, rest(len(samples) - stored))]
    return said(make_plan(samples, gates, loads, lambda name: name in exact))


def said(plan: Plan) -> str:
    return " ".join(" ".join(plan_lines(plan, 80)).split())


def taking(*loads: Load, seconds: float | None = None, calls: bool = True, reads: bool = True) -> str:
    """Return what the plan line says of replies and calls."""
    plan = Plan(1, 10, len(loads), 2, 1, 20 * len(loads), loads, (), seconds, calls, reads)
    return said(plan).partition("samples; ")[2]


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
    loads = tuple(
        Load("x" * 64, name * 30, 10**6, 10**5, 10**5, rest(800_000, cost))
        for name, cost in (("a", 1e6), ("b", None))
    )
    plan = Plan(123, 4567, 89, 3, 10, 12_345_678, loads, ((5, None), (1000, 0.05)), 86_400)
    lines = plan_lines(plan, width)
    assert max(len(line) for line in lines) <= width
    assert lines[0].startswith("upskill: ")
    assert all(line.startswith("         ") for line in lines[1:])


def test_the_sentence_at_80_columns() -> None:
    samples, gates = matrix(cases(20), [HAIKU, GLM, Model("opus", "fake", "c")])
    loads = [
        Load("skill-0", "haiku", 40, 0, 22, rest(18, 0.01)),
        Load("skill-0", "glm", 80, 0, 40, rest(40, 0.3)),
    ]
    plan = make_plan(samples, gates, loads, lambda name: False, seconds=40.2)
    assert plan_lines(plan, 80) == [
        "upskill: 1 skill, 20 cases x 3 models x 2 arms = 120 samples; 62 in the store,",
        "         58 calls, about $0.31, 40 s; 20 samples an arm reliably show lifts",
        "         above 44 points",
    ]


PAID = Load("demo", "haiku", 20, 0, 2, rest(18, 0.31))


def test_what_is_free_and_quick_is_not_spoken_of() -> None:
    assert taking(Load("demo", "reader", 20, 0, 2, rest(18)), seconds=0.2) == "2 in the store, 18 calls"
    assert (
        taking(Load("demo", "glm", 20, 0, 2, rest(18)), seconds=12.0)
        == "2 in the store, 18 calls, about 12 s"
    )


def test_money_and_time_are_said_as_far_as_they_are_known() -> None:
    assert taking(PAID) == "2 in the store, 18 calls, about $0.31"
    assert taking(PAID, seconds=90) == "2 in the store, 18 calls, about $0.31, 2 min"
    assert taking(Load("demo", "haiku", 2, 0, 0, rest(2, 1e-6))) == "0 in the store, 2 calls, <$0.0001"


@pytest.mark.parametrize(
    ("names", "shown"), [(["glm"], "glm"), (["glm", "qwen"], "glm and qwen"), (["a", "b", "c"], "3 models")]
)
def test_an_unknown_cost_is_said_and_not_counted_as_nothing(names: list[str], shown: str) -> None:
    loads = [Load("demo", name, 2, 0, 0, rest(2, None)) for name in names]
    assert taking(*loads).endswith(f" calls, cost of {shown} unknown")
    assert taking(PAID, *loads, seconds=30).endswith(f" calls, about $0.31, 30 s, cost of {shown} unknown")


def test_batches_are_said() -> None:
    batched = Load("demo", "opus", 20, 0, 2, rest(18, 0.16, batched=True))
    assert taking(batched) == "2 in the store, 18 calls, about $0.16 in batches"
    assert taking(batched, PAID) == "4 in the store, 36 calls, about $0.47, partly in batches"


def test_requests_in_batches_that_go_on_are_no_calls() -> None:
    assert (
        taking(Load("demo", "opus", 20, 0, 2, rest(0), 18)) == "2 in the store, 18 in open batches, 0 calls"
    )


def test_recorded_replies_are_counted_by_themselves() -> None:
    assert taking(Load("demo", "reader", 20, 20, 0, rest(0))) == "20 recorded, 0 calls"
    assert taking(Load("demo", "reader", 20, 8, 2, rest(10))) == "8 recorded, 2 in the store, 10 calls"


def test_a_store_that_is_not_read_is_not_said_to_be_empty() -> None:
    assert taking(Load("demo", "haiku", 20, 0, 0, rest(20, 0.31)), reads=False) == "20 calls, about $0.31"


def test_where_no_call_is_made_replies_are_missing_and_cost_nothing() -> None:
    assert taking(PAID, seconds=30, calls=False) == "2 in the store, 18 missing"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.4, "0 s"),
        (40.4, "40 s"),
        (89, "89 s"),
        (90, "2 min"),
        (3600, "60 min"),
        (5400, "2 h"),
        (86400, "24 h"),
    ],
)
def test_time_is_said_in_one_unit(seconds: float, shown: str) -> None:
    assert in_time(seconds) == shown
