"""The skill as it stood at the base, from git's objects: nothing is checked out and nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from pytest_upskill.errors import ConfigError, SuiteError
from pytest_upskill.suite import SKILL_FILE
from pytest_upskill.suite.matrix import OldSkill, Suite
from pytest_upskill.suite.prompt import skill_block
from pytest_upskill.suite.revisions import Comparison, Revisions
from pytest_upskill.suite.skill import read_skill
from pytest_upskill.suite.text import shown


class CommitTree:
    """The files of a folder as a commit holds them. What git does not keep counts as it is today.

    Args:
        comparison: the repository and the commit.
        folder: which folder of the repository, as `Comparison.name` names it.
        today: the folder in which the skill lies now.
        ref: how messages call the commit.

    Raises:
        SuiteError: the folder holds a submodule, whose files lie in another repository.
    """

    def __init__(self, comparison: Comparison, folder: str, today: Path, ref: str) -> None:
        self._repository = comparison.repository
        self._within = "" if folder == "." else f"{folder}/"
        self._ref = ref
        self.name = (comparison.repository.top / folder).name
        self._found = dict(self._files(comparison.commit, folder))
        own = comparison.name(today)
        for name in self._repository.ignored(own) if own else ():
            # What git names is relative to the repository, and `a/` is another repository in there.
            path = self._repository.top / name
            if path.is_relative_to(today) and not name.endswith("/"):
                self._found.setdefault(path.relative_to(today).as_posix(), path)

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def names(self, wanted: Callable[[str], bool]) -> Iterator[str]:
        return (
            name
            for name, place in self._found.items()
            if wanted(name) and (isinstance(place, str) or place.is_file())
        )

    def read(self, names: Sequence[str]) -> list[bytes]:
        places = [self._found[name] for name in names]
        held = iter(self._repository.contents([place for place in places if isinstance(place, str)]))
        return [next(held) if isinstance(place, str) else _data(place) for place in places]

    def shown(self, name: str = "") -> str:
        return f"{self._ref}:{self._within}{name}".removesuffix("/")

    def _files(self, commit: str, folder: str) -> Iterator[tuple[str, str | Path]]:
        links: dict[str, str] = {}
        for name, entry in self._repository.below(commit, folder).items():
            if entry.submodule:
                raise SuiteError(
                    f"{self.shown(name)}: a submodule within a skill, which cannot be read as it was: run "
                    "without --upskill-base, or keep its files in the repository of the skill"
                )
            if entry.link:
                links[f"{self._within}{name}"] = name
            else:
                yield name, entry.id
        for link, place in self._repository.followed(commit, links).items():
            yield links[link], place


def old_skill(
    suite: Suite, revisions: Revisions, case_files: Collection[str] = (), *, whole: bool = False
) -> OldSkill:
    """Return the skill of a suite as it stood at the base.

    Args:
        suite: as it is today; its cases are those of every arm.
        revisions: the comparisons with the base.
        case_files: files of cases, relative to the skill's folder, which are no part of the skill.
        whole: the frontmatter counts as well: somebody else makes the prompts, and may use it.

    Raises:
        ConfigError: the skill is in no repository, or the base is not there.
        SuiteError: what stood there cannot be read; with ref and path.
    """
    ref, root = revisions.base.ref, suite.skill.root
    inject = suite.first.inject
    block = skill_block(suite.skill, inject)
    if revisions.of_skill(root) is None:
        return OldSkill(ref, suite.skill, block, unchanged=True)
    comparison = revisions.holding(root)
    tree, origin = _tree(comparison, root, ref)
    if tree is None:
        return OldSkill(ref, None)
    try:
        skill = read_skill(tree, root, case_files)
        before = skill_block(skill, inject, tree)
    except SuiteError as error:
        words = "this is the skill at the base: mend it there, or name another --upskill-base"
        raise SuiteError(f"{error}; {words}") from None
    same = block == before and (not whole or skill.meta == suite.skill.meta)
    return OldSkill(ref, skill, before, unchanged=same, origin=origin)


def _tree(comparison: Comparison, root: Path, ref: str) -> tuple[CommitTree | None, str]:
    """Return what stood there, if anything did, and the folder from which it was moved."""
    real = root.resolve()
    if not comparison.commit:
        return None, ""  # in a new submodule
    if comparison.everything:
        top, commit = shown(comparison.repository.top), comparison.commit
        raise ConfigError(
            f"{shown(root)}: this skill is {comparison.everything}, so that it cannot be read as it was: run "
            f"'git -C {top} fetch --depth=1 origin {commit}', or run without --upskill-base"
        )
    origin = comparison.renamed_from(real)
    folder = origin if origin is not None else comparison.name(real)
    tree = CommitTree(comparison, folder or ".", real, ref)
    return (tree if SKILL_FILE in tree else None), origin or ""


def _data(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SuiteError(f"{shown(path)}: cannot be read: {error.strerror or error}") from None
