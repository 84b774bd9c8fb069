"""Money in whole runs: what is planned, what is refused before the first call, and what is spent."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from tests.session.conftest import Project

Run = Callable[..., pytest.RunResult]
# A reply is 5 tokens long: a twentieth of a dollar. `max_tokens` is what an estimate takes it for.
MODELS = """
models:
  paid: {provider: script, model: helps, max_tokens: 5, price: {input: 0, output: 10000}, concurrency: 1}
  longer: {provider: script, model: helps, max_tokens: 1, price: {input: 0, output: 10000}, concurrency: 1}
  free: {provider: script, model: exact, price: {input: 0, output: 0}}
  unpriced: {provider: script, model: helps}
"""
MORE = "raise it, or run less (-k, --upskill-models, --upskill-runs); --upskill-plan shows what takes what"


@pytest.fixture
def priced(project: Project) -> Project:
    (project.path / "upskill.yaml").write_text(MODELS)
    project.skill(cases=3)
    return project


def said(result: pytest.RunResult) -> str:
    return " ".join(result.stdout.str().split())


def rows(result: pytest.RunResult) -> dict[str, list[str]]:
    """Return the rows of the plan by their models, without the length of prompts."""
    found = [re.split(r" {2,}", line) for line in result.outlines if line.startswith(("demo ", "all "))]
    parts = [row[1:] if row[0] == "demo" else row for row in found]
    return {name: [*counts[:3], *counts[4:]] for name, *counts in parts}


def refusal(result: pytest.RunResult) -> str:
    """Return the one line that is said of a run that was refused, without its `ERROR: `."""
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = (line for line in result.errlines if line.startswith("ERROR: "))
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    return line.removeprefix("ERROR: ")


def test_a_plan_above_the_budget_is_refused_before_the_first_call(priced: Project, run: Run) -> None:
    result = run("--upskill-budget=0.25", "--upskill-report=report", models="paid")
    assert refusal(result) == (
        f"the plan is above --upskill-budget: 6 calls cost about $0.30, and $0.25 may be spent: {MORE}"
    )
    assert priced.calls == []
    assert not (priced.path / "report").exists()
    assert "skill lift" not in said(result)


def test_a_plan_of_too_many_calls_is_refused_before_the_first_one(priced: Project, run: Run) -> None:
    assert refusal(run("-q", "--upskill-max-calls=5", models="free")) == (
        f"the plan is above --upskill-max-calls: it needs 6 calls, and 5 may be made: {MORE}"
    )
    assert priced.calls == []


def test_a_budget_that_cannot_be_held_is_refused(priced: Project) -> None:
    assert refusal(priced.run("--upskill-budget=9", models="paid,unpriced")) == (
        "the price of unpriced is unknown, so --upskill-budget cannot be held: give it a price in upskill.yaml"
    )
    assert refusal(priced.run("--upskill-budget=9", models="unpriced,script:never")) == (
        "the prices of unpriced and script-never are unknown, so --upskill-budget cannot be held: give them prices "
        "in upskill.yaml"
    )
    assert priced.calls == []


def test_a_plan_within_the_budget_is_run_and_its_cost_is_said(priced: Project, run: Run) -> None:
    result = run("--upskill-budget=0.30", "--upskill-max-calls=6", "--upskill-report=report", models="paid")
    assert result.ret == 0
    assert "0 in the store, 6 calls, about $0.30" in said(result)
    assert "spent: $0.30 of $0.30 in 6 calls" in result.outlines
    found = priced.results()
    assert (found["run"]["calls"], found["run"]["spent"], found["run"]["cost"]) == (
        6,
        0.3,
        pytest.approx(0.3),
    )
    assert {sample["reply"]["cost"] for sample in found["samples"]} == {0.05}
    assert found["results"][0]["cost"] == pytest.approx({"with": 0.15, "without": 0.15, "per_hit": 0.05})
    assert len(priced.calls) == 6


def test_where_nothing_needs_a_call_nothing_is_refused(priced: Project, run: Run) -> None:
    assert priced.run(models="paid,unpriced").ret == 0
    again = run("--upskill-budget=0", "--upskill-max-calls=0", models="paid,unpriced")
    assert again.ret == 0
    assert "12 in the store, 0 calls" in said(again)
    assert "spent:" not in said(again)


def test_a_run_that_reaches_its_budget_stops_calling_and_is_incomplete(priced: Project, run: Run) -> None:
    result = run("--upskill-budget=0.1", "--upskill-report=report", models="longer")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    # Six calls at an expected cent each. They cost five.
    assert len(priced.calls) == 2
    result.assert_outcomes(passed=2, errors=4, failed=1)
    why = "the next call may cost more than is left of $0.10 (--upskill-budget)"
    stopped = f"{why}: no further call is made; raise it to go on"
    assert "spent: $0.10 of $0.10 in 2 calls" in result.outlines
    assert f"4 samples not measured: {stopped}" in said(result)
    assert "gates: 0 passed, 1 incomplete" in said(result)
    errors = [sample["error"] for sample in priced.results()["samples"] if sample["error"]]
    assert sorted(errors) == ["budget spent"] * 3 + [stopped]


def test_what_is_replayed_neither_costs_nor_counts(priced: Project) -> None:
    assert priced.run(models="paid").ret == 0
    again = priced.run("--upskill-cache=replay", "--upskill-budget=0", models="paid")
    assert again.ret == 0
    assert "6 in the store, 0 missing" in said(again)


def test_the_plan_is_printed_and_nothing_is_called_or_run(priced: Project, run: Run) -> None:
    priced.pytester.makepyfile("def test_ordinary(): raise AssertionError('it ran')")
    assert priced.run("-k", "case-1", models="paid").ret == 0
    priced.forget_calls()
    result = run("--upskill-plan", models="paid,unpriced")
    assert result.ret == 0
    assert priced.calls == []
    result.assert_outcomes()
    table = rows(result)
    assert table["paid"] == ["6", "2", "4", "20", "$0.20", "1 s"]
    assert table["unpriced"] == ["6", "0", "6", "30", "unknown", "< 1 s"]
    assert table["all"] == ["12", "2", "10", "50", "unknown", "1 s"]
    assert "it ran" not in said(result)
    assert not (priced.path / "report").exists()


def test_a_plan_above_the_budget_is_printed_and_fails(priced: Project, run: Run) -> None:
    result = run("--upskill-plan", "--upskill-budget=0.25", "--upskill-report=report", models="paid")
    assert refusal(result).startswith(
        "the plan is above --upskill-budget: 6 calls cost about $0.30, and $0.25 "
    )
    assert rows(result)["paid"] == ["6", "0", "6", "30", "$0.30"]
    assert priced.calls == []
    assert not (priced.path / "report").exists()


LOOKING = """
import json, sys, threading

