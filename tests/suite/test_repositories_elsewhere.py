"""Repositories that lie elsewhere than one would think: links, submodules, worktrees, and what leads astray."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_upskill.suite.git import top_of
from tests.repositories import Tree, alone, deleted, how, revisions, two_skills


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    alone(monkeypatch)
    return two_skills(tmp_path / "project")


def test_a_worktree_is_a_repository_of_its_own(two: Tree, tmp_path: Path) -> None:
    two.git("worktree", "add", "-q", str(tmp_path / "worktree"), "-b", "aside")
    aside = Tree(tmp_path / "worktree")
    aside.skill("skills/demo", "here\n")
    assert how(aside) == ""
    assert how(two) is None


def test_a_repository_above_the_project_is_asked(two: Tree) -> None:
    found = revisions(two, home=two.top / "skills")
    two.skill("skills/demo", "edited\n")
    assert found.of_skill(two.top / "skills/demo") == ""
    assert found.of_skill(two.top / "skills/other") is None


def test_repositories_below_the_project_are_each_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(monkeypatch)
    first, second = Tree(tmp_path / "a/first"), Tree(tmp_path / "a/second")
    for each in (first, second):
        each.skill("demo")
        each.commit()
    second.skill("demo", "edited\n")
    found = revisions(first, home=tmp_path / "a")
    assert found.of_skill(first.top / "demo") is None
    assert found.of_skill(second.top / "demo") == ""
    assert found.of(tmp_path / "a") is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("GIT_DIR", "{other}/.git"), ("GIT_INDEX_FILE", "{other}/.git/index"), ("GIT_WORK_TREE", "{other}"),
     ("GIT_ICASE_PATHSPECS", "1"), ("GIT_EXTERNAL_DIFF", "false")],
)  # fmt: skip
def test_what_a_hook_of_git_sets_leads_nowhere_else(
    two: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    other = Tree(tmp_path / "other")
    other.commit()
    two.skill("skills/demo", "edited\n")
    monkeypatch.setenv(name, value.format(other=other.top))
    assert how(two) == ""
    assert how(two, "skills/other") is None


@pytest.mark.parametrize(
    "setting",
    ["diff.relative=true", "diff.renames=false", "core.quotePath=true", "diff.external=false", "diff.noprefix=true",
     "status.showUntrackedFiles=no", "color.ui=always", "diff.mnemonicPrefix=true", "core.fsmonitor=/bin/false"],
)  # fmt: skip
def test_no_setting_of_a_user_changes_the_answer(two: Tree, setting: str) -> None:
    two.git("config", *setting.split("=", 1))
    two.git("mv", "skills/demo", "skills/fresh")
    two.write("skills/other/ü.md", "new")
    assert how(two, "skills/fresh") == "renamed from demo"
    assert how(two, "skills/other") == ""
    assert deleted(two) == []


def test_an_empty_folder_called_git_is_no_repository(two: Tree) -> None:
    (two.top / "skills/demo/.git").mkdir()
    assert top_of(two.top / "skills/demo") == two.top


# Links


@pytest.fixture
def linked(two: Tree) -> Tree:
    """`links/demo` leads to a skill in `library`."""
    two.skill("library/demo")
    (two.top / "links").mkdir()
    (two.top / "links/demo").symlink_to("../library/demo")
    two.commit()
    return two


def test_a_link_to_a_skill_differs_with_what_it_leads_to(linked: Tree) -> None:
    assert how(linked, "links/demo") is None
    linked.skill("library/demo", "edited\n")
    assert how(linked, "links/demo") == ""


def test_a_link_that_leads_elsewhere_differs(linked: Tree) -> None:
    (linked.top / "links/demo").unlink()
    (linked.top / "links/demo").symlink_to("../skills/other")
    assert how(linked, "links/demo") == ""
    assert how(linked, "skills/other") is None


def test_a_skill_differs_with_what_links_in_it_lead_to(two: Tree) -> None:
    (two.top / "skills/demo/README.md").symlink_to("../../README.md")
    two.write("docs/a.md", "a\n")
    (two.top / "skills/other/docs").symlink_to("../../docs")
    two.commit()
    assert how(two) is None
    two.write("README.md", "edited\n")
    assert how(two) == ""
    assert how(two, "skills/other") is None
    (two.top / "docs/a.md").unlink()
    assert how(two, "skills/other") == ""


def test_a_project_that_is_reached_through_a_link_is_the_same(two: Tree, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(two.top)
    two.skill("skills/demo", "edited\n")
    found = revisions(two, home=tmp_path / "link")
    assert found.of_skill(tmp_path / "link/skills/demo") == ""
    assert found.of_skill(tmp_path / "link/skills/other") is None


# Submodules


@pytest.fixture
def module(two: Tree, tmp_path: Path) -> Tree:
    """The submodule `vendored` of `two`, with a skill in it."""
    source = Tree(tmp_path / "source")
    source.skill("demo")
    source.skill("other")
    source.commit()
    two.git("submodule", "--quiet", "add", f"file://{source.top}", "vendored")
    two.commit()
    return Tree(two.top / "vendored")


def test_a_submodule_is_compared_with_the_commit_that_the_base_holds_of_it(two: Tree, module: Tree) -> None:
    found = revisions(two)
    assert found.of_skill(module.top / "demo") is None
    module.skill("demo", "edited\n")
    assert revisions(two).of_skill(module.top / "demo") == ""
    module.commit()
    assert revisions(two).of_skill(module.top / "demo") == ""
    assert revisions(two).of_skill(module.top / "other") is None
    two.commit()
    assert revisions(two).of_skill(module.top / "demo") is None
    assert revisions(two, "HEAD~1").of_skill(module.top / "demo") == ""


def test_a_submodule_that_is_new_is_new_as_a_whole(two: Tree, module: Tree) -> None:
    assert revisions(two, "HEAD~1").of_skill(module.top / "demo") == "in a new submodule"


def test_a_submodule_without_the_commit_of_the_base_differs_as_a_whole(
    two: Tree, module: Tree, tmp_path: Path
) -> None:
    commit = module.git("rev-parse", "HEAD")
    source = Tree(tmp_path / "source")
    source.skill("demo", "edited\n")
    source.commit()
    module.git("pull", "-q")
    two.commit()
    clone = two.clone(tmp_path / "clone")
    clone.git("submodule", "--quiet", "update", "--init", "--depth=1")
    said = revisions(clone, "HEAD~1").of_skill(clone.top / "vendored/other")
    assert said == f"in a submodule without the commit {commit[:12]} of the base"


def test_a_project_within_a_submodule_is_compared_with_its_own_ref(two: Tree, module: Tree) -> None:
    module.git("checkout", "-q", "-b", "work")
    module.skill("demo", "edited\n")
    module.commit()
    assert revisions(module, "main", home=module.top).of_skill(module.top / "demo") == ""
    assert revisions(module, "HEAD", home=module.top).of_skill(module.top / "demo") is None


def test_a_repository_in_another_that_does_not_know_it_is_compared_with_its_own_ref(two: Tree) -> None:
    inner = Tree(two.top / "inner")
    inner.skill("demo")
    inner.commit()
    assert revisions(two).of_skill(inner.top / "demo") is None
    inner.skill("demo", "edited\n")
    assert revisions(two).of_skill(inner.top / "demo") == ""
