"""Whatever is selected and in whatever order: the same verdicts, and no call but those that were asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.loopback import Server
from tests.session.conftest import Project

Run = Callable[..., pytest.RunResult]
SAMPLE = "skills/demo/skill_meta.json::case-1[script-helps-with_skill-run1]"
GATE = "skills/demo/skill_meta.json::gate[script-helps]"


def verdicts(project: Project) -> list[tuple[Any, ...]]:
    rows = project.results()["results"]
    return [
        (
            row["skill"],
            row["model"],
            row["with_hits"],
            row["without_hits"],
            row["these_cases"],
            row["verdict"],
            row["gate"],
        )
        for row in rows
    ]


ORDERS = (
    (),
    ("-n0",),
    ("-n2",),
    ("-n2", "--dist=loadscope"),
    ("-n2", "--dist=loadfile"),
    ("-n2", "--dist=worksteal"),
    ("-n3", "--dist=load", "--maxschedchunk=1"),
)


def test_every_order_and_distribution_gives_the_same_verdicts_and_calls(project: Project) -> None:
    project.skill("demo", cases=6)
    project.skill("other", cases=4)
    seen = []
    for arguments in ORDERS:
        project.forget_calls()
        result = project.run(
            *arguments, "--upskill-cache=off", "--upskill-report=report", models="script:helps,script:never"
        )
        assert result.ret == 1  # `never` is below its target on 6 cases
        assert sorted(project.calls) == sorted(set(project.calls)), arguments
        assert len(project.calls) == 2 * 2 * 10, arguments
        seen.append(verdicts(project))
    assert all(found == seen[0] for found in seen)


SELECTIONS = (
    ((), 14),
    (("-n2", "--dist=worksteal"), 14),
    (("-k", "case-1"), 4),
    (("-m", "upskill"), 14),
    ((SAMPLE.replace("script-helps", "openai-any"),), 1),
    ((GATE.replace("script-helps", "openai-any"), "-n2"), 8),
    (("-k", "with_skill or gate", "-n2"), 14),
    (("--collect-only",), 0),
)


def test_a_server_gets_each_request_that_was_selected_once(project: Project) -> None:
    project.skill("demo", cases=4)
    project.skill("other", cases=3)
    for arguments, expected in SELECTIONS:
        with Server("yes") as server:
            result = project.run(
                *arguments,
                "--upskill-cache=off",
                "--upskill-base-url",
                f"{server.url}/v1",
                models="openai:any",
            )
            prompts = [request.prompt for request in server.requests]
        assert result.ret == 0, arguments
        assert len(prompts) == len(set(prompts)) == expected, arguments


@pytest.mark.parametrize("seed", [1, 2])
def test_a_shuffled_order_gives_the_same_verdicts(project: Project, seed: int) -> None:
    project.skill(cases=6)
    project.run("--upskill-cache=off", "--upskill-report=report")
    expected = verdicts(project)
    project.forget_calls()
    result = project.pytester.runpytest_subprocess(
        "-p",
        "no:anyio",
        "-p",
        "no:timeout",
        f"--randomly-seed={seed}",
        "--upskill-models=script:helps",
        "--upskill-cache=off",
        "--upskill-report=report",
        timeout=60,
    )
    assert result.ret == 0
    assert verdicts(project) == expected
    assert len(project.calls) == 12


def test_each_makes_every_call_once(project: Project) -> None:
    project.skill(cases=3)
    result = project.run("-n2", "--dist=each", "--upskill-cache=off")
    assert result.ret == 0
    result.assert_outcomes(passed=14)
    assert len(project.calls) == 6


def test_collecting_only_calls_nothing_and_makes_no_store(project: Project, run: Run) -> None:
    project.skill(cases=3)
    result = run("--collect-only", "-q")
    assert result.ret == 0
    result.stdout.fnmatch_lines([SAMPLE.replace("[", "[[]"), GATE.replace("[", "[[]")])
    assert project.calls == []
    assert not (project.path / ".upskill").exists()


@pytest.mark.parametrize("flag", ["--setup-plan", "--setup-only"])
def test_a_plan_of_setups_calls_nothing(project: Project, flag: str) -> None:
    project.skill(cases=3)
    assert project.run(flag).ret == 0
    assert project.calls == []


def test_one_sample_by_its_id_makes_one_call_and_gives_no_verdict(project: Project, run: Run) -> None:
    project.skill(cases=3)
    result = run(SAMPLE, "--upskill-report=report")
    result.assert_outcomes(passed=1)
    assert len(project.calls) == 1
    (row,) = project.results()["results"]
    assert row["verdict"] is None
    assert row["gate"] is None
    result.stdout.fnmatch_lines(["demo   script-helps * partial"])


def test_one_gate_by_its_id_measures_its_whole_matrix(project: Project, run: Run) -> None:
    project.skill(cases=3)
    project.skill("other", cases=3)
    result = run(GATE)
    result.assert_outcomes(passed=1)
    assert len(project.calls) == 6
    result.stdout.fnmatch_lines(["demo   script-helps * +100 *"])


def test_a_keyword_selects_an_arm_without_its_namesake(project: Project, run: Run) -> None:
    project.skill(cases=3)
    run("-k", "with_skill").assert_outcomes(passed=3)
    assert all(" with " in line for line in project.calls)
    assert len(project.calls) == 3


def test_tags_are_keywords(project: Project) -> None:
    root = project.skill(cases=2)
    text = (root / "skill_meta.json").read_text()
    (root / "skill_meta.json").write_text(
        text.replace('"id": "case-2",', '"id": "case-2", "tags": ["slow-one"],')
    )
    project.run("-k", "slow-one").assert_outcomes(passed=2, deselected=3)


def test_the_marker_selects_skills(project: Project, run: Run) -> None:
    project.skill(cases=1)
    project.pytester.makepyfile("def test_unit(): pass")
    run("-m", "upskill").assert_outcomes(passed=3)
    run("-m", "not upskill").assert_outcomes(passed=1)
    assert len(project.calls) == 2


def test_last_failed_runs_the_gate_again_from_the_store(project: Project, run: Run) -> None:
    project.skill(cases=10)
    assert run(models="script:never").ret == 1
    project.forget_calls()
    again = run("--lf", models="script:never")
    assert again.ret == 1
    again.assert_outcomes(failed=1)
    assert project.calls == []


def test_failed_first_keeps_ordinary_tests_in_front(project: Project) -> None:
    project.skill(cases=10)
    project.pytester.makepyfile("def test_unit(): pass")
    assert project.run(models="script:never").ret == 1
    lines = project.run("--ff", "-v", models="script:never").stdout.str()
    assert lines.index("test_unit") < lines.index("case-1[") < lines.index("::gate[")


def test_stopping_at_an_ordinary_failure_calls_nothing(project: Project) -> None:
    project.skill(cases=3)
    project.pytester.makepyfile("def test_unit(): assert False")
    for flag in ("-x", "--maxfail=1"):
        project.run(flag).assert_outcomes(failed=1)
    assert project.calls == []


def test_stopping_early_reads_ahead_no_further_than_its_window(project: Project) -> None:
    project.skill(cases=30)
    (project.path / "upskill.yaml").write_text(
        "models:\n  few: {provider: script, model: broken, concurrency: 2}\n"
    )
    result = project.run("-x", models="few")
    result.assert_outcomes(errors=1)
    assert len(project.calls) <= 4


def test_a_skill_file_collects_its_skill(project: Project, run: Run) -> None:
    project.skill(cases=1)
    run("skills/demo/SKILL.md").assert_outcomes(passed=3)
    run("skills/demo/SKILL.md", "skills/demo/skill_meta.json").assert_outcomes(passed=3)


def test_a_folder_found_twice_through_a_link_is_one_skill(project: Project, run: Run) -> None:
    root = project.skill(cases=1)
    (project.path / "linked").symlink_to(root.parent, target_is_directory=True)
    run().assert_outcomes(passed=3)


def test_two_trees_with_one_node_id_are_two_skills(
    project: Project, run: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project.skill("demo", cases=1)
    other = tmp_path_factory.mktemp("elsewhere")
    elsewhere = project.skill("demo-b", cases=1, folder=str(other / "skills"))
    elsewhere.rename(elsewhere.with_name("demo"))
    result = run(".", str(other), "--upskill-report=report")
    result.assert_outcomes(passed=6)
    assert [row["skill"] for row in project.results()["results"]] == ["demo", "demo-b"]
