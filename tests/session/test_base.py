"""With --upskill-base a skill that changed has a third arm, as it stood there; what is the same is not called."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.repositories import Tree, alone, noting_git
from tests.session.conftest import Project
from tests.session.three import edit, said, three_skills

Run = Callable[..., pytest.RunResult]
BOTH = pytest.mark.parametrize("mode", [[], ["-n2"]], ids=["plain", "n2"])
BASE = "--upskill-base=main"


@pytest.fixture
def tree(project: Project, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """The skills `demo`, `other` and `third` with one case each, committed on `main`; `feature` is checked out."""
    alone(monkeypatch)
    found = three_skills(project)
    found.git("checkout", "-q", "-b", "feature")
    return found


def arms(project: Project) -> dict[str, list[str]]:
    """Return the arms of each skill that were measured, as the last report has them."""
    found: dict[str, list[str]] = {}
    for sample in project.results()["samples"]:
        found.setdefault(sample["skill"], []).append(sample["arm"])
    return found


def refused(result: pytest.RunResult) -> str:
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    (line,) = (line for line in result.stderr.lines if line.strip())
    return line.removeprefix("ERROR: ")


def words(result: pytest.RunResult) -> str:
    return " ".join((result.stdout.str() + result.stderr.str()).split())


def test_a_changed_skill_has_a_third_arm_and_the_others_have_two(
    project: Project, tree: Tree, run: Run
) -> None:
    edit(tree)
    result = run(BASE, "--upskill-report=report", "-v")
    result.assert_outcomes(passed=3 + 2 + 2 + 3)
    assert result.ret == 0
    two = ["with_skill", "without_skill"]
    assert arms(project) == {"demo": [*two, "old_skill"], "other": two, "third": two}
    assert len(project.calls) == 3 + 2 + 2
    out = result.stdout.str()
    assert "skills/demo/skill_meta.json::case-1[script-helps-old_skill-run1]" in out
    assert "skills/other/skill_meta.json::case-1[script-helps-old_skill-run1]" not in out


def test_a_pull_request_pays_for_one_arm_and_for_nothing_that_is_the_same(
    project: Project, tree: Tree, run: Run
) -> None:
    run()
    assert len(project.calls) == 6
    project.forget_calls()
    run(BASE, "--upskill-report=report").assert_outcomes(passed=6 + 3)
    assert project.calls == []
    edit(tree)
    tree.commit()
    run(BASE, "--upskill-report=report").assert_outcomes(passed=7 + 3)
    assert project.calls == ["helps with Question case-1 of demo?"]
    sources = {sample["arm"]: sample["reply"]["source"] for sample in project.results()["samples"][:3]}
    assert sources == {"with_skill": "call", "without_skill": "store", "old_skill": "store"}


def test_words_that_no_model_gets_make_no_third_arm(project: Project, tree: Tree) -> None:
    path = project.path / "skills/demo/SKILL.md"
    path.write_text(path.read_text().replace("A skill for tests.", "Use it in tests."))
    project.run(BASE, "--upskill-report=report", "skills/demo").assert_outcomes(passed=2 + 1)
    assert arms(project) == {"demo": ["with_skill", "without_skill"]}
    assert len(project.calls) == 2


@BOTH
def test_new_moved_and_deleted_skills(project: Project, tree: Tree, mode: list[str]) -> None:
    project.skill("fresh", cases=1)
    tree.git("mv", "skills/other", "skills/moved")
    edit(tree, "moved")
    (project.path / "skills/demo").rename(project.path / "demo")
    edit(Tree(project.path), "../demo")
    tree.git("rm", "-q", "-r", "skills/third")
    result = project.run(*mode, BASE, "--upskill-changed", "--upskill-report=report")
    result.assert_outcomes(passed=2 + 3 + 3 + 3)
    two = ["with_skill", "without_skill"]
    assert arms(project) == {"demo": [*two, "old_skill"], "fresh": two, "other": [*two, "old_skill"]}
    assert said(result) == (
        "upskill: 3 of 3 skills differ from main (demo renamed from skills/demo, fresh, other renamed from other); "
        "deleted: third"
    )


def test_with_inject_all_a_reference_that_is_gone_is_in_the_old_arm(project: Project, tree: Tree) -> None:
    project.skill("demo", cases=1, inject="all")
    notes = tree.write("skills/demo/references/notes.md", "Notes.\n")
    tree.commit()
    notes.unlink()
    project.run("--upskill-base=HEAD", "--upskill-report=report", "skills/demo").assert_outcomes(passed=3 + 1)
    tokens = {sample["arm"]: sample["reply"]["input_tokens"] for sample in project.results()["samples"]}
    # The scripted model counts the letters of the system prompt.
    block = "Files of this skill: references/notes.md\n\n## references/notes.md\n\nNotes.\n\n"
    assert tokens["old_skill"] - tokens["with_skill"] == len(block)


@BOTH
def test_with_upskill_changed_both_ask_git_once_for_one_commit(
    project: Project,
    tree: Tree,
    mode: list[str],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    edit(tree)
    tree.commit()
    tree.git("checkout", "-q", "main")
    edit(tree, "other")
    tree.commit()
    tree.git("checkout", "-q", "feature")
    log = noting_git(tmp_path_factory.mktemp("git") / "bin", monkeypatch)
    result = project.run(*mode, "--upskill-changed", BASE, "--upskill-report=report")
    result.assert_outcomes(passed=3 + 1)
    assert said(result) == "upskill: 1 of 3 skills differs from main (demo); 2 left out"
    assert arms(project) == {"demo": ["with_skill", "without_skill", "old_skill"]}
    # Others are the report's.
    asked = sorted(line.split()[2] for line in log.read_text().splitlines() if line.startswith("-c "))
    once = ["cat-file", "diff", "ls-files", "ls-tree", "merge-base", "rev-parse", "status"]
    assert asked == sorted(once * (3 if mode else 1))


def test_the_ini_file_may_name_the_base(project: Project, tree: Tree) -> None:
    (project.path / "tox.ini").write_text("[pytest]\nupskill_base = main\n")
    edit(tree)
    project.run("skills/demo").assert_outcomes(passed=3 + 1)


def test_old_replies_are_recorded_replayed_and_no_run_without_the_base_takes_them_for_stale(
    project: Project, tree: Tree
) -> None:
    edit(tree)
    result = project.run("--upskill-record", BASE, "skills/demo")
    place = "recordings: skills/demo/recordings/script-helps.jsonl"
    assert f"{place}: 3 replies (3 new)" in result.stdout.lines
    lines = (project.path / "skills/demo/recordings/script-helps.jsonl").read_text().splitlines()[1:]
    assert [json.loads(line)["arm"] for line in lines] == ["old_skill", "with_skill", "without_skill"]
    project.forget_calls()
    offline = ("--upskill-cache-dir=empty", "--upskill-cache=replay", "skills/demo")
    result = project.run(BASE, *offline)
    result.assert_outcomes(passed=3 + 1)
    assert "recordings:" not in result.stdout.str()
    result = project.run(*offline)
    result.assert_outcomes(passed=2 + 1)
    assert "recordings:" not in result.stdout.str()
    result = project.run("--upskill-record", "skills/demo")
    assert f"{place}: 3 replies (unchanged)" in result.stdout.lines
    tree.git("checkout", "-q", "main", "skills/demo/SKILL.md")
    result = project.run("--upskill-record", BASE, "skills/demo")
    assert f"{place}: 2 replies (1 stale removed)" in words(result)
    assert project.calls == []


# Prompts of a plugin


def prompts(project: Project, arm: str) -> None:
    conftest = project.path / "conftest.py"
    conftest.write_text(
        conftest.read_text() + "\ndef pytest_upskill_prompt(skill, case, arm):\n"
        f"    return ('<skill>' + skill.meta['description'] if arm {arm} else 'Be brief.', case.input)\n"
    )


def test_a_plugin_gets_the_old_skill_for_the_old_arm(project: Project, tree: Tree) -> None:
    prompts(project, "!= 'without_skill'")
    path = project.path / "skills/demo/SKILL.md"
    path.write_text(path.read_text().replace("A skill for tests.", "Use it."))
    project.run(BASE, "--upskill-report=report", "skills/demo").assert_outcomes(passed=3 + 1)
    tokens = {sample["arm"]: sample["reply"]["input_tokens"] for sample in project.results()["samples"]}
    assert tokens["old_skill"] - tokens["with_skill"] == len("A skill for tests.") - len("Use it.")


def test_a_plugin_that_forgets_the_old_arm_is_told_so(project: Project, tree: Tree) -> None:
    prompts(project, "== 'with_skill'")
    edit(tree)
    assert words(project.run(BASE, "skills/demo")).count(
        "pytest_upskill_prompt makes the prompt of old_skill without a skill: put it into every prompt but that of "
        "without_skill (arm != 'without_skill')"
    )
    assert project.calls == []


# Mistakes


@BOTH
def test_a_missing_ref_is_one_line_before_anything_is_collected(
    project: Project, tree: Tree, mode: list[str]
) -> None:
    assert refused(project.run(*mode, "--upskill-base=v9")) == (
        f"--upskill-base: there is no commit 'v9' in the repository {project.path}: name a branch, a tag or a commit "
        "that it has"
    )


def test_a_shallow_clone_without_the_ref_says_what_to_fetch(
    project: Project, tree: Tree, tmp_path: Path
) -> None:
    edit(tree)
    tree.commit()
    clone = tree.clone(tmp_path / "clone", "--depth=1", "--branch=feature")
    assert refused(project.run("--upskill-base=origin/main", f"--rootdir={clone.top}", str(clone.top))) == (
        f"--upskill-base: there is no commit 'origin/main' in the shallow clone {clone.top}: run "
        "'git fetch --depth=1 origin main:refs/remotes/origin/main', or in GitHub Actions give actions/checkout "
        "'fetch-depth: 0'"
    )


@BOTH
def test_a_skill_outside_of_git_and_one_that_was_broken_at_the_base_are_errors_of_their_own(
    project: Project, tree: Tree, mode: list[str]
) -> None:
    path = project.path / "skills/demo/SKILL.md"
    good = path.read_text()
    path.write_text("---\nname: demo\n")
    tree.commit()
    path.write_text(good)
    result = project.run(*mode, "--upskill-base=HEAD")
    result.assert_outcomes(errors=1, passed=6 if mode else 0)
    assert (
        "HEAD:skills/demo/SKILL.md:1: the frontmatter never ends: close it with a line of three hyphens; this is the "
        "skill at the base: mend it there, or name another --upskill-base"
    ) in words(result)
    (project.path / ".git").rename(project.path / "git")
    result = project.run(*mode, "--upskill-base=HEAD", "skills/demo")
    assert (
        f"{project.path}/skills/demo: this skill is in no git repository, so that nothing can be said of what "
        "differs: run without --upskill-base"
    ) in words(result)
    assert result.ret != 0
