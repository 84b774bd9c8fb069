"""The ref to compare with: which commit it is, and what is said where it is none or git cannot be asked."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from pytest_upskill.errors import ConfigError
from pytest_upskill.suite.git import Repository
from tests.repositories import Tree, alone, how, revisions, two_skills


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    alone(monkeypatch)
    return two_skills(tmp_path / "project")


def refusal(tree: Tree, ref: str, place: str = "--upskill-base") -> str:
    with pytest.raises(ConfigError) as caught:
        revisions(tree, ref, place=place).of(tree.top)
    return str(caught.value)


@pytest.fixture
def shallow(two: Tree, tmp_path: Path) -> Tree:
    """A clone of depth 1 of a branch that changed `demo`, as a workflow has it."""
    two.git("checkout", "-q", "-b", "feature")
    two.skill("skills/demo", "mine\n")
    two.commit()
    return two.clone(tmp_path / "shallow", "--depth=1", "--branch=feature")


def test_a_ref_that_a_shallow_clone_lacks_is_fetched_with_the_command_that_is_said(shallow: Tree) -> None:
    said = refusal(shallow, "origin/main", "GITHUB_BASE_REF")
    assert said == (
        f"GITHUB_BASE_REF: there is no commit 'origin/main' in the shallow clone {shallow.top}: run "
        "'git fetch --depth=1 origin main:refs/remotes/origin/main', or in GitHub Actions give actions/checkout "
        "'fetch-depth: 0'"
    )
    command = re.findall("'git ([^']*)'", said)[0]
    shallow.git(*command.split())
    assert how(shallow, ref="origin/main") == ""
    assert how(shallow, "skills/other", "origin/main") is None


def test_without_a_common_ancestor_the_ref_itself_is_compared(shallow: Tree) -> None:
    shallow.git("fetch", "-q", "--depth=1", "origin", "main:refs/remotes/origin/main")
    found = revisions(shallow, "origin/main").of(shallow.top)
    assert found is not None
    assert found.direct
    assert found.commit == shallow.git("rev-parse", "origin/main")


def test_with_a_common_ancestor_that_is_what_is_compared(two: Tree) -> None:
    ancestor = two.git("rev-parse", "HEAD")
    two.git("checkout", "-q", "-b", "feature")
    two.commit()
    found = revisions(two, "main").of(two.top)
    assert found is not None
    assert (found.direct, found.commit) == (False, ancestor)


def test_other_refs_that_are_missing_say_how_to_mend_it(two: Tree, shallow: Tree, tmp_path: Path) -> None:
    full = two.clone(tmp_path / "full", "--branch=feature")
    where = f"in the repository {full.top}"
    assert refusal(full, "main") == (
        f"--upskill-base: there is no commit 'main' {where}: did you mean 'origin/main'?"
    )
    assert refusal(full, "origin/next") == (
        f"--upskill-base: there is no commit 'origin/next' {where}: run 'git fetch origin "
        "next:refs/remotes/origin/next'"
    )
    assert refusal(full, "featur") == (
        f"--upskill-base: there is no commit 'featur' {where}: name a branch, a tag or a commit that it has (did "
        "you mean 'feature'?)"
    )
    assert refusal(shallow, "v1.0") == (
        f"--upskill-base: there is no commit 'v1.0' in the shallow clone {shallow.top}: run 'git fetch --unshallow "
        "--tags', or in GitHub Actions give actions/checkout 'fetch-depth: 0'"
    )


@pytest.mark.parametrize("ref", ["^main", "main..HEAD", "HEAD:skills", "main\nmain", "main^{tree}", " "])
def test_what_is_no_single_commit_is_no_ref(two: Tree, ref: str) -> None:
    assert "there is no commit" in refusal(two, ref)


def test_a_tag_and_a_commit_are_refs(two: Tree) -> None:
    commit = two.git("rev-parse", "HEAD")
    two.git("tag", "-a", "v1", "-m", "first")
    two.skill("skills/demo", "more\n")
    two.commit()
    assert (
        how(two, ref="v1")
        == how(two, ref=commit)
        == how(two, ref=commit[:10])
        == how(two, ref="HEAD~1")
        == ""
    )


def test_a_repository_without_a_commit_says_so(two: Tree, tmp_path: Path) -> None:
    tree = Tree(tmp_path / "new")
    tree.skill()
    assert refusal(tree, "HEAD", "--upskill-changed") == (
        f"--upskill-changed: the repository {tree.top} has no commit yet to compare with: commit once, or run "
        "without --upskill-changed"
    )


def test_a_skill_outside_of_git_is_refused(two: Tree, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        revisions(two).of_skill(tmp_path / "elsewhere")
    assert str(caught.value) == (
        f"{tmp_path / 'elsewhere'}: this skill is in no git repository, so that nothing can be said of what differs: "
        "run without --upskill-changed"
    )


def test_a_repository_of_somebody_else_is_refused_with_the_command(
    two: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert refusal(two, "HEAD") == (
        f"git refuses to read the repository {two.top}, as it belongs to another user: if you trust it, run "
        f"'git config --global --add safe.directory {two.top}'"
    )


def test_without_git_the_message_says_so(two: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(two.top))
    assert refusal(two, "HEAD") == (
        "git was not found on PATH, and is asked what differs from the base: install git, or run without "
        "--upskill-changed and --upskill-base"
    )


def fake_git(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / "git").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_a_git_that_hangs_is_not_waited_for(
    two: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_git(tmp_path / "bin", "exec sleep 60", monkeypatch)
    with pytest.raises(ConfigError) as caught:
        Repository(two.top, limit=0.2).changes("HEAD")
    assert str(caught.value) == f"git diff failed in {two.top}: it did not finish within 0.2 s"


def test_a_git_that_fails_is_quoted(two: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (two.top / ".git/index").write_bytes(b"broken")
    said = refusal(two, "HEAD")
    assert said.startswith(f"git diff failed in {two.top}: ")
    assert "index" in said
    fake_git(tmp_path / "bin", "exit 3", monkeypatch)
    assert refusal(two, "HEAD") == f"git rev-parse failed in {two.top}: it gave no reason"
