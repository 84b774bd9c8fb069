"""--upskill-aa in whole runs: the skill against itself, and how often gates and naive rules raise false alarms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from pytest_upskill.reports.results import schema
from tests.repositories import Tree, alone
from tests.session.conftest import CONFTEST, Project
from tests.session.three import edit

Run = Callable[..., pytest.RunResult]
# In each case every second reply hits, in the order of the calls.
COIN = """

class Coin(Script):
    def __init__(self, model):
        super().__init__(model)
        self.asked = {}

    async def complete(self, request, timeout):
        reply = await super().complete(request, timeout)
        if self.model.model == "steady":
            return Reply("yes, always", usage=reply.usage, stop_reason="stop")
        task = request.messages[0].content
        self.asked[task] = self.asked.get(task, 0) + 1
        word = "no" if self.asked[task] % 2 else "yes"
        return Reply(f"{word}, {os.urandom(8).hex()}", usage=reply.usage, stop_reason="stop")


@pytest.hookimpl(specname="pytest_upskill_providers")
def pytest_upskill_more_providers(register):
    register("coin", Coin)
"""
ONE_AFTER_ANOTHER = "models:\n  half: {provider: coin, model: half, concurrency: 1}\n"


@pytest.fixture
def coins(project: Project) -> Project:
    project.pytester.makeconftest(f"import pytest\n{CONFTEST}{COIN}")
    (project.path / "upskill.yaml").write_text(ONE_AFTER_ANOTHER)
    project.skill(cases=3)
    return project


def summary(result: pytest.RunResult) -> list[str]:
    """Return the lines below the headline of the A/A table."""
    lines = result.outlines
    (start,) = (number for number, line in enumerate(lines) if " A/A: false alarms " in line)
    return lines[start + 1 : -1]


def said(result: pytest.RunResult) -> str:
    return " ".join(" ".join(summary(result)).split())


def validated(project: Project) -> dict[str, Any]:
    data = project.results()
    assert [error.message for error in jsonschema.Draft202012Validator(schema()).iter_errors(data)] == []
    return data


def test_only_the_arm_with_the_skill_is_called_twice_as_often(coins: Project, run: Run) -> None:
    result = run("--upskill-aa", "--upskill-runs=2", "--upskill-report=report", models="half")
    assert result.ret == 0
    assert len(coins.calls) == 3 * 2 * 2
    assert {line.split()[1] for line in coins.calls} == {"with"}
    assert "skill lift" not in result.stdout.str()
    lines = summary(result)
    # Which run of a case comes first under -n, and so how the halves came out, is another matter each time.
    del lines[lines.index(next(line for line in lines if line.startswith("the split as it was"))) : -1]
    assert lines == [
        "skill  model  cases  runs  hits  gate  any case lost  drop > 5 points",
        "demo   half       3   2+2   50%    6%          42.1%            29.6%",
        "false alarms: how often a rule calls this skill worse than itself, over all ways",
        "  to split the replies of each case into old and new runs. gate: this plugin's",
        "  own test, at 5 %. any case lost: some case hits less often than before. drop >",
        "  5 points: the hit rate falls by more than that",
        "demo on half: above 5 % for these very replies; over all that the model may",
        "  give, the gate stays below it",
        "a false alarm in the run's one gate: 6 % exactly; 104 of 2000 random splits, 5.2",
        "  % (95 % interval 4.3 % to 6.3 %). any case lost: 42.1 %; drop > 5 points: 29.6",
        "  %",
        f"report: {coins.path / 'report'}",
    ]
    data = validated(coins)
    assert {(sample["arm"], sample["run"]) for sample in data["samples"]} == {
        ("with_skill", run) for run in (1, 2, 3, 4)
    }
    (found,) = data["results"]
    assert found["gate"]["word"] == "passed"
    aa = found["aa"]
    assert (aa["runs"], aa["hits"], aa["replies"], aa["alarmed"]) == (2, 6, 12, False)
    assert [(case["runs"], case["old_hits"] + case["new_hits"]) for case in aa["cases"]] == [(2, 2)] * 3
    assert aa["false_alarms"]["gate"] == pytest.approx(13 / 216)
    assert data["run"]["aa"]["gates"] == 1
    assert data["run"]["aa"]["false_alarms"] == aa["false_alarms"]


def test_the_replies_of_earlier_runs_are_used_and_no_more_are_made_than_asked_for(coins: Project) -> None:
    coins.run("--upskill-runs=2", models="half")
    coins.forget_calls()
    coins.run("--upskill-aa", "--upskill-runs=2", models="half")
    assert len(coins.calls) == 3 * 2
    coins.forget_calls()
    result = coins.run("--upskill-aa", "--upskill-runs=2", "-k", "gate", models="half")
    assert result.ret == 0
    assert coins.calls == []
    assert "demo   half       3   2+2   25%" in result.stdout.str()


def test_a_gate_that_is_not_selected_splits_nothing(coins: Project) -> None:
    result = coins.run("--upskill-aa", "-k", "case-1 and not gate", "--upskill-report=report", models="half")
    assert result.ret == 0
    assert len(coins.calls) == 2
    assert said(result).startswith("demo on half: partial, as its gate was not selected: nothing was split")
    data = validated(coins)
    assert (data["results"][0]["aa"], data["run"]["aa"]) == (None, None)


def test_missing_samples_fail_the_gate_and_a_later_run_goes_on(coins: Project, run: Run) -> None:
    result = run("--upskill-aa", models="script:broken,half")
    assert result.ret == 1
    text = result.stdout.str()
    assert "demo on script-broken: gate incomplete" in text
    assert "demo on script-broken: incomplete: nothing was split" in said(result)
    assert "demo   half       3   1+1" in text
    coins.forget_calls()
    again = run("--upskill-aa", "--lf", "-k", "gate", models="script:broken,half")
    assert again.ret == 1
    assert set(coins.calls) == {"broken with Question case-1 of demo?"}


def test_a_model_without_noise_is_called_once_and_has_no_false_alarms_by_definition(coins: Project) -> None:
    result = coins.run(
        "--upskill-aa", "--upskill-runs=5", "--upskill-report=report", models="script:exact,half"
    )
    assert result.ret == 0
    assert sum(line.startswith("exact ") for line in coins.calls) == 3
    assert "demo   script-exact      3     1  100%     0              0                0" in summary(result)
    assert "demo on script-exact: no noise, so there is nothing to split: 0 by definition" in said(result)
    assert "a false alarm in the run's one gate: " in said(result)
    exact, half = validated(coins)["results"]
    assert (exact["aa"]["runs"], exact["aa"]["false_alarms"], exact["aa"]["p"]) == (1, None, None)
    assert half["aa"]["runs"] == 5


def test_equal_replies_of_a_case_count_as_one_run_and_that_is_said(coins: Project) -> None:
    result = coins.run("--upskill-aa", "--upskill-runs=3", models="coin:steady")
    assert result.ret == 0
    assert (
        "demo on coin-steady: 3 cases got one reply in several runs, counted as one run: case-1 (nothing to "
        "split), case-2 (nothing to split), case-3 (nothing to split)"
    ) in said(result)


def test_a_suite_that_cannot_raise_an_alarm_is_told_so(coins: Project) -> None:
    result = coins.run("--upskill-aa", models="half")
    assert (
        "demo on half: no split of these replies raises an alarm: they are too few, or too few of its cases both "
        "hit and miss"
    ) in said(result)


def test_of_several_gates_the_family_is_told(coins: Project) -> None:
    coins.skill("other", cases=4)
    result = coins.run("--upskill-aa", "--upskill-runs=3", "-q", models="half")
    assert said(result).startswith("skill")
    assert "a false alarm in any of the run's 2 gates (Holm): " in said(result)
    assert "false alarms: how often" not in said(result)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "--upskill-save-baseline",
            "--upskill-save-baseline cannot be used with --upskill-aa: an A/A run has no arm without the skill, so "
            "there is no baseline to save: save it in a run of its own",
        ),
        (
            "--upskill-runs=auto",
            "--upskill-runs=auto cannot be used with --upskill-aa: the replies are split into two halves of a fixed "
            "number of runs: give that number, such as --upskill-runs=5",
        ),
    ],
)
def test_what_cannot_be_asked_for_together_is_refused(
    coins: Project, run: Run, option: str, message: str
) -> None:
    result = run("--upskill-aa", option, models="half")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in result.errlines if line] == [f"ERROR: {message}"]
    assert coins.calls == []


def test_with_a_base_the_changed_skills_are_selected_and_no_arm_is_added(
    coins: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(monkeypatch)
    coins.skill("other", cases=2)
    tree = Tree(coins.path)
    tree.commit()
    edit(tree, "other")
    options = ("--upskill-aa", "--upskill-base=HEAD", "--upskill-report=report")
    result = run(*options, "--upskill-changed", models="half")
    assert result.ret == 0
    assert len(coins.calls) == 2 * 2
    assert {sample["arm"] for sample in coins.results()["samples"]} == {"with_skill"}
    assert [found["skill"] for found in coins.results()["results"]] == ["other"]
    run(*options, models="half")
    assert len(coins.calls) == 2 * 2 + 3 * 2
    assert {sample["arm"] for sample in coins.results()["samples"]} == {"with_skill"}
