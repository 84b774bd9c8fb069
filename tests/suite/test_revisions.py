"""What differs in the folder of a skill, told by real repositories."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_upskill.suite.git import Repository
from tests.repositories import Tree, alone, deleted, how, noting_git, revisions, two_skills

NAMES = ("with space", "zwei\nzeilen", "übung", 'quo"te', "back\\slash", "-dash", ":(top)x", "日本")


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    alone(monkeypatch)
    return two_skills(tmp_path / "project")


def _stage(tree: Tree) -> None:
    tree.write("skills/demo/SKILL.md", "staged\n")
    tree.git("add", "-A")


def _stage_and_delete(tree: Tree) -> None:
    tree.write("skills/demo/fresh.md", "staged\n")
    tree.git("add", "-A")
    (tree.top / "skills/demo/references/notes.md").unlink()


CHANGES: dict[str, Callable[[Tree], object]] = {
    "unstaged": lambda tree: tree.write("skills/demo/SKILL.md", "edited\n"),
    "staged": _stage,
    "staged and deleted": _stage_and_delete,
    "untracked": lambda tree: tree.write("skills/demo/new.md", "new\n"),
    "deleted": lambda tree: (tree.top / "skills/demo/references/notes.md").unlink(),
    "mode alone": lambda tree: (tree.top / "skills/demo/references/notes.md").chmod(0o755),
    "cases of another format": lambda tree: tree.write("skills/demo/evals/evals.json", "{}"),
    "recordings": lambda tree: tree.write("skills/demo/recordings/reader.jsonl", "{}\n"),
    "no longer tracked": lambda tree: tree.git("rm", "-q", "--cached", "skills/demo/SKILL.md"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_whatever_differs_in_its_folder_changes_a_skill_and_no_other(
    two: Tree, change: Callable[[Tree], object]
) -> None:
    assert how(two) is None
    change(two)
    assert how(two) == ""
    assert how(two, "skills/other") is None


@pytest.mark.parametrize(
    "name",
    [
        "skills/demo/.upskill/store.sqlite3",
        "skills/demo/__pycache__/a.pyc",
        "skills/demo/draft.tmp",
        "README.md",
    ],
)
def test_what_a_run_leaves_what_is_ignored_and_what_lies_elsewhere_changes_nothing(
    two: Tree, name: str
) -> None:
    two.write(".gitignore", "*.tmp\n")
    two.commit()
    two.write(name, "x")
    assert how(two) is None


def test_a_conflict_is_a_difference(two: Tree) -> None:
    two.git("checkout", "-q", "-b", "feature")
    two.skill("skills/demo", "mine\n")
    two.commit()
    two.git("checkout", "-q", "main")
    two.skill("skills/demo", "theirs\n")
    two.commit()
    two.git("merge", "-q", "feature", fails=True)
    assert how(two) == ""
    assert how(two, "skills/other") is None


def test_a_file_that_was_only_touched_does_not_differ_and_the_index_is_left_alone(two: Tree) -> None:
    index = two.top / ".git/index"
    os.utime(two.top / "skills/demo/SKILL.md", (1, 1))
    before = index.read_bytes()
    assert how(two) is None
    assert index.read_bytes() == before


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_folder_or_file_is_understood(two: Tree, name: str) -> None:
    root = two.skill(f"skills/{name}")
    two.write(f"{name}.md", "x")
    two.commit()
    repository = Repository(two.top)
    assert how(two, f"skills/{name}") is None
    (root / name).write_text("new")
    two.write(f"{name}.md", "y")
    assert how(two, f"skills/{name}") == ""
    assert {change.path for change in repository.changes("HEAD")} == {f"skills/{name}/{name}", f"{name}.md"}
    assert repository.read("HEAD", [f"{name}.md"]) == {f"{name}.md": b"x"}


def test_files_are_read_as_they_were(two: Tree) -> None:
    (two.top / "binary").write_bytes(b"a\n\0b\r\n")
    (two.top / "empty").touch()
    commit = two.commit()
    two.write("binary", "other")
    read = Repository(two.top).read(commit, ["binary", "empty", "skills", "nowhere"])
    assert {name: data for name, data in read.items() if name != "skills"} == {
        "binary": b"a\n\0b\r\n",
        "empty": b"",
    }
    assert Repository(two.top).read(commit, []) == {}


def test_a_moved_skill_is_named_by_where_it_came_from(two: Tree) -> None:
    two.git("mv", "skills/demo", "skills/fresh")
    with (two.top / "skills/fresh/SKILL.md").open("a") as file:
        file.write("and an edit\n")
    assert how(two, "skills/fresh") == "renamed from demo"
    two.git("mv", "skills/other", "other")
    assert how(two, "other") == "renamed from skills/other"
    assert deleted(two) == []


def test_a_skill_that_is_gone_is_named(two: Tree) -> None:
    two.git("rm", "-q", "-r", "skills/demo")
    (two.top / "skills/other/SKILL.md").unlink()
    assert deleted(two) == ["skills/demo", "skills/other"]
    two.git("commit", "-q", "-m", "gone")
    assert deleted(two) == ["skills/other"]
    assert deleted(two, "HEAD~1") == ["skills/demo", "skills/other"]


def test_a_skill_that_became_something_else_is_gone(two: Tree) -> None:
    two.git("mv", "skills/demo/SKILL.md", "skills/demo/README.md")
    assert deleted(two) == ["skills/demo"]


def test_a_skill_that_was_taken_out_of_the_index_alone_is_not_gone(two: Tree) -> None:
    two.git("rm", "-q", "--cached", "-r", "skills/demo")
    assert deleted(two) == []


def test_what_others_did_on_the_base_since_does_not_count(two: Tree) -> None:
    two.git("checkout", "-q", "-b", "feature")
    two.skill("skills/demo", "mine\n")
    two.commit()
    two.git("checkout", "-q", "main")
    two.skill("skills/other", "theirs\n")
    two.commit()
    two.git("checkout", "-q", "feature")
    assert how(two, ref="main") == ""
    assert how(two, "skills/other", "main") is None
    assert how(two, ref="HEAD") is None


def test_each_repository_is_asked_once(two: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        two.skill(f"skills/s{number}")
    asked = noting_git(tmp_path / "bin", monkeypatch)
    found = revisions(two, "main")
    for number in range(20):
        assert found.of_skill(two.top / f"skills/s{number}") == ""
    lines = asked.read_text().splitlines()
    assert [line.split()[2] for line in lines] == ["rev-parse", "merge-base", "diff", "status"]


_LETTERS = st.characters(exclude_characters="/\0", codec="utf-8")
_FILES = st.text(_LETTERS, min_size=1, max_size=20).filter(
    lambda name: name.lower() not in (".", "..", ".git", ".gitignore") and "\\" not in name
)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(_FILES, min_size=1, max_size=5, unique_by=str.casefold))
def test_files_are_told_by_the_names_that_they_have(two: Tree, names: list[str]) -> None:
    folder = two.top / "skills/demo/names"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    found = {change.path for change in Repository(two.top).changes("HEAD")}
    assert found == {f"skills/demo/names/{name}" for name in names}
