"""The health of a suite on the terminal: at most two lines for a gate, and what tells nothing is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from pytest_upskill.reports.health import case_data, health_data, health_lines
from pytest_upskill.suite.matrix import OldSkill, Suite
from pytest_upskill.types import Outcome, Reply, Score
from pytest_upskill.verdicts.gate import GateRules
from pytest_upskill.verdicts.result import GateResult
from pytest_upskill.verdicts.verdict import CaseCount
from tests.calls.fakes import MODEL, case, gate, suite
from tests.judged import evaluate


def cases(*names: str) -> Suite:
    return suite(*map(case, names), name="kernel-builder")


def result(
    of: Suite,
    hits: Mapping[str, tuple[int, ...]],
    runs: int = 3,
    model: str = "haiku",
    *,
    selected: bool = True,
) -> GateResult:
    """Return a gate of which each case hits in so many of its first runs with the skill, without, and before."""
    found = gate(of, replace(MODEL, name=model), runs)
    arms = ("with_skill", "without_skill", "old_skill")
    outcomes = {
        sample: Outcome(
            Reply(sample.id),
            (Score(sample.run <= hits.get(sample.case.id, (0, 0, 0))[arms.index(sample.arm)]),),
        )
        for sample in found.samples
    }
    return evaluate(found, outcomes, GateRules(), deterministic=False, selected=selected)


def texts(*results: GateResult, verbose: bool = False) -> list[str]:
    return [line.text for line in health_lines(results, verbose=verbose)]


def test_each_skill_has_a_line_for_what_tells_nothing_and_each_gate_one_for_its_cases() -> None:
    of = cases("fused-layernorm", "build-toml-h100", "a", "b", "c", "x", "y", "z")
    hits = {
        "build-toml-h100": (3, 3),
        "a": (3, 0),
        "b": (3, 0),
        "c": (0, 3),
        "x": (2, 0),
        "y": (0, 1),
        "z": (2, 1),
    }
    assert texts(result(of, hits)) == [
        "kernel-builder: never hit: fused-layernorm (both arms); hit by all: build-toml-h100 (both arms)",
        "kernel-builder on haiku: wins: a, b (3 runs each); loses: c (3 runs each); flaky: x 2/3 with, "
        "y 1/3 without, z 2/3 with and 1/3 without",
    ]


def test_what_one_model_hits_is_not_dead_and_each_model_has_its_own_line() -> None:
    of = cases("a", "b")
    both = (result(of, {"a": (1, 0)}, 1), result(of, {"b": (0, 1)}, 1, "glm"))
    assert texts(*both) == [
        "kernel-builder on haiku: wins: a (1 run each)",
        "kernel-builder on glm: loses: b (1 run each)",
    ]


def test_five_cases_are_named_and_all_of_them_where_that_is_asked() -> None:
    of = cases(*"abcdefg")
    wins = result(of, dict.fromkeys("abcdefg", (3, 0)))
    assert texts(wins) == ["kernel-builder on haiku: wins: a, b, c, d, e and 2 more (3 runs each)"]
    assert texts(wins, verbose=True) == ["kernel-builder on haiku: wins: a, b, c, d, e, f, g (3 runs each)"]
    flaky = result(of, dict.fromkeys("abcdefg", (1, 0)))
    assert texts(flaky)[-1].endswith("e 1/3 with and 2 more")


def test_the_old_skill_is_named_where_it_was_measured() -> None:
    of = cases("a", "b", "c")
    of = replace(of, old=OldSkill("main", of.skill, "block"))
    found = result(of, {"a": (3, 3, 3), "b": (3, 3, 2)})
    assert texts(found) == [
        "kernel-builder: never hit: c (all arms); hit by all: a (all arms)",
        "kernel-builder on haiku: flaky: b 2/3 before",
    ]


def test_runs_that_differ_from_case_to_case_are_given_as_a_range() -> None:
    of = cases("a", "b")
    found = result(of, {"a": (3, 0), "b": (3, 0)})
    counts = (CaseCount("a", 3, 3, 0, 3), CaseCount("b", 1, 1, 0, 1))
    same = replace(found, tally=replace(found.tally, counts=counts))
    assert texts(same) == ["kernel-builder on haiku: wins: a, b (1 to 3 runs each)"]


def test_a_gate_that_was_not_selected_and_a_case_that_shows_nothing_are_not_mentioned() -> None:
    of = cases("a")
    assert texts(result(of, {"a": (3, 0)}, selected=False)) == []
    assert texts(result(of, {})) == ["kernel-builder: never hit: a (both arms)"]
    assert texts() == []


def test_names_that_a_terminal_would_obey_are_escaped() -> None:
    of = suite(case("a"), name="evil\x1b[2J")
    assert texts(result(of, {})) == ["evil\\x1b[2J: never hit: a (both arms)"]


@pytest.mark.parametrize("old", [0, 2])
def test_a_case_is_written_with_its_counts_and_what_they_show(old: int) -> None:
    data: Any = case_data(CaseCount("a", 5, 5, 1, 5, 1 if old else 0, old))
    assert data == {
        "case": "a",
        "with": [5, 5],
        "without": [1, 5],
        "old": [1, 2] if old else None,
        "findings": ["wins", "flaky"],
    }


def test_health_is_written_for_what_was_selected() -> None:
    of = cases("a", "b", "c")
    hits = {"a": (3, 3), "b": (1, 0)}
    assert health_data([result(of, hits)]) == {"never_hit": ["c"], "always_hit": ["a"]}
    assert health_data([result(of, hits, selected=False)]) is None