def pytest_unconfigure(config):
    threads = [thread.name for thread in threading.enumerate()]
    with open(config.rootpath / "seen.json", "w") as file:
        json.dump([sorted({"anthropic", "genai_prices"} & set(sys.modules)), threads], file)
"""


def test_a_plan_needs_neither_sdk_nor_key_nor_engine(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    project.skill()
    project.pytester.makeconftest(LOOKING)
    result = project.run("--upskill-plan", models="haiku")
    assert result.ret == 0
    assert re.search(r"0 in the store, 6 calls, about \$0\.00\d+;", said(result))
    seen = json.loads((project.path / "seen.json").read_text())
    assert seen == [["genai_prices"], ["MainThread"]]
    assert not (project.path / ".upskill").exists()


def test_a_plan_of_batches_costs_half(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    (project.path / "upskill.yaml").write_text(
        "models:\n  a: {provider: anthropic, price: {input: 0, output: 100}}\n"
    )
    project.skill()
    assert "6 calls, about $0.30;" in said(project.run("--upskill-plan", models="a"))
    assert "6 calls, about $0.15 in batches;" in said(
        project.run("--upskill-plan", "--upskill-batch", models="a")
    )
    within = project.run("--upskill-plan", "--upskill-batch", "--upskill-budget=0.15", models="a")
    assert within.ret == 0


def test_where_there_is_nothing_to_plan_the_reason_is_said(project: Project) -> None:
    project.pytester.makepyfile("def test_ordinary(): raise AssertionError('it ran')")
    result = project.run("--upskill-plan")
    assert (result.ret, "upskill: nothing to plan: no sample was selected" in said(result)) == (0, True)
    project.skill()
    result = project.run("--upskill-plan", models=None)
    assert (result.ret, "upskill: nothing to plan: no model is chosen: run with" in said(result)) == (0, True)
    assert "nothing to plan" not in said(project.run("--upskill-plan", "--collect-only"))
    project.pytester.makepyfile(test_broken="import nowhere")
    result = project.run("--upskill-plan")
    assert (result.ret, "1 error during collection" in said(result)) == (pytest.ExitCode.INTERRUPTED, True)


def test_the_ini_file_may_ask_for_the_plan_and_set_the_limits(priced: Project) -> None:
    priced.pytester.makeini("[pytest]\nupskill_plan = true\nupskill_max_calls = 5\n")
    said_ = refusal(priced.run("-n2", models="free"))
    assert said_ == f"the plan is above --upskill-max-calls: it needs 6 calls, and 5 may be made: {MORE}"
    priced.pytester.makeini("[pytest]\nupskill_plan = perhaps\n")
    assert refusal(priced.run(models="free")) == "tox.ini: upskill_plan: 'perhaps' is neither true nor false"
    assert priced.calls == []
