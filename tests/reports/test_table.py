"""The table of the summary: aligned, at any width, and never at odds with the verdict."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.reports.table import table
from pytest_upskill.types import Outcome, Price, Reply, Score
from pytest_upskill.verdicts.gate import GateRules
from tests.reports.made import Made, made

WIDTHS = [40, 60, 80, 120, 200]


def cells(*found: Made) -> list[dict[str, str]]:
    """Return the rows of the table at 400 columns, by the names of the columns."""
    head, *rows = [re.split(r" {2,}", line.text) for line in table([one.result for one in found], 400)]
    return [dict(zip(head, row, strict=True)) for row in rows]


def row(found: Made) -> str:
    return [line.text for line in table([found.result], 400)][1]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_lift_and_the_verdict_stand_at_any_width(width: int) -> None:
    found = made(10, 0, 10, skill="x" * 64, price=Price(1, 5))
    shown = "\n".join(line.text for line in table([found.result], width))
    assert "x" * 64 in shown
    assert "+100" in shown
    assert "helps" in shown


def test_what_can_be_spared_is_left_out_where_the_terminal_is_narrow() -> None:
    found = made(10, 0, 10, price=Price(1, 5)).result
    heads = {width: next(iter(table([found], width))).text.split("  ") for width in range(30, 110)}
    left_out = [
        [
            name
            for name in ("skill", "95% interval", "tokens/call", "$/hit")
            if name not in map(str.strip, heads[width])
        ]
        for width in (100, 76, 68, 57, 44)
    ]
    assert left_out == [
        [],
        ["skill"],
        ["skill", "$/hit"],
        ["skill", "tokens/call", "$/hit"],
        ["skill", "95% interval", "tokens/call", "$/hit"],
    ]


def test_a_narrow_table_names_each_skill_once_above_its_models() -> None:
    found = [
        made(9, 2, 10, skill=skill, model=model) for skill in ("one", "two") for model in ("haiku", "opus")
    ]
    shown = [line.text for line in table([one.result for one in found], 60)]
    assert [line.split()[0] for line in shown] == ["model", "one", "haiku", "opus", "two", "haiku", "opus"]
    assert [line.startswith("  ") for line in shown] == [True, False, True, True, False, True, True]


def test_columns_are_aligned_names_to_the_left_and_numbers_to_the_right() -> None:
    found = [made(10, 0, 10, used=9), made(99, 98, 100, model="a-long-name", used=10**6)]
    assert [line.text for line in table([one.result for one in found], 400)] == [
        "skill  model        without  with  lift  95% interval         tokens/call  verdict",
        "demo   haiku             0%  100%  +100   +56 .. +100           12 -> 412  helps",
        "demo   a-long-name      98%   99%    +1      -4 .. +6  1000003 -> 1000403  no effect",
    ]


def test_a_rate_below_its_target_is_not_rounded_up_to_it() -> None:
    found = made(796, 400, 1000)
    assert "79.6%" in row(found)
    assert " 80%" in row(made(800, 400, 1000))
    assert " 80%" in row(made(796, 400, 1000, rules=GateRules(min_pass_rate=None)))


def test_rates_that_differ_do_not_look_alike() -> None:
    found = row(made(501, 500, 1000))
    assert "50%  50.1%  +0.1" in found


def test_only_a_rate_without_a_miss_is_a_hundred_percent() -> None:
    assert "99.9%" in row(made(999, 0, 1000))
    assert "100%" in row(made(1000, 0, 1000))


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 60), st.data())
def test_the_printed_interval_agrees_with_the_verdict(n: int, data: st.DataObject) -> None:
    found = made(data.draw(st.integers(0, n)), data.draw(st.integers(0, n)), n)
    (shown,) = cells(found)
    low, high = (float(end) for end in shown["95% interval"].split(" .. "))
    verdict = shown["verdict"]
    assert (low > 0) is (verdict == "helps")
    assert (high < 0) is (verdict == "hurts")


def test_a_row_that_was_not_selected_is_partial() -> None:
    found = made(2, 0, 3)
    partial = Made(found.gate, found.outcomes, found.again(GateRules(), selected=False))
    assert row(partial).endswith("  partial")
    nothing = Made(
        found.gate, {}, made(0, 0, 3, with_skill=Outcome(error="x")).again(GateRules(), selected=False)
    )
    assert row(nothing).split() == ["demo", "haiku", "-", "-", "-", "partial"]


def test_what_a_hit_costs_is_never_zero_where_it_is_unknown_or_small() -> None:
    def per_hit(found: Made) -> str:
        return cells(found)[0].get("$/hit", "")

    assert per_hit(made(5, 5, 10)) == ""
    assert per_hit(made(0, 5, 10, price=Price(1, 5))) == "no hit"
    assert per_hit(made(10, 5, 10, price=Price(0.01, 0))) == "<0.0001"
    assert per_hit(made(5, 5, 10, price=Price(1000, 0))) == "2.8000"
    unknown = Outcome(Reply("yes"), (Score(True),))
    assert per_hit(made(1, 1, 1, price=Price(1, 5), with_skill=unknown)) == ""


def test_what_is_free_has_a_price_only_beside_what_is_not() -> None:
    free, missed = made(5, 5, 10, price=Price(0, 0)), made(0, 5, 10, price=Price(0, 0))
    assert not any("$/hit" in cell for cell in cells(free, missed, made(5, 5, 10)))
    shown = cells(free, missed, made(5, 5, 10, price=Price(1000, 0)))
    assert [cell["$/hit"] for cell in shown] == ["0", "no hit", "2.8000"]


def test_a_rule_without_a_target_shows_its_rates_all_the_same() -> None:
    found = made(1, 0, 3, rules=GateRules(min_pass_rate=None, min_lift=Fraction(1, 10)))
    assert "0%   33%" in row(found)
