"""Which model to take, in words that are no surer than the numbers, and as data."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.reports.choice import advised, cheapest, choice_data, choice_lines
from pytest_upskill.reports.results import schema
from pytest_upskill.reports.table import Line
from pytest_upskill.types import Outcome
from pytest_upskill.verdicts.choice import Candidate, Choice, choose, weigh
from tests.calls.fakes import suite
from tests.verdicts.test_choice import TARGET, Bench


def text(bench: Bench, target: Fraction = TARGET) -> str:
    return cheapest(bench.choice(target))


def test_a_proven_model_is_named_with_its_counts_and_what_it_reaches_at_least() -> None:
    assert text(Bench(60).add("haiku", 60, 20).add("opus", 60, 20, cost=0.02)) == (
        "cheapest model at 80 %: haiku + skill (60/60, proven: at least 92 %)"
    )


def test_a_cheaper_one_that_is_not_proven_is_named_behind_it() -> None:
    assert text(Bench(40).add("glm", 34, 10).add("opus", 40, 39, cost=0.02)) == (
        "cheapest model at 80 %: opus alone (39/40, proven: at least 85 %); "
        "cheaper: glm + skill (34/40, not proven: at least 68 %)"
    )


def test_without_a_proof_it_says_so_and_without_any_it_names_the_nearest() -> None:
    assert text(Bench(10).add("glm", 9, 0).add("opus", 10, 0, cost=0.02)) == (
        "cheapest model at 80 %: glm + skill (9/10, not proven: at least 50 %)"
    )
    assert text(Bench(10).add("glm", 7, 0).add("opus", 6, 0, cost=0.02)) == (
        "cheapest model at 80 %: none; nearest is glm + skill (7/10: at least 30 %)"
    )


def test_a_model_without_noise_is_exact() -> None:
    assert text(Bench(10).add("exact", 9, 0, exact=True)) == (
        "cheapest model at 80 %: exact + skill (9/10, exact)"
    )


def test_what_has_no_price_is_said_to_be_unknown_and_one_model_without_a_price_is_no_choice() -> None:
    hidden = Bench(60).add("hidden", 60, 20, cost=None)
    assert text(hidden) == ""
    assert text(hidden.add("other", 60, 20, cost=None)) == (
        "cheapest model at 80 %: not known, as the cost of hidden, other is unknown"
    )
    assert text(hidden.add("haiku", 60, 20)).endswith(
        ": haiku + skill (60/60, proven: at least 92 %); the cost of hidden, other is unknown"
    )


def test_cases_that_some_models_did_not_run_are_left_out_and_that_is_said() -> None:
    found = Bench(10).add("glm", 10, 0).add("opus", 10, 0, cost=0.02, case_10=Outcome(skip="no GPU"))
    assert text(found).startswith(
        "cheapest model at 80 % of the 9 cases that all models ran: glm + skill (9/9"
    )


@settings(deadline=None)
@given(st.integers(1, 300), st.fractions(0, 1, max_denominator=300).filter(bool), st.data())
def test_no_bound_is_printed_on_the_wrong_side_of_the_target(
    n: int, target: Fraction, data: st.DataObject
) -> None:
    each = Candidate("m", True, data.draw(st.integers(0, n)), n, Fraction(1))
    weighed = weigh([each, each], target)
    first = weighed[0]
    proven = first if first.reach == "proven" else None
    likely = first if first.reach == "not proven" else None
    said = cheapest(Choice(target, 1, 0, weighed, proven, likely, ()))
    least = Fraction(said.rpartition("at least ")[2].removesuffix(" %)")) / 100
    if first.reach == "proven":
        # Printed as finely as keeps it apart from certainty, so that it may be rounded to the target itself.
        assert least >= round(target, 2) - Fraction(1, 200)
    else:
        assert least <= target
    assert first.lower is not None
    assert least <= max(Fraction(first.lower), target) + Fraction(1, 200)


def test_advice_says_what_it_rests_on() -> None:
    same = Bench(100).add("opus", 98, 98, runs=3).choice()
    assert (
        advised(same.advice[0], same)
        == "skip the skill on opus: no effect beyond 10 points, +500 tokens a call"
    )
    exact = Bench(10).add("exact", 9, 9, exact=True).choice()
    assert advised(exact.advice[0], exact) == "skip the skill on exact: no effect, +500 tokens a call"
    helped = Bench(60).add("haiku", 60, 20).choice()
    assert advised(helped.advice[0], helped) == "the skill lets haiku reach 80 % (20/60 -> 60/60)"


def test_each_skill_gets_a_line_then_its_advice_and_with_v_what_each_dollar_buys() -> None:
    bench = Bench(60).add("haiku", 60, 20).add("opus", 60, 60, cost=0.02)
    choices = {bench.suite: bench.choice()}
    short = [
        Line("demo: cheapest model at 80 %: haiku + skill (60/60, proven: at least 92 %)"),
        Line("demo: the skill lets haiku reach 80 % (20/60 -> 60/60)"),
        Line("demo: skip the skill on opus: no effect beyond 10 points, +500 tokens a call"),
    ]
    assert list(choice_lines(choices)) == short
    assert list(choice_lines(choices, verbose=True)) == [
        *short,
        Line(
            "demo: most hits for the cost of a call: haiku alone 33 % at $0.0010, haiku + skill 100 % at $0.0015"
        ),
    ]
    assert list(choice_lines({})) == []


def test_names_that_a_terminal_would_obey_are_escaped() -> None:
    bench = Bench(10).add("evil\x1b[2J", 9, 0)
    found = choice_lines({suite(name="evil\x1b[2J"): bench.choice()})
    assert all(line.text.isprintable() for line in found)


def test_a_choice_is_written_down_as_the_schema_says() -> None:
    bench = Bench(60).add("haiku", 60, 20).add("hidden", 60, 60, cost=None, exact=True)
    data: Any = choice_data(bench.choice())
    whole = schema()
    part = {**whole["$defs"]["skill"]["properties"]["choice"], "$defs": whole["$defs"]}  # type: ignore[call-overload,dict-item,index]
    assert [error.message for error in jsonschema.Draft202012Validator(part).iter_errors(data)] == []
    assert (data["target"], data["cases"], data["left_out"]) == (0.8, 60, 0)
    assert (data["proven"], data["not_proven"]) == ({"model": "haiku", "with_skill": True}, None)
    assert [(each["model"], each["with_skill"], each["reaches"]) for each in data["candidates"]] == [
        ("haiku", False, "missed"),
        ("haiku", True, "proven"),
        ("hidden", False, "proven"),
        ("hidden", True, "proven"),
    ]
    skilled, hidden = data["candidates"][1], data["candidates"][3]
    assert (skilled["hits"], skilled["samples"], skilled["rate"], skilled["on_front"]) == (60, 60, 1.0, True)
    assert skilled["lower_bound"] == pytest.approx(0.025 ** (1 / 60))
    assert (skilled["cost_per_call"], skilled["tokens_per_call"]) == (pytest.approx(0.0015), 1520)
    assert (hidden["lower_bound"], hidden["cost_per_call"], hidden["on_front"]) == (None, None, False)
    assert data["advice"] == [
        {"model": "haiku", "kind": "reach", "text": "the skill lets haiku reach 80 % (20/60 -> 60/60)"},
        {
            "model": "hidden",
            "kind": "skip the skill",
            "text": "skip the skill on hidden: no effect, +500 tokens a call",
        },
    ]
    assert choice_data(choose([], {}, TARGET)) is None
