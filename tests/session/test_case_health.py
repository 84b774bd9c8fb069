"""What single cases show and which model to take, as a user of a run gets it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.session.conftest import CONFTEST, Project

Run = Callable[..., pytest.RunResult]
MIXED = '"never": False, "mixed": "case-2 " in task or (arm == "with" and "case-1 " not in task)}'
MODELS = """
models:
  small: {provider: script, model: mixed, price: {input: 1, output: 5}}
  big: {provider: script, model: mixed, price: {input: 10, output: 50}}
"""
STRICT = [
    "  strict cases: case-1 was never hit, with or without the skill, by any model:",
    "    mend or remove it (its expectation may be wrong, or it is too hard)",
]


@pytest.fixture
def mixed(project: Project) -> Project:
    """Two models that never hit the first case, always hit the second, and the others with the skill."""
    project.pytester.makeconftest(CONFTEST.replace('"never": False}', MIXED))
    (project.path / "upskill.yaml").write_text(MODELS)
    project.skill(cases=20)
    return project


def test_the_report_names_cases_and_the_cheapest_model(mixed: Project, run: Run) -> None:
    result = run("--upskill-report=report", models="small,big")
    assert result.ret == 0
    wins = "case-3, case-4, case-5, case-6, case-7 and 13 more (1 run"
    result.stdout.fnmatch_lines(
        [
            "demo: cheapest model at 80 %: small + skill (19/20, not proven: at least 72 %)",
            "demo: never hit: case-1 (both arms); hit by all: case-2 (both arms)",
            f"demo on small: wins: {wins}",
            "  each)",
            f"demo on big: wins: {wins}",
            "  each)",
            "gates: 2 passed",
        ],
        consecutive=True,
    )
    data = mixed.results()
    (skill,) = data["skills"]
    assert skill["health"] == {"never_hit": ["case-1"], "always_hit": ["case-2"]}
    assert skill["choice"]["not_proven"] == {"model": "small", "with_skill": True}
    assert data["results"][0]["cases"][2] == {
        "case": "case-3",
        "with": [1, 1],
        "without": [0, 1],
        "old": None,
        "findings": ["wins"],
    }


def test_verbose_names_every_case_and_quiet_none(mixed: Project) -> None:
    wordy = " ".join(mixed.run("-v", models="small").stdout.str().split())
    assert "case-19, case-20 (1 run each)" in wordy
    assert "demo: most hits for the cost of a call: small alone 5 % at $" in wordy
    quiet = mixed.run("-q", models="small").stdout.str()
    assert not any(word in quiet for word in ("wins", "never hit", "cheapest"))


def test_strict_cases_fail_every_gate_of_a_skill_with_a_case_that_nothing_hits(
    mixed: Project, run: Run
) -> None:
    mixed.skill("fine", cases=0)
    meta = (
        '{"cases": [{"id": "case-2", "input": "Question case-2 of fine?", "expected": {"contains": "yes"}}]}'
    )
    (mixed.path / "skills" / "fine" / "skill_meta.json").write_text(meta)
    result = run("--upskill-strict-cases", models="small,big")
    result.assert_outcomes(passed=86, failed=2)
    assert result.ret == 1
    for model in ("small", "big"):
        result.stdout.fnmatch_lines([f"demo on {model}: gate failed", *STRICT], consecutive=True)
    result.stdout.fnmatch_lines(
        ["fine: hit by all: case-2 (both arms)", "gates: 2 passed (2 inconclusive), 2 failed"]
    )


def test_strict_cases_judge_by_the_gates_that_were_selected(mixed: Project) -> None:
    """Of a case that only another model hits, a run of this one alone knows nothing better."""
    rows = mixed.path / "upskill.yaml"
    rows.write_text(MODELS.replace("model: mixed, price: {input: 10", "model: helps, price: {input: 10"))
    both = mixed.run("--upskill-strict-cases", models="small,big")
    assert both.ret == 0
    alone = mixed.run("--upskill-strict-cases", "-k", "gate and small", models="small,big")
    assert alone.ret == 1
    alone.stdout.fnmatch_lines(STRICT)
