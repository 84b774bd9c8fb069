"""The skill as it stood at the base: read from real repositories, and held against the one of the working tree."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_upskill.errors import ConfigError, SuiteError
from pytest_upskill.suite.matrix import OldSkill, Suite, build
from pytest_upskill.suite.old import old_skill
from pytest_upskill.suite.prompt import skill_block
from pytest_upskill.suite.skill import load_skill
from pytest_upskill.types import OLD, WITH, WITHOUT, Case, CaseFile, Check, Model
from tests.repositories import Tree, alone, deleted, how, noting_git, revisions, two_skills

CASE_FILES = ("skill_meta.json", "mine/cases.toml")
Inject = Literal["body", "all"]


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    alone(monkeypatch)
    return two_skills(tmp_path / "project")


def suite(root: Path, inject: Inject = "body") -> Suite:
    cases = (Case("a", "Do it.", (Check("contains", "x"),)),)
    return Suite(load_skill(root, CASE_FILES), (CaseFile(root / "skill_meta.json", cases, inject=inject),))


def old(
    tree: Tree,
    folder: str = "skills/demo",
    ref: str = "HEAD",
    inject: Inject = "body",
    *,
    whole: bool = False,
) -> OldSkill:
    return old_skill(suite(tree.top / folder, inject), revisions(tree, ref), CASE_FILES, whole=whole)


def block_at(
    tree: Tree, ref: str, tmp_path: Path, folder: str = "skills/demo", inject: Inject = "body"
) -> str:
    """Return the block of a skill as somebody gets it who checks the ref out."""
    tree.git("worktree", "add", "-q", "--detach", str(tmp_path / "aside"), ref)
    found = skill_block(load_skill(tmp_path / "aside" / folder, CASE_FILES), inject)
    tree.git("worktree", "remove", "--force", str(tmp_path / "aside"))
    return found


def append(tree: Tree, text: str, name: str = "skills/demo/SKILL.md") -> None:
    with (tree.top / name).open("a") as file:
        file.write(text)


def test_a_changed_skill_is_read_as_it_stood(two: Tree) -> None:
    before = suite(two.top / "skills/demo")
    append(two, "Edited.\n")
    found = old(two, ref="main")
    assert (found.ref, found.unchanged, found.measured, found.origin) == ("main", False, True, "")
    assert found.skill is not None
    assert (found.skill.name, found.skill.meta, found.skill.files) == (
        "demo",
        {"name": "demo", "description": "demo."},
        ("references/notes.md",),
    )
    assert found.skill.body == before.skill.body
    assert found.block == skill_block(before.skill)


def test_what_is_committed_since_the_base_counts_as_today(two: Tree) -> None:
    two.git("checkout", "-q", "-b", "feature")
    append(two, "Edited.\n")
    two.commit()
    assert old(two, ref="main").measured
    assert old(two, ref="HEAD").unchanged


def test_what_others_did_on_the_base_since_is_not_the_old_skill(two: Tree) -> None:
    before = skill_block(load_skill(two.top / "skills/demo"))
    two.git("checkout", "-q", "-b", "feature")
    append(two, "Mine.\n")
    two.commit()
    two.git("checkout", "-q", "main")
    append(two, "Theirs.\n")
    two.commit()
    two.git("checkout", "-q", "feature")
    assert old(two, ref="main").block == before


# What is the same


SAME: dict[str, Callable[[Tree], object]] = {
    "nothing": lambda tree: None,
    "a touched file": lambda tree: (tree.top / "skills/demo/SKILL.md").touch(),
    "the description": lambda tree: tree.write(
        "skills/demo/SKILL.md",
        (tree.top / "skills/demo/SKILL.md").read_text().replace("description: demo.", "description: Else."),
    ),
    "the cases": lambda tree: tree.write("skills/demo/skill_meta.json", "[]"),
    "cases of another format": lambda tree: tree.write("skills/demo/mine/cases.toml", "x"),
    "recordings": lambda tree: tree.write("skills/demo/recordings/m.jsonl", "{}"),
    "its own tests": lambda tree: tree.write("skills/demo/tests/test_it.py", ""),
    "a hidden file": lambda tree: tree.write("skills/demo/.notes", "x"),
    "the text of a file that is only listed": lambda tree: tree.write("skills/demo/references/notes.md", "x"),
    "line ends": lambda tree: (tree.top / "skills/demo/SKILL.md").write_bytes(
        (tree.top / "skills/demo/SKILL.md").read_bytes().replace(b"\n", b"\r\n")
    ),
    "another skill": lambda tree: tree.skill("skills/other", "more\n"),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME.keys())
def test_a_skill_is_unchanged_where_a_model_gets_the_same(
    two: Tree, change: Callable[[Tree], object]
) -> None:
    change(two)
    found = old(two)
    assert (found.unchanged, found.measured) == (True, False)
    assert found.skill is not None
    assert found.block == skill_block(load_skill(two.top / "skills/demo", CASE_FILES))


def test_with_prompts_of_a_plugin_the_frontmatter_counts_too(two: Tree) -> None:
    SAME["the description"](two)
    found = old(two, whole=True)
    assert found.measured
    assert found.skill is not None
    assert found.skill.meta["description"] == "demo."
    assert old(two, "skills/other", whole=True).unchanged


OTHER: dict[str, Callable[[Tree], object]] = {
    "the body": lambda tree: append(tree, "more\n"),
    "the name": lambda tree: tree.write(
        "skills/demo/SKILL.md",
        (tree.top / "skills/demo/SKILL.md").read_text().replace("name: demo", "name: x"),
    ),
    "a new file": lambda tree: tree.write("skills/demo/scripts/run.sh", "x"),
    "a file that is gone": lambda tree: (tree.top / "skills/demo/references/notes.md").unlink(),
}


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER.keys())
@pytest.mark.parametrize("staged", [False, True], ids=["unstaged", "staged"])
def test_a_skill_is_another_where_a_model_gets_something_else(
    two: Tree, change: Callable[[Tree], object], staged: bool, tmp_path: Path
) -> None:
    change(two)
    if staged:
        two.git("add", "-A")
    found = old(two)
    assert found.measured
    assert found.block == block_at(two, "HEAD", tmp_path)


def test_with_inject_all_the_texts_of_references_are_those_of_the_commit(two: Tree, tmp_path: Path) -> None:
    two.write("skills/demo/references/deep/more.md", "More.\r\n")
    (two.top / "skills/demo/references/picture.png").write_bytes(b"\x89PNG\xff")
    two.commit()
    (two.top / "skills/demo/references/notes.md").unlink()
    two.write("skills/demo/references/deep/more.md", "Else.\n")
    found = old(two, inject="all")
    assert found.measured
    assert "## references/notes.md\n\nNotes of the demo." in found.block
    assert found.block == block_at(two, "HEAD", tmp_path, inject="all")
    two.git("checkout", "-q", "HEAD", ".")
    assert old(two, inject="all").unchanged


def test_what_git_ignores_counts_as_it_is_today(two: Tree) -> None:
    two.write(".gitignore", "*.log\nbuilt/\n")
    two.commit()
    two.write("skills/demo/run.log", "x")
    two.write("skills/demo/references/built/api.md", "Built.\n")
    two.write("skills/demo/skill_meta.json", "[]")
    assert old(two, inject="all").unchanged
    append(two, "more\n")
    assert "## references/built/api.md\n\nBuilt." in old(two, inject="all").block
    assert "Files of this skill: references/built/api.md, references/notes.md, run.log\n" in old(two).block


def test_files_stand_in_the_same_order_as_on_the_disk(two: Tree, tmp_path: Path) -> None:
    for name in ("a/x.md", "a.md", "a-b/y.md", "B.md", "b.md", "zwei teile.md", "übung.md"):
        two.write(f"skills/demo/{name}", name)
    two.commit()
    append(two, "more\n")
    assert old(two).block == block_at(two, "HEAD", tmp_path)


_NAMES = st.from_regex(r"[a-cA-C.\-_ é]{1,4}(/[a-c.\-]{1,3})?(\.md)?", fullmatch=True).filter(
    lambda name: not any(part in (".", "..", "") or part != part.strip() for part in name.split("/"))
)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(_NAMES, min_size=1, max_size=6, unique_by=str.casefold))
def test_whatever_files_there_are_the_old_block_is_that_of_a_checkout(two: Tree, names: list[str]) -> None:
    root = two.top / "skills/demo"
    shutil.rmtree(root / "references", ignore_errors=True)
    for name in names:
        path = root / "references" / name
        if not any(parent.is_file() for parent in path.parents) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"Of {name}.\n")
    commit = two.commit()
    before = skill_block(load_skill(root, CASE_FILES), "all")
    shutil.rmtree(root / "references")
    found = old_skill(suite(root, "all"), revisions(two, commit), CASE_FILES)
    assert found.block == before
    two.git("checkout", "-q", "HEAD", ".")


# Where it stood


def test_a_new_skill_has_no_old_one(two: Tree) -> None:
    two.skill("skills/fresh")
    found = old(two, "skills/fresh")
    assert (found.skill, found.unchanged, found.measured, found.block) == (None, False, False, "")
    two.commit()
    assert old(two, "skills/fresh", "HEAD~1").skill is None
    assert old(two, "skills/fresh").unchanged


def test_a_file_that_became_a_skill_is_a_new_skill(two: Tree) -> None:
    two.skill("docs/guide").joinpath("SKILL.md").rename(two.top / "docs/guide/GUIDE.md")
    two.commit()
    (two.top / "skills/guide").mkdir()
    two.git("mv", "docs/guide/GUIDE.md", "skills/guide/SKILL.md")
    assert old(two, "skills/guide").skill is None
    assert how(two, "skills/guide") == ""


def test_a_folder_of_files_that_became_a_skill_is_a_new_skill(two: Tree) -> None:
    two.write("skills/plain/notes.md", "Notes.\n")
    two.commit()
    two.skill("skills/plain")
    assert old(two, "skills/plain").skill is None


@pytest.mark.parametrize("kind", ["committed", "staged", "unstaged"])
def test_a_renamed_skill_is_followed(two: Tree, kind: str, tmp_path: Path) -> None:
    base = two.git("rev-parse", "HEAD")
    (two.top / "skills/demo").rename(two.top / "skills/fresh")
    append(two, "Edited.\n", "skills/fresh/SKILL.md")
    if kind != "unstaged":
        two.git("add", "-A")
    if kind == "committed":
        two.git("commit", "-q", "-m", "moved")
    found = old(two, "skills/fresh", base)
    assert (found.origin, found.measured) == ("skills/demo", True)
    assert found.skill is not None
    assert found.skill.root == two.top / "skills/fresh"
    assert found.block == block_at(two, base, tmp_path)
    assert how(two, "skills/fresh", base) == "renamed from demo"


def test_a_skill_that_was_moved_and_nothing_else_is_unchanged(two: Tree) -> None:
    (two.top / "plugin").mkdir()
    (two.top / "skills/demo").rename(two.top / "plugin/demo")
    found = old(two, "plugin/demo")
    assert (found.origin, found.unchanged) == ("skills/demo", True)


def test_a_skill_without_a_name_of_its_own_has_that_of_its_old_folder(two: Tree, tmp_path: Path) -> None:
    text = (two.top / "skills/demo/SKILL.md").read_text()
    two.write("skills/demo/SKILL.md", text.replace("name: demo\n", ""))
    two.commit()
    two.git("mv", "skills/demo", "skills/fresh")
    found = old(two, "skills/fresh")
    assert found.skill is not None
    assert (found.skill.name, found.measured) == ("demo", True)
    assert found.block == block_at(two, "HEAD", tmp_path)


def test_one_that_was_written_anew_under_its_name_is_followed_and_not_called_deleted(two: Tree) -> None:
    two.git("rm", "-q", "-r", "skills/demo", "skills/other")
    two.write("new/place/SKILL.md", "---\nname: demo\n---\n\nNot a word is the same.\n")
    two.write("new/else/SKILL.md", "---\nname: else\n---\n\nNothing of this was there.\n")
    asked = revisions(two)
    found = old_skill(suite(two.top / "new/place"), asked, CASE_FILES)
    assert (found.origin, found.measured) == ("skills/demo", True)
    assert old_skill(suite(two.top / "new/else"), asked, CASE_FILES).skill is None
    comparison = asked.of(two.top)
    assert comparison is not None
    assert comparison.deleted() == [two.top / "skills/other"]
    assert deleted(two) == ["skills/demo", "skills/other"]


def test_two_skills_that_change_places_are_each_held_against_what_stood_there(
    two: Tree, tmp_path: Path
) -> None:
    (two.top / "skills/demo").rename(two.top / "aside")
    (two.top / "skills/other").rename(two.top / "skills/demo")
    (two.top / "aside").rename(two.top / "skills/other")
    assert old(two, "skills/demo").block == block_at(two, "HEAD", tmp_path, "skills/demo")


def test_a_skill_at_the_top_of_its_repository_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(monkeypatch)
    tree = Tree(tmp_path / "demo")
    tree.write("SKILL.md", "---\nname: demo\n---\n\nThe first.\n")
    tree.write("references/a.md", "A.\n")
    tree.commit()
    tree.write("SKILL.md", "---\nname: demo\n---\n\nThe second.\n")
    found = old(tree, ".", inject="all")
    assert "The first." in found.block
    assert "## references/a.md\n\nA." in found.block
    assert found.measured


# Links


def test_links_to_files_are_read_as_they_led_at_the_commit(two: Tree, tmp_path: Path) -> None:
    two.write("shared/words.md", "Shared words.\n")
    (tmp_path / "outside.md").write_text("From outside.\n")
    folder = two.top / "skills/demo/references"
    links = {
        "words.md": "../../../shared/words.md",
        "out.md": "../../../../outside.md",
        "twice.md": "words.md",
        "folder": "../../../shared",
        "nowhere.md": "missing.md",
        "round.md": "round.md",
    }
    for name, target in links.items():
        (folder / name).symlink_to(target)
    two.commit()
    before = skill_block(load_skill(two.top / "skills/demo", CASE_FILES), "all")
    two.write("shared/words.md", "Other words.\n")
    found = old(two, inject="all")
    assert found.block == before
    assert "## references/twice.md\n\nShared words." in found.block
    assert "## references/out.md\n\nFrom outside." in found.block
    assert found.measured
    assert old(two).unchanged


def test_a_skill_that_is_reached_through_a_link_is_the_one_in_its_folder(two: Tree) -> None:
    two.write("links/readme", "")
    (two.top / "links/demo").symlink_to("../skills/demo")
    two.commit()
    assert old(two, "links/demo").unchanged
    append(two, "more\n")
    assert old(two, "links/demo").block == old(two).block


# Submodules, worktrees, shallow clones


@pytest.fixture
def module(two: Tree, tmp_path: Path) -> Tree:
    """The submodule `vendored` of `two`, with the skill `demo`."""
    source = Tree(tmp_path / "source")
    source.skill("demo")
    source.commit()
    two.git("submodule", "--quiet", "add", f"file://{source.top}", "vendored")
    two.commit()
    return Tree(two.top / "vendored")


def test_a_skill_in_a_submodule_is_read_at_the_commit_that_the_base_holds(two: Tree, module: Tree) -> None:
    before = skill_block(load_skill(module.top / "demo"))
    append(module, "more\n", "demo/SKILL.md")
    module.commit()
    assert old(two, "vendored/demo").block == before
    two.commit()
    assert old(two, "vendored/demo").unchanged
    assert old(two, "vendored/demo", "HEAD~1").block == before
    assert old(two, "vendored/demo", "HEAD~2").skill is None


def test_a_submodule_without_the_commit_of_the_base_is_an_error_with_the_command(
    two: Tree, module: Tree, tmp_path: Path
) -> None:
    commit = module.git("rev-parse", "HEAD")
    source = Tree(tmp_path / "source")
    append(source, "more\n", "demo/SKILL.md")
    source.commit()
    module.git("pull", "-q")
    two.commit()
    clone = two.clone(tmp_path / "clone")
    clone.git("submodule", "--quiet", "update", "--init", "--depth=1")
    with pytest.raises(ConfigError) as caught:
        old(clone, "vendored/demo", "HEAD~1")
    assert str(caught.value) == (
        f"{clone.top}/vendored/demo: this skill is in a submodule without the commit {commit[:12]} of the base, so "
        f"that it cannot be read as it was: run 'git -C {clone.top}/vendored fetch --depth=1 origin {commit}', or "
        "run without --upskill-base"
    )
    Tree(clone.top / "vendored").git("fetch", "-q", "--depth=1", "origin", commit)
    assert old(clone, "vendored/demo", "HEAD~1").measured


def test_a_submodule_within_a_changed_skill_is_an_error_that_names_it(two: Tree, tmp_path: Path) -> None:
    source = Tree(tmp_path / "source")
    source.write("a.md")
    source.commit()
    two.git("submodule", "--quiet", "add", f"file://{source.top}", "skills/demo/references/lib")
    two.commit()
    assert old(two).unchanged
    append(two, "more\n")
    with pytest.raises(SuiteError) as caught:
        old(two)
    assert str(caught.value) == (
        "HEAD:skills/demo/references/lib: a submodule within a skill, which cannot be read as it was: run without "
        "--upskill-base, or keep its files in the repository of the skill"
    )


def test_in_a_worktree_the_base_is_read_too(two: Tree, tmp_path: Path) -> None:
    two.git("worktree", "add", "-q", str(tmp_path / "worktree"), "-b", "aside")
    aside = Tree(tmp_path / "worktree")
    before = skill_block(load_skill(aside.top / "skills/demo"))
    append(aside, "here\n")
    assert old(aside, ref="main").block == before
    assert old(two, ref="main").unchanged


def test_a_shallow_clone_that_has_the_ref_is_enough(two: Tree, tmp_path: Path) -> None:
    before = skill_block(load_skill(two.top / "skills/demo"))
    two.git("checkout", "-q", "-b", "feature")
    append(two, "mine\n")
    two.commit()
    clone = two.clone(tmp_path / "shallow", "--depth=1", "--branch=feature")
    clone.git("fetch", "-q", "--depth=1", "origin", "main:refs/remotes/origin/main")
    assert old(clone, ref="origin/main").block == before


def test_nothing_is_written_and_the_index_is_left_alone(two: Tree) -> None:
    append(two, "more\n")
    index = (two.top / ".git/index").read_bytes()
    before = {path: path.stat().st_mtime_ns for path in two.top.rglob("*")}
    assert old(two).measured
    assert {path: path.stat().st_mtime_ns for path in two.top.rglob("*")} == before
    assert (two.top / ".git/index").read_bytes() == index


def test_of_skills_that_do_not_differ_git_is_not_asked_one_by_one(
    two: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        two.skill(f"skills/s{number}")
    two.commit()
    append(two, "more\n")
    log = noting_git(tmp_path / "bin", monkeypatch)
    asked = revisions(two, "main")
    for number in range(10):
        assert old_skill(suite(two.top / f"skills/s{number}"), asked).unchanged
    assert old_skill(suite(two.top / "skills/demo"), asked).measured
    words = [line.split()[2] for line in log.read_text().splitlines()]
    assert words == ["rev-parse", "merge-base", "diff", "status", "ls-tree", "ls-files", "cat-file"]


# Mistakes


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"---\nname: demo\n---\ncaf\xe9\n", ":4: not UTF-8 (byte 0xe9): save the file as UTF-8"),
        (b"---\nname: demo\n", ":1: the frontmatter never ends: close it with a line of three hyphens"),
    ],
    ids=["no UTF-8", "no end"],
)
def test_a_skill_md_that_cannot_be_read_at_the_base_is_named_with_ref_and_path(
    two: Tree, data: bytes, words: str
) -> None:
    good = (two.top / "skills/demo/SKILL.md").read_bytes()
    (two.top / "skills/demo/SKILL.md").write_bytes(data)
    two.commit()
    (two.top / "skills/demo/SKILL.md").write_bytes(good)
    with pytest.raises(SuiteError) as caught:
        old(two, ref="main")
    assert str(caught.value) == (
        f"main:skills/demo/SKILL.md{words}; this is the skill at the base: mend it there, or name another "
        "--upskill-base"
    )


def test_a_file_name_at_the_base_that_cannot_be_shown_is_named_with_the_ref(two: Tree) -> None:
    path = two.write("skills/demo/two\nlines.txt", "x")
    two.commit()
    path.unlink()
    with pytest.raises(SuiteError) as caught:
        old(two, ref="main")
    assert str(caught.value) == (
        "main:skills/demo: the file name 'two\\nlines.txt' cannot be shown to a model: rename the file; this is the "
        "skill at the base: mend it there, or name another --upskill-base"
    )


def test_a_skill_outside_of_git_is_refused(two: Tree, tmp_path: Path) -> None:
    root = tmp_path / "elsewhere"
    shutil.copytree(two.top / "skills/demo", root)
    asked = revisions(two, asked_by="--upskill-base")
    with pytest.raises(ConfigError) as caught:
        old_skill(suite(root), asked)
    assert str(caught.value) == (
        f"{root}: this skill is in no git repository, so that nothing can be said of what differs: run without "
        "--upskill-base"
    )


def test_a_repository_without_a_commit_says_what_to_run_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(monkeypatch)
    tree = Tree(tmp_path / "new")
    tree.skill()
    with pytest.raises(ConfigError) as caught:
        old_skill(suite(tree.top / "skills/demo"), revisions(tree, asked_by="--upskill-base"))
    assert str(caught.value) == (
        f"--upskill-base: the repository {tree.top} has no commit yet to compare with: commit once, or run without "
        "--upskill-base"
    )


# The matrix


def test_a_changed_skill_has_a_third_arm_and_others_have_two(two: Tree) -> None:
    model = Model("m", "reader", "m")
    append(two, "more\n")
    two.skill("skills/fresh")

    def arms(folder: str) -> list[str]:
        own = suite(two.top / folder)
        own = Suite(own.skill, own.files, old_skill(own, revisions(two)))
        return [sample.arm for sample in build(own, [model], {"m": 1}).samples]

    assert arms("skills/demo") == [WITH, WITHOUT, OLD]
    assert arms("skills/other") == arms("skills/fresh") == [WITH, WITHOUT]
