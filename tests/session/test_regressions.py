"""A repository with a history: what a gate says of a commit that harms, rewords or improves a skill, and calls."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.repositories import Tree, alone
from tests.session.conftest import Project

Run = Callable[..., pytest.RunResult]
BASE = "--upskill-base=main"
CASES = 12
GRADED = '''
import itertools, os, re
from pytest_upskill import Reply, Usage

COUNT = itertools.count(1)


class Graded:
    """Hits in the share of its cases that the skill names; QUALITY_LOST is what the provider has lost since."""

    version = "1"
    deterministic = False

    def __init__(self, model): ...

    async def open(self): ...

    async def complete(self, request, timeout):
        found = re.search(r"Quality (\\\\d+)", request.system)
        task = request.messages[0].content
        number = int(re.search(r"case-(\\\\d+)", task)[1])
        with open(os.environ["CALLS_LOG"], "a") as log:
            log.write(f"{found[1] if found else 'without'} {number}\\\\n")
        hits = (int(found[1]) if found else 4) - int(os.environ.get("QUALITY_LOST", "0"))
        broken = f"Broken {number}." in request.system
        text = "yes" if number <= hits and not broken else "no"
        return Reply(f"{text}, this is reply {next(COUNT)} of {os.getpid()}", usage=Usage(10, 5), stop_reason="stop")

    async def close(self): ...


def pytest_upskill_providers(register):
    register("graded", Graded)
'''


@pytest.fixture
def tree(project: Project, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """A skill by which all of its 12 cases are hit, committed on `main`; `feature` is checked out."""
    alone(monkeypatch)
    project.pytester.makeconftest(GRADED.replace("\\\\", "\\"))
    project.skill(cases=CASES)
    tree = Tree(project.path)
    (project.path / ".gitignore").write_text("*\n!skills/\n!skills/**\n!conftest.py\n!tox.ini\n!.gitignore\n")
    write(tree, "Quality 12")
    tree.commit()
    tree.git("checkout", "-q", "-b", "feature")
    return tree


def write(tree: Tree, *lines: str, folder: str = "skills/demo") -> None:
    text = "\n".join(lines)
    tree.write(f"{folder}/SKILL.md", f"---\nname: demo\ndescription: A skill for tests.\n---\n\n{text}\n")


def measured(project: Project, *arguments: str) -> pytest.RunResult:
    """Run against the base; what was called is in `project.calls`."""
    project.forget_calls()
    return project.run(BASE, "--upskill-report=report", *arguments, models="graded:model")


def main_ran(project: Project) -> None:
    assert project.run(models="graded:model").ret == 0
    assert len(project.calls) == 2 * CASES


def words(result: pytest.RunResult) -> str:
    return " ".join(result.stdout.str().split())


def aged(project: Project, days: float) -> None:
    """Let the store's replies have come so many days earlier."""
    with sqlite3.connect(project.path / ".upskill/store.sqlite3") as store:
        store.execute("UPDATE replies SET created = ?", (time.time() - days * 86_400,))
    store.close()


def of_skill(project: Project, quality: int) -> int:
    return sum(line.startswith(f"{quality} ") for line in project.calls)


@pytest.mark.parametrize("mode", [[], ["-n2"]], ids=["plain", "n2"])
def test_a_commit_that_harms_a_skill_fails_and_pays_for_its_own_arm(
    project: Project, tree: Tree, mode: list[str]
) -> None:
    main_ran(project)
    write(tree, "Quality 5")
    tree.commit()
    result = measured(project, *mode)
    assert result.ret == 1
    said = words(result)
    assert "Regressed: 12/12 -> 5/12 hits on the same cases (p = 0.01, exact stratified test" in said
    assert "test over 2 comparisons); most changed: case-10 1/1 -> 0/1" in said
    assert "since main: 12/12 -> 5/12 hits with the skill (-58 points" in said
    assert "look: pytest -v --upskill-models=graded:model --upskill-base=main --upskill-cache=replay" in said
    assert Counter(line.split()[0] for line in project.calls) == {"5": CASES}
    (gate,) = project.results()["results"]
    assert gate["change"]["against"] == {"name": "main", "state": "changed", "left_out": [], "notes": []}
    regressed, hurts = gate["change"]["comparisons"]
    assert (regressed["question"], regressed["proven"], regressed["path"]) == ("regressed", True, "suite")
    assert (hurts["question"], hurts["proven"]) == ("hurts", False)


def test_a_commit_that_only_rewords_a_skill_passes(project: Project, tree: Tree) -> None:
    main_ran(project)
    write(tree, "Quality 12", "In other words.")
    tree.commit()
    result = measured(project)
    assert result.ret == 0
    assert len(project.calls) == CASES
    assert "since main: 12/12 -> 12/12 hits with the skill (+0 points" in words(result)
    assert "no proven change" in words(result)


def test_a_commit_that_improves_a_skill_passes_and_says_so(project: Project, tree: Tree) -> None:
    write(tree, "Quality 4")
    tree.commit()
    tree.git("checkout", "-q", "-B", "main")
    project.run("--upskill-gate=off", models="graded:model")
    tree.git("checkout", "-q", "-b", "better")
    write(tree, "Quality 12")
    tree.commit()
    result = measured(project)
    assert result.ret == 0
    assert len(project.calls) == CASES
    assert "since main: 4/12 -> 12/12 hits with the skill (+67 points" in words(result)
    assert "better" in words(result)


def test_a_commit_that_leaves_a_skill_alone_calls_nothing_and_tests_nothing(
    project: Project, tree: Tree
) -> None:
    main_ran(project)
    tree.write("skills/demo/LICENSE.md", "free")
    tree.commit()
    result = measured(project)
    assert (result.ret, project.calls) == (0, [])
    assert "unchanged since main" in words(result)
    (gate,) = project.results()["results"]
    assert gate["change"]["comparisons"] == []
    assert gate["change"]["family"] == 0


