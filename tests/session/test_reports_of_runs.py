"""JUnit, results.json and the terminal as a user of a run gets them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from junitparser.xunit2 import JUnitXml

from tests.session.conftest import Project

Run = Callable[..., pytest.RunResult]


def properties(element: Any) -> dict[str, str]:
    return {found.name: found.value for found in element.properties()}


def test_junit_carries_properties_of_samples_gates_and_the_suite(project: Project, run: Run) -> None:
    project.skill(cases=10)
    run("--junit-xml=junit.xml")
    (suite,) = JUnitXml.fromfile(str(project.path / "junit.xml"))
    cases = {case.name: properties(case) for case in suite}
    sample = cases["case-1[script-helps-without_skill-run1]"]
    assert sample == {
        "upskill.skill": "demo",
        "upskill.case": "case-1",
        "upskill.model": "script-helps",
        "upskill.arm": "without_skill",
        "upskill.run": "1",
        "upskill.hit": "false",
        "upskill.source": "call",
        "upskill.latency": "0.250",
        "upskill.input_tokens": sample["upskill.input_tokens"],
        "upskill.output_tokens": "5",
        "upskill.reported_model": "helps-1",
    }
    assert cases["gate[script-helps]"]["upskill.verdict"] == "helps"
    whole = properties(suite)
    assert whole["upskill.demo.script-helps.lift"] == "1.0000"
    assert whole["upskill.demo.script-helps.verdict"] == "helps"
    assert whole["upskill.demo.script-helps.gate"] == "passed"


def test_junit_tells_errors_and_failures_and_skips_apart(project: Project, run: Run) -> None:
    project.skill(cases=2)
    root = project.skill("hf", cases=1)
    (root / "skill_meta.json").write_text(
        '{"tests": [{"input": "x", "verifiers": [{"type": "command", "cmd": "true"}]}]}'
    )
    run("--junit-xml=junit.xml", models="script:broken")
    (suite,) = JUnitXml.fromfile(str(project.path / "junit.xml"))
    kinds = {case.name: [type(result).__name__ for result in case.result] for case in suite}
    assert kinds["case-1[script-broken-with_skill-run1]"] == ["Error"]
    assert kinds["case-2[script-broken-with_skill-run1]"] == []
    assert kinds["x[script-broken-with_skill-run1]"] == ["Skipped"]
    assert [
        case.result[0].message for case in suite if case.name == "gate[script-broken]" and case.result
    ] != []


def test_a_skill_with_only_skips_is_not_measured_and_passes(project: Project, run: Run) -> None:
    root = project.skill(cases=1)
    (root / "skill_meta.json").write_text(
        '{"tests": [{"input": "x", "verifiers": [{"type": "command", "cmd": "true"}]}]}'
    )
    result = run("-rs")
    result.assert_outcomes(passed=1, skipped=2)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*not measured*", "gates: 1 passed (1 not measured)"])
    assert "SKIPPED [2] skills/demo/skill_meta.json" in result.stdout.str()
    assert project.calls == []


@pytest.mark.parametrize("width", [60, 80, 120])
def test_nothing_of_ours_is_wider_than_the_terminal(
    project: Project, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    project.skill("a-skill-with-a-name-that-is-rather-long", cases=10)
    result = project.run("-v", models="script:helps,script:never")
    text = result.stdout.str()
    ours = text[text.index("skill lift") :].partition("short test summary")[0].splitlines()[1:]
    assert ours
    assert [line for line in ours if len(line) > width] == []
    assert text.isascii()


def test_quiet_says_the_table_and_the_gates_alone(project: Project) -> None:
    project.skill(cases=10)
    text = project.run("-q").stdout.str()
    assert "upskill: 1 skill" not in text
    assert re.findall(r"^(skill|demo|gates)\b", text, re.MULTILINE) == ["skill", "demo", "gates"]


def test_verbose_shows_each_case(project: Project, run: Run) -> None:
    project.skill(cases=2)
    run("-v").stdout.fnmatch_lines(["  case-1     -     +", "  case-2     -     +"])


def test_colour_only_where_it_is_asked_for(project: Project) -> None:
    project.skill(cases=10)
    assert "\x1b[" not in project.run().stdout.str()
    assert "\x1b[" in project.run("--color=yes").stdout.str()


def test_the_plan_stands_before_the_first_result(project: Project, run: Run) -> None:
    project.skill(cases=20)
    lines = run("--upskill-runs=2").stdout.lines
    plan = next(n for n, line in enumerate(lines) if line.startswith("upskill: "))
    text = " ".join(" ".join(lines[plan : plan + 3]).split())
    assert text.startswith(
        "upskill: 1 skill, 20 cases x 1 model x 2 arms x 2 runs = 80 samples; 0 in the store, 80 calls, cost of "
        "script-helps unknown; "
        "40 samples an arm reliably show lifts above 30 points"
    )
    first = next(n for n, line in enumerate(lines) if re.search(r"[+-]{2}", line) and "[" in line)
    assert plan < first


def test_a_reporter_of_a_plugin_gets_the_results(project: Project, run: Run) -> None:
    project.skill(cases=2)
    conftest = project.path / "conftest.py"
    conftest.write_text(
        conftest.read_text()
        + "\ndef pytest_upskill_reporters(register):\n"
        + "    register('names', lambda results, folder: (folder / 'n.txt').write_text(results['skills'][0]['name']))\n"
    )
    run("--upskill-report=out/deep")
    assert (project.path / "out" / "deep" / "n.txt").read_text() == "demo"
    assert (project.path / "out" / "deep" / "results.json").exists()


def test_each_finished_sample_is_told_once(project: Project, run: Run) -> None:
    project.skill(cases=3)
    conftest = project.path / "conftest.py"
    conftest.write_text(
        conftest.read_text()
        + "\ndef pytest_upskill_sample_finished(sample, outcome):\n"
        + "    open('told.txt', 'a').write(f'{sample.id} {outcome.hit}\\n')\n"
    )
    run("skills/demo/skill_meta.json::gate[script-helps]")
    told = Path(project.path / "told.txt").read_text().splitlines()
    assert len(told) == len(set(told)) == 6


def test_a_plugin_may_fail_a_gate(project: Project, run: Run) -> None:
    project.skill(cases=10)
    conftest = project.path / "conftest.py"
    conftest.write_text(
        conftest.read_text() + "\ndef pytest_upskill_gate(result):\n    return 'the skill is too dear'\n"
    )
    result = run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["demo on script-helps: gate failed", "  the skill is too dear"])
