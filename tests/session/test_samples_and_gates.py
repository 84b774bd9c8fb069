"""Samples measure, gates assert: what a run shows, in one process and under xdist."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.session.conftest import Project

Run = Callable[..., pytest.RunResult]


def test_a_skill_that_helps_passes_and_shows_its_lift(project: Project, run: Run) -> None:
    project.skill(cases=10)
    result = run()
    result.assert_outcomes(passed=21)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["demo   script-helps       0%  100%  +100  *  helps", "gates: 1 passed"])
    assert len(project.calls) == 20


def test_a_skill_that_hurts_fails_its_gate_alone(project: Project, run: Run) -> None:
    project.skill(cases=10)
    result = run(models="script:hurts")
    result.assert_outcomes(passed=20, failed=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "demo on script-hurts: gate failed",
            "  min_pass_rate: 0/10 with the skill is 0 %, and even its upper bound*",
            "  MISS case-1[[]script-hurts-with_skill-run1]",
            '    expected: contains "yes"',
            "    evidence: *",
            "    the model said:",
            "      | no, this is reply *",
            "gates: 0 passed, 1 failed",
        ]
    )


def test_misses_are_no_failures_and_are_marked(project: Project) -> None:
    project.skill(cases=10)
    result = project.run("-v")
    result.stdout.fnmatch_lines(
        [
            "*::case-1[[]script-helps-with_skill-run1] HIT*",
            "*::case-1[[]script-helps-without_skill-run1] MISS*",
            "*::gate[[]script-helps] PASSED*",
        ]
    )
    project.run().stdout.fnmatch_lines([f"skills/demo/skill_meta.json {'+-' * 10}.*"])


def test_ordinary_tests_run_first_then_samples_then_gates(project: Project) -> None:
    project.skill("one", cases=1, folder="a_skills")
    project.skill("two", cases=1, folder="z_skills")
    project.pytester.makepyfile(test_unit="def test_first(): pass\ndef test_second(): pass")
    lines = [line for line in project.run("-v").stdout.lines if " [" in line and "::" in line]
    names = [line.split(" ")[0].rpartition("::")[2] for line in lines]
    assert names == [
        "test_first",
        "test_second",
        "case-1[script-helps-with_skill-run1]",
        "case-1[script-helps-without_skill-run1]",
        "case-1[script-helps-with_skill-run1]",
        "case-1[script-helps-without_skill-run1]",
        "gate[script-helps]",
        "gate[script-helps]",
    ]


def test_an_error_is_no_miss(project: Project, run: Run) -> None:
    project.skill(cases=3)
    result = run("--junit-xml=junit.xml", "--upskill-report=report", models="script:broken")
    result.assert_outcomes(passed=4, failed=1, errors=2)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "script-broken: the server answered 500: out of order",
            "demo on script-broken: gate incomplete",
            "  Incomplete: 2 samples were not measured: script-broken: the server answered",
            "    500: out of order.",
            "gates: 0 passed, 1 incomplete",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    row = project.results()["results"][0]
    assert (row["with_hits"], row["with_samples"], row["errors"]) == (2, 2, 2)


def test_what_keeps_a_model_from_being_called_is_said_once_and_calls_stop(project: Project, run: Run) -> None:
    project.skill(cases=5)
    result = run(models="script:no-key,script:helps")
    result.assert_outcomes(passed=11, failed=1, errors=10)
    text = result.stdout.str()
    assert text.count("set SCRIPT_KEY") == 2  # in its gate and in the summary
    assert text.count("\nno credentials\n") == 10
    assert all(line.startswith("helps") for line in project.calls)


def test_several_runs_are_several_samples(project: Project, run: Run) -> None:
    project.skill(cases=2)
    result = run("--upskill-runs=3")
    result.assert_outcomes(passed=13)
    assert len(project.calls) == 12


def test_the_case_file_says_how_many_runs_and_the_command_line_overrules_it(project: Project) -> None:
    project.skill(cases=1, runs=2)
    project.run().assert_outcomes(passed=5)
    project.run("--upskill-runs=1").assert_outcomes(passed=3)


def test_a_deterministic_model_runs_once_and_its_rates_are_exact(project: Project) -> None:
    project.skill(cases=2)
    result = project.run("--upskill-runs=5", models="script:exact")
    result.assert_outcomes(passed=5)
    assert "95% interval" not in result.stdout.str()
    result.stdout.fnmatch_lines(["demo   script-exact       0%  100%  +100 * helps"])


def test_cases_name_the_models_that_run_them(project: Project) -> None:
    root = project.skill(cases=2)
    text = (root / "skill_meta.json").read_text()
    (root / "skill_meta.json").write_text(
        text.replace('"id": "case-1",', '"id": "case-1", "models": ["!script-never"],', 1)
    )
    result = project.run("--collect-only", "-q", models="script:helps,script:never")
    assert "case-1[script-never-with_skill-run1]" not in result.stdout.str()
    assert "case-2[script-never-with_skill-run1]" in result.stdout.str()
    assert "case-1[script-helps-with_skill-run1]" in result.stdout.str()


def test_strict_fails_on_any_miss_and_off_never(project: Project, run: Run) -> None:
    project.skill(cases=3)
    assert run("--upskill-gate=off", models="script:hurts").ret == 0
    strict = run("--upskill-gate=strict", models="script:never")
    assert strict.ret == 1
    strict.stdout.fnmatch_lines(["  strict: 3 of 3 samples with the skill missed."])


def test_an_inconclusive_gate_has_its_own_word_and_passes_unless_told(project: Project, run: Run) -> None:
    project.skill(cases=1)
    passed = run("-v", models="script:never")
    assert passed.ret == 0
    passed.stdout.fnmatch_lines(["*INCONCLUSIVE*", "gates: 1 passed (1 inconclusive)"])
    project.skill(cases=1, gate={"on_inconclusive": "fail"})
    failed = run(models="script:never")
    assert failed.ret == 1
    failed.stdout.fnmatch_lines(["demo on script-never: gate inconclusive"])


def test_gates_are_set_for_a_model_a_skill_and_by_default(project: Project) -> None:
    project.skill("strict", cases=30)
    project.skill("lenient", cases=30)
    (project.path / "upskill.yaml").write_text(
        "gates:\n  default: {min_pass_rate: 0.9}\n  lenient: {min_pass_rate: 0}\n"
    )
    result = project.run(models="script:never")
    result.stdout.fnmatch_lines(["*FAILED*strict/skill_meta.json::gate[[]script-never]*"])
    assert "FAILED skills/lenient" not in result.stdout.str()
