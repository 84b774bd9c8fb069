"""With --upskill-changed only skills that differ from the base are collected, and the rest is said in one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.repositories import Tree, alone, noting_git
from tests.session.conftest import Project
from tests.session.three import edit, said, three_skills

Run = Callable[..., pytest.RunResult]
ID = "skills/other/skill_meta.json::case-1[script-helps-with_skill-run1]"
BOTH = pytest.mark.parametrize("mode", [[], ["-n2"]], ids=["plain", "n2"])


@pytest.fixture
def tree(project: Project, monkeypatch: pytest.MonkeyPatch) -> Tree:
    alone(monkeypatch)
    return three_skills(project)


def refused(result: pytest.RunResult) -> str:
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = (line for line in result.stderr.lines if line.strip())
    return line.removeprefix("ERROR: ")


def test_only_the_skill_that_differs_is_measured(project: Project, tree: Tree, run: Run) -> None:
    edit(tree)
    result = run("--upskill-changed", "--upskill-report=report")
    result.assert_outcomes(passed=3)
    assert result.ret == 0
    assert "upskill: 1 of 3 skills differs from HEAD (demo); 2 left out" in result.stdout.lines
    assert len(project.calls) == 2
    assert project.results()["run"]["changed"] == {
        "base": "HEAD",
        "common_ancestor": True,
        "differ": [{"skill": "demo", "how": None}],
        "left_out": ["skills/other", "skills/third"],
        "deleted": [],
        "everything": None,
    }


@pytest.mark.parametrize(
    ("arguments", "skills"),
    [([], 3), (["-n2", "-q"], 3), (["skills/other/skill_meta.json"], 1), ([ID], 1), ([ID, "-n2"], 1),
     (["--upskill-plan"], 3)],
    ids=["all", "n2", "file", "id", "id-n2", "plan"],
)  # fmt: skip
def test_where_none_differs_nothing_runs_and_nothing_fails(
    project: Project, tree: Tree, arguments: list[str], skills: int
) -> None:
    result = project.run("--upskill-changed", *arguments)
    assert result.ret == 0
    some = "1 skill differs" if skills == 1 else f"{skills} skills differ"
    assert f"upskill: 0 of {some} from HEAD; {skills} left out" in result.stdout.lines
    assert project.calls == []
    assert not (project.path / ".upskill").exists()


@BOTH
def test_ordinary_tests_run_as_ever(project: Project, tree: Tree, mode: list[str]) -> None:
    project.pytester.makepyfile("def test_unit(): pass")
    result = project.run(*mode, "--upskill-changed")
    result.assert_outcomes(passed=1)
    assert "upskill: 0 of 3 skills differ from HEAD; 3 left out" in result.stdout.lines


def test_an_id_selects_only_where_its_skill_differs(project: Project, tree: Tree) -> None:
    edit(tree, "demo")
    project.run("--upskill-changed", ID, ID.replace("other", "demo")).assert_outcomes(passed=1, deselected=1)
    assert len(project.calls) == 1


@BOTH
def test_a_run_that_somebody_else_left_without_tests_ends_as_ever(
    project: Project, tree: Tree, mode: list[str]
) -> None:
    project.pytester.makepyfile("def test_unit(): pass")
    assert project.run(*mode, "--upskill-changed", "-k", "nothing").ret == pytest.ExitCode.NO_TESTS_COLLECTED
    (project.path / "empty").mkdir()
    assert project.run(*mode, "--upskill-changed", "empty").ret == pytest.ExitCode.NO_TESTS_COLLECTED


@BOTH
def test_moved_and_deleted_skills_are_named(project: Project, tree: Tree, mode: list[str]) -> None:
    tree.git("mv", "skills/demo", "skills/fresh")
    text = (project.path / "skills/fresh/SKILL.md").read_text()
    tree.write("skills/fresh/SKILL.md", text.replace("name: demo", "name: fresh"))
    tree.git("rm", "-q", "-r", "skills/other")
    result = project.run(*mode, "--upskill-changed", "skills", "--upskill-report=report")
    assert said(result) == (
        "upskill: 1 of 2 skills differs from HEAD (fresh renamed from demo); 1 left out; deleted: other"
    )
    assert project.results()["run"]["changed"]["deleted"] == ["skills/other"]


def test_where_all_were_deleted_nothing_fails(project: Project, tree: Tree) -> None:
    tree.git("rm", "-q", "-r", "skills/demo", "skills/other", "skills/third")
    result = project.run("--upskill-changed")
    assert result.ret == 0
    assert said(result) == "upskill: no skill was found that differs from HEAD; deleted: demo, other, third"


def test_the_base_branch_of_a_pull_request_is_what_is_compared_with(
    project: Project, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.git("update-ref", "refs/remotes/origin/main", "HEAD")
    tree.git("checkout", "-q", "-b", "feature")
    edit(tree, "third")
    tree.commit()
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    assert said(project.run("--upskill-changed")) == (
        "upskill: 1 of 3 skills differs from origin/main (third); 2 left out"
    )
    assert said(project.run("--upskill-changed", "--upskill-base=HEAD")) == (
        "upskill: 0 of 3 skills differ from HEAD; 3 left out"
    )


# Mistakes


@BOTH
def test_a_missing_ref_and_a_missing_repository_are_one_line(
    project: Project, tree: Tree, mode: list[str]
) -> None:
    assert refused(project.run(*mode, "--upskill-changed", "--upskill-base=v9")) == (
        f"--upskill-base: there is no commit 'v9' in the repository {project.path}: name a branch, a tag or a commit "
        "that it has"
    )
    (project.path / ".git").rename(project.path / "git")
    result = project.run(*mode, "--upskill-changed", "skills/demo")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = result.stdout.lines if mode else result.stderr.lines
    assert (
        f"ERROR: {project.path / 'skills/demo'}: this skill is in no git repository, so that nothing can be said of "
        "what differs: run without --upskill-changed"
    ) in lines
    assert project.calls == []


def test_a_ref_is_never_an_option_of_git(project: Project, tree: Tree) -> None:
    assert refused(project.run("--upskill-changed", "--upskill-base=--all")) == (
        "--upskill-base: '--all' is not a git ref: give a branch, a tag or a commit"
    )


# Where git is asked


def test_git_is_asked_once_in_each_process(
    project: Project, tree: Tree, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = noting_git(tmp_path_factory.mktemp("git") / "bin", monkeypatch)
    project.run()
    assert asked.read_text() == ""
    project.run("--upskill-changed")
    once = asked.read_text().splitlines()
    assert len(once) == 3
    project.run("-n2", "--upskill-changed")
    assert len(asked.read_text().splitlines()) == 4 * len(once)


def test_repositories_below_the_rootdir_are_each_asked(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(monkeypatch)
    for name in ("first", "second"):
        project.skill(name, cases=1, folder=f"vendored/{name}")
        Tree(project.path / "vendored" / name).commit()
    (project.path / "vendored/second/second/notes.md").write_text("New.\n")
    assert said(project.run("--upskill-changed")) == (
        "upskill: 1 of 2 skills differs from HEAD (second); 1 left out"
    )


def test_a_rootdir_below_the_repository_is_understood(project: Project, tree: Tree) -> None:
    for name in ("conftest.py", "tox.ini", "skills"):
        (project.path / "sub").mkdir(exist_ok=True)
        tree.git("mv", name, f"sub/{name}")
    tree.commit()
    tree.write("sub/skills/demo/notes.md", "New.\n")
    shutil.rmtree(project.path / "sub/skills/other")
    result = project.run("--upskill-changed", "--upskill-report=report", "sub")
    assert f"rootdir: {project.path / 'sub'}" in result.stdout.lines
    assert "(demo); 1 left out; deleted: other" in said(result)
    assert project.results()["run"]["changed"]["deleted"] == ["skills/other"]


def test_the_ini_file_may_ask_for_it_too(project: Project, tree: Tree) -> None:
    (project.path / "tox.ini").write_text("[pytest]\nupskill_changed = true\nupskill_base = main\n")
    tree.commit()
    result = project.run()
    assert result.ret == 0
    assert said(result) == "upskill: 0 of 3 skills differ from main; 3 left out"


def test_a_folder_reached_through_a_link_is_left_out_once(project: Project, tree: Tree) -> None:
    (project.path / "linked").symlink_to(Path("skills"), target_is_directory=True)
    tree.commit()
    edit(tree)
    result = project.run("--upskill-changed")
    result.assert_outcomes(passed=3)
    assert said(result) == "upskill: 1 of 3 skills differs from HEAD (demo); 2 left out"
