"""`--upskill-runs=auto`: whole rounds until a gate is decided, and skips for the runs that it was decided without."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.session.conftest import Project

Run = Callable[..., pytest.RunResult]
AUTO = ("--upskill-runs=auto", "--upskill-cache=off", "--upskill-report=report")
CASES = 10


@pytest.fixture
def scripted(project: Project) -> Project:
    """Add models: one that always hits, and one that hits six of ten cases, with the skill and without."""
    text = (project.path / "conftest.py").read_text()
    line = '        hit = {"helps": arm == "with", '
    assert line in text
    number = '        number = int(task.split("case-")[1].split()[0])\n'
    project.pytester.makeconftest(
        text.replace(line, f'{number}{line}"always": True, "between": number % 5 < 3, ').replace(
            '"case-1" in task', '"case-1 " in task'
        )
    )
    return project


def made(project: Project, model: str) -> int:
    """Return how many rounds a model was called for: the same for each case in each arm."""
    calls = Counter(line for line in project.calls if line.startswith(f"{model} "))
    assert len(calls) == 2 * CASES
    (rounds,) = set(calls.values())
    return rounds


def rows(project: Project) -> list[tuple[Any, ...]]:
    found = {(row["skill"], row["model"]): row for row in project.results()["results"]}
    keys = ("with_hits", "with_samples", "verdict", "gate")
    return [(*place, *(row[key] for key in keys)) for place, row in sorted(found.items())]


def skips(project: Project, model: str) -> dict[int, set[str | None]]:
    """Return by the number of the run why its samples were skipped; None for those that were measured."""
    found: dict[int, set[str | None]] = {}
    for sample in project.results()["samples"]:
        if sample["model"] == model:
            assert sample["status"] == ("measured" if sample["skip"] is None else "skipped")
            found.setdefault(sample["run"], set()).add(sample["skip"])
    return found


def test_each_gate_makes_as_many_whole_rounds_as_it_takes(scripted: Project, run: Run) -> None:
    scripted.skill(cases=CASES)
    models = ("helps", "always", "between")
    result = run(*AUTO, models=",".join(f"script:{model}" for model in (*models, "exact")))
    rounds = {model: made(scripted, model) for model in models}
    assert rounds["helps"] < rounds["between"]
    assert rounds["always"] < rounds["between"]
    # The model without noise runs once, and none of its runs is skipped.
    assert made(scripted, "exact") == 1
    total = sum(rounds.values())
    assert len(scripted.calls) == 2 * CASES * (total + 1)
    outcomes = result.parseoutcomes()
    assert outcomes["skipped"] == 2 * CASES * (15 - total)
    assert outcomes["passed"] + outcomes["failed"] == 2 * CASES * (total + 1) + 4
    for row in scripted.results()["results"][:3]:
        model = row["model"].removeprefix("script-")
        assert row["with_samples"] == row["without_samples"] == CASES * rounds[model]
        skipped = skips(scripted, row["model"])
        assert all(skipped[number] == {None} for number in range(1, rounds[model] + 1))
        for number in range(rounds[model] + 1, 6):
            (reason,) = skipped[number]
            said = f"not needed: decided after {rounds[model]} of at most 5 runs: "
            assert reason is not None
            assert reason.startswith(said)


def test_the_reason_of_a_skip_is_shown(scripted: Project) -> None:
    scripted.skill(cases=CASES)
    text = scripted.run(*AUTO, "-rs").stdout.str()
    found = re.search(
        r"SKIPPED \[(\d+)\] .*: not needed: decided after (\d) of at most 5 runs: .*helps", text
    )
    assert found is not None
    assert int(found[1]) == 2 * CASES * (5 - int(found[2])) == 2 * CASES * (5 - made(scripted, "helps"))


def test_a_model_that_is_down_is_not_asked_for_further_rounds(project: Project, run: Run) -> None:
    project.skill(cases=2)
    result = run(*AUTO, "-rs", models="script:no-key")
    assert result.ret == 1
    result.assert_outcomes(errors=4, skipped=16, failed=1)
    assert "not needed: no case could be measured whole in run 1" in result.stdout.str()
    (row,) = project.results()["results"]
    assert row["gate"]["word"] == "incomplete"


def test_a_case_that_fails_stops_no_other(scripted: Project) -> None:
    scripted.skill(cases=CASES)
    result = scripted.run(*AUTO, models="script:broken")
    outcomes = result.parseoutcomes()
    rounds = outcomes["errors"] // 2
    assert 1 <= rounds < 5
    assert outcomes["skipped"] == 2 * CASES * (5 - rounds)
    (row,) = scripted.results()["results"]
    assert row["gate"]["word"] == "incomplete"
    assert (row["with_hits"], row["with_samples"]) == (9 * rounds, 9 * rounds)


def test_a_run_that_stops_at_the_first_failure_ends(project: Project, run: Run) -> None:
    project.skill("demo", cases=4)
    project.skill("other", cases=4)
    assert run(*AUTO, "-x").ret == 0
    assert run(*AUTO, "-x", models="script:broken").ret != 0


def test_a_run_that_stops_early_begins_no_round_that_its_window_has_not_reached(project: Project) -> None:
    project.skill(cases=4)
    (project.path / "upskill.yaml").write_text(
        "models:\n  few: {provider: script, model: broken, concurrency: 1}\n"
    )
    project.run(*AUTO, "-x", models="few").assert_outcomes(errors=1)
    assert len(project.calls) <= 2


def test_a_part_without_its_gate_is_measured_once(project: Project, run: Run) -> None:
    project.skill(cases=3)
    result = run(*AUTO, "-k", "case-1")
    result.assert_outcomes(passed=2, skipped=8)
    assert len(project.calls) == 2
    said = "auto runs are decided by gates, and gate[script-helps] is not selected"
    assert skips(project, "script-helps") == {1: {None}} | {number: {said} for number in range(2, 6)}
    assert rows(project) == [("demo", "script-helps", 1, 1, None, None)]


def test_a_gate_alone_makes_the_same_rounds(scripted: Project) -> None:
    scripted.skill(cases=CASES)
    scripted.run(*AUTO)
    calls, expected = sorted(scripted.calls), rows(scripted)
    scripted.forget_calls()
    scripted.run(*AUTO, "-k", "gate").assert_outcomes(passed=1)
    assert (sorted(scripted.calls), rows(scripted)) == (calls, expected)


def test_a_shuffled_order_makes_the_same_rounds(scripted: Project) -> None:
    scripted.skill("demo", cases=CASES)
    scripted.skill("other", cases=CASES)
    models = "script:helps,script:between"
    scripted.run(*AUTO, models=models)
    calls, expected = sorted(scripted.calls), rows(scripted)
    for more in (("--randomly-seed=1",), ("--randomly-seed=2", "-n2"), ("--randomly-seed=3", "--maxfail=9")):
        scripted.forget_calls()
        scripted.pytester.runpytest_subprocess(
            "-p", "no:anyio", "-p", "no:timeout", f"--upskill-models={models}", *AUTO, *more, timeout=60
        )
        assert (sorted(scripted.calls), rows(scripted)) == (calls, expected)


def test_what_was_used_is_recorded_and_replayed_without_a_call(scripted: Project) -> None:
    root = scripted.skill(cases=CASES)
    first = scripted.run("--upskill-runs=auto", "--upskill-record")
    rounds = made(scripted, "helps")
    assert f"{2 * CASES * rounds} replies ({2 * CASES * rounds} new)" in " ".join(first.stdout.str().split())
    (recorded,) = (root / "recordings").glob("*.jsonl")
    assert recorded.read_text().count('"case":') == 2 * CASES * rounds
    scripted.forget_calls()
    again = scripted.run("--upskill-runs=auto", "--upskill-cache=replay")
    again.assert_outcomes(passed=2 * CASES * rounds + 1, skipped=2 * CASES * (5 - rounds))
    assert scripted.calls == []