def test_a_skill_that_is_moved_and_harmed_is_followed(project: Project, tree: Tree) -> None:
    main_ran(project)
    (tree.top / "skills/elsewhere").mkdir()
    tree.git("mv", "skills/demo", "skills/elsewhere/demo")
    tree.commit()
    assert measured(project).ret == 0
    assert project.calls == []
    write(tree, "Quality 5", folder="skills/elsewhere/demo")
    tree.commit()
    result = measured(project)
    assert result.ret == 1
    assert "Regressed: 12/12 -> 5/12 hits" in words(result)
    assert Counter(line.split()[0] for line in project.calls) == {"5": CASES}


def test_one_broken_case_is_run_further_and_fails(project: Project, tree: Tree) -> None:
    main_ran(project)
    write(tree, "Quality 12", "Broken 7.")
    tree.commit()
    result = measured(project)
    assert result.ret == 1
    assert "Regressed: case-7 12/12 -> 0/12 hits, on this one of 12 cases" in words(result)
    # The new arm, and in both arms what the case is run further: to 3, then to 12.
    assert Counter(line.split()[1] for line in project.calls) == {
        str(number): 1 + (22 if number == 7 else 0) for number in range(1, CASES + 1)
    }
    assert "): case-7 is worse" in words(result)
    assert "up to 324 more calls where a gate suspects a fall" in words(result)
    again = measured(project)
    assert (again.ret, project.calls) == (1, [])
    # So does the command that the failure names.
    assert measured(project, "--upskill-cache=replay").ret == 1


def test_without_further_calls_a_broken_case_is_not_settled_and_says_so(project: Project, tree: Tree) -> None:
    main_ran(project)
    write(tree, "Quality 12", "Broken 7.")
    result = measured(project, "--upskill-no-extra")
    assert (result.ret, len(project.calls)) == (0, CASES)
    assert "1 passed (1 inconclusive)" in words(result)
    assert (
        "Not settled: 1 case fell by half or more, and it was not run often enough to tell luck from loss: case-7 "
        "1/1 -> 0/1." in words(result)
    )


def test_a_provider_that_drifted_fails_no_skill(
    project: Project, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    main_ran(project)
    aged(project, 30)
    monkeypatch.setenv("QUALITY_LOST", "6")
    write(tree, "Quality 12", "In other words.")
    tree.commit()
    result = measured(project, "--upskill-gate=min_pass_rate=0.1")
    assert result.ret == 0, words(result)
    # 12 new ones; the six that fell are run twice more in both arms, and five fresh runs of the old skill (of which
    # those two are there) show that it fell as well.
    assert len(project.calls) == of_skill(project, 12) == 12 + 6 * 2 * 2 + (12 * 5 - 6 * 2)


def test_one_earlier_reply_of_the_new_skill_keeps_no_drift_from_being_found(
    project: Project, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    main_ran(project)
    write(tree, "Quality 12", "In other words.")
    tree.commit()
    project.run(
        BASE, "skills/demo/skill_meta.json::case-1[graded-model-with_skill-run1]", models="graded:model"
    )
    aged(project, 30)
    monkeypatch.setenv("QUALITY_LOST", "6")
    assert measured(project, "--upskill-gate=min_pass_rate=0.1").ret == 0


def test_old_replies_of_todays_skill_prove_no_fall_and_take_no_calls(
    project: Project, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUALITY_LOST", "8")
    project.run("--upskill-gate=off", models="graded:model")
    aged(project, 60)
    monkeypatch.delenv("QUALITY_LOST")
    tree.git("checkout", "-q", "-B", "main")
    write(tree, "Quality 12", "In other words.")
    tree.commit()
    project.run("--upskill-gate=off", models="graded:model")
    tree.git("checkout", "-q", "-b", "back")
    write(tree, "Quality 12")
    tree.commit()
    result = measured(project, "--upskill-gate=min_pass_rate=0.1")
    assert result.ret == 0
    # The cases that fell are run further; that the old replies of the others fell as well nobody can tell any more.
    assert (
        "Further runs were to settle that, and could not be had: the replies with the skill are of another day"
        in (words(result))
    )


def test_a_fall_against_old_replies_is_confirmed_by_fresh_ones(project: Project, tree: Tree) -> None:
    main_ran(project)
    aged(project, 30)
    write(tree, "Quality 8", "In other words.")
    tree.commit()
    result = measured(project)
    assert result.ret == 1
    assert "Regressed" in words(result)


def test_gates_of_a_run_are_one_family(project: Project, tree: Tree) -> None:
    for number in range(6):
        project.skill(f"other-{number}", cases=CASES)
        other = f"---\nname: other-{number}\ndescription: Other.\n---\n\nQuality 12 of {number}\n"
        tree.write(f"skills/other-{number}/SKILL.md", other)
    tree.commit()
    tree.git("checkout", "-q", "-B", "main")
    project.run(models="graded:model")
    write(tree, "Quality 5")
    result = measured(project)
    assert result.ret == 1
    changes = {each["skill"]: each["change"] for each in project.results()["results"]}
    # Only what changed is tested, so that the others cost no power.
    assert {change["family"] for change in changes.values()} == {2}
    assert [name for name, change in changes.items() if change["against"]["state"] == "changed"] == ["demo"]


def test_a_run_without_a_base_asks_for_no_further_calls(project: Project, tree: Tree) -> None:
    write(tree, "Quality 12", "Broken 7.")
    project.run("--upskill-gate=off", models="graded:model")
    assert len(project.calls) == 2 * CASES
