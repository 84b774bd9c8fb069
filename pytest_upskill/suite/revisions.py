"""What differs from a git ref: one comparison for each repository, and what it says of a skill's folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_upskill.errors import ConfigError, nearest
from pytest_upskill.suite import SKILL_FILE
from pytest_upskill.suite.git import Change, Repository, top_of
from pytest_upskill.suite.skill import name_in

# What a run itself leaves behind, also where no .gitignore names it.
_LEFT_BEHIND = frozenset({".upskill", "__pycache__"})
WORKING_TREE = "HEAD"


@dataclass(frozen=True, slots=True)
class Base:
    """The ref to compare with, the option or the variable that names it, and the options that ask for it."""

    ref: str
    place: str
    asked_by: str = "--upskill-changed"


class Comparison:
    """What differs between a commit and the working tree of one repository.

    Args:
        repository: which one.
        commit: its id.
        changes: all that differs.
        direct: the commit is the ref itself, as there is no common ancestor of it and HEAD.
        everything: why all that is in the repository counts as changed; empty where it does not.
    """

    def __init__(
        self,
        repository: Repository,
        commit: str,
        changes: Iterable[Change],
        *,
        direct: bool = False,
        everything: str = "",
    ) -> None:
        self.repository = repository
        self.commit = commit
        self.changes = [change for change in changes if _LEFT_BEHIND.isdisjoint(change.path.split("/"))]
        self.direct = direct
        self.everything = everything
        self._touched = {part for path in self._paths() for part in _with_parents(path)}
        self._moved: dict[Path, str | None] = {}

    def name(self, path: Path) -> str | None:
        """Return the path as the repository names it, or None for one outside."""
        try:
            return path.relative_to(self.repository.top).as_posix()
        except ValueError:
            return None

    def holds(self, path: Path) -> bool:
        return path.is_relative_to(self.repository.top)

    @property
    def touches_python(self) -> bool:
        return any(path.endswith(".py") for path in self._paths())

    def touches(self, path: Path) -> bool:
        """Tell whether a file, or anything in a folder, differs. The path holds no link."""
        return self.name(path) in self._touched

    def renamed_from(self, folder: Path) -> str | None:
        """Return the folder from which the skill in a folder was moved, or None.

        Where git sees no rename, as nobody has staged it or much was written anew, it came from where a skill of the
        same name is gone.
        """
        if folder not in self._moved:
            self._moved[folder] = self._origin(folder)
        return self._moved[folder]

    def deleted(self) -> list[Path]:
        """Return the folders in which a skill was and is no more, but for those from which one was moved so far."""
        gone = [path for change in self.changes if (path := _gone(change)) is not None and _is_skill(path)]
        followed = self._moved.values()
        files = [self.repository.top / path for path in gone if _parent(path) not in followed]
        return [file.parent for file in files if not file.exists()]

    def read(self, paths: Iterable[Path]) -> dict[Path, bytes]:
        """Return files as they were; those left out that were not there."""
        names = {name: path for path in paths if (name := self.name(path)) is not None}
        return {names[name]: data for name, data in self.repository.read(self.commit, names).items()}

    def _origin(self, folder: Path) -> str | None:
        path = self.name(folder / SKILL_FILE)
        changes = [change for change in self.changes if change.path == path]
        origin = next((change.origin for change in changes if change.origin is not None), None)
        if origin is not None:
            return _parent(origin) if _is_skill(origin) else None
        new = bool(changes) and all(change.status in "A?" for change in changes)
        return self._of_same_name(folder) if new else None

    def _of_same_name(self, folder: Path) -> str | None:
        files = [gone / SKILL_FILE for gone in self.deleted()]
        if not files:
            return None
        try:
            name = name_in((folder / SKILL_FILE).read_bytes(), folder.name)
        except OSError:
            return None  # said where the skill itself is read
        before = self.read(files)
        same = (file for file, data in before.items() if name and name_in(data, file.parent.name) == name)
        found = next(same, None)
        return None if found is None else self.name(found.parent)

    def _paths(self) -> Iterator[str]:
        for change in self.changes:
            yield change.path
            if change.origin is not None:
                yield change.origin


class Revisions:
    """The comparisons of one process; git is asked once for each repository. All raise `ConfigError`.

    Args:
        base: the ref, in every repository that is asked.
        home: the folder of the project. A submodule of its repository is compared with the commit that the base
            holds of it.
    """

    def __init__(self, base: Base, home: Path) -> None:
        self.base = base
        self._home = home
        self._compared: dict[Path, Comparison] = {}

    @property
    def compared(self) -> list[Comparison]:
        """What was asked for so far."""
        return list(self._compared.values())

    def of(self, path: Path) -> Comparison | None:
        """Return the comparison of the repository that holds a path, or None where none does."""
        top = top_of(path)
        if top is None:
            return None
        if top not in self._compared:
            self._compared[top] = self._as_submodule(top) or self._against_base(top)
        return self._compared[top]

    def holding(self, root: Path) -> Comparison:
        """Return the comparison of the repository that holds a skill's folder.

        Raises:
            ConfigError: none does.
        """
        comparison = self.of(root.resolve())
        if comparison is None:
            raise ConfigError(
                f"{root}: this skill is in no git repository, so that nothing can be said of what differs: run "
                f"without {self.base.asked_by}"
            )
        return comparison

    def touches(self, path: Path) -> bool:
        """Tell whether a file differs, in any repository that was asked."""
        return any(each.touches(path) for each in self._compared.values())

    def of_skill(self, root: Path) -> str | None:
        """Return how a skill's folder differs: None where it does not, words where more is to be said than that.

        Raises:
            ConfigError: the folder is in no repository.
        """
        real = root.resolve()
        comparison = self.holding(root)
        if comparison.everything or comparison.touches(real):
            origin = comparison.renamed_from(real)
            return f"renamed from {_told(origin, comparison.name(real))}" if origin else comparison.everything
        return "" if any(self._touches_elsewhere(path) for path in _linked(root, real)) else None

    def _touches_elsewhere(self, path: Path) -> bool:
        # By its folder: the path itself may be a link into another repository.
        comparison = self.of(path.parent)
        return comparison is not None and comparison.touches(path)

    def _against_base(self, top: Path) -> Comparison:
        repository = Repository(top)
        commit = repository.commit(self.base.ref)
        if commit is None:
            raise ConfigError(f"{self.base.place}: {_missing(self.base, repository)}")
        ancestor = commit if self.base.ref == WORKING_TREE else repository.merge_base(commit)
        changes = repository.changes(ancestor or commit)
        return Comparison(repository, ancestor or commit, changes, direct=ancestor is None)

    def _as_submodule(self, top: Path) -> Comparison | None:
        outer, home = top_of(top.parent), top_of(self._home)
        if outer is None or home is None or not outer.is_relative_to(home):
            return None
        around = self.of(outer)
        if around is None:
            return None
        name = top.relative_to(outer).as_posix()
        entry = around.repository.entries(around.commit, [name]).get(name)
        if entry is None or not entry.submodule:
            new = any(change.path == name for change in around.changes)
            return Comparison(Repository(top), "", [], everything="in a new submodule") if new else None
        repository = Repository(top)
        if repository.commit(entry.id) is None:
            why = f"in a submodule without the commit {entry.id[:12]} of the base"
            return Comparison(repository, entry.id, [], everything=why)
        return Comparison(repository, entry.id, repository.changes(entry.id))


def _with_parents(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]
    yield "."


def _gone(change: Change) -> str | None:
    if change.status == "D":
        return change.path
    return None if _is_skill(change.path) else change.origin


def _is_skill(path: str) -> bool:
    return path.rpartition("/")[2] == SKILL_FILE


def _parent(path: str) -> str:
    """Return the folder of a file as `Comparison.name` does."""
    return path.rpartition("/")[0] or "."


def _told(origin: str, now: str | None) -> str:
    """Return the name of a folder, or its whole path where it moved to another parent."""
    parent, _, name = origin.rpartition("/")
    return name if parent == (now or "").rpartition("/")[0] else origin


def _linked(root: Path, real: Path) -> Iterator[Path]:
    """Yield the links on the way to a skill's folder, and where the links within it lead."""
    absolute = Path(os.path.abspath(root))  # noqa: PTH100 - `..` is to go, and links are to stay
    if absolute != real:
        for path in (absolute, *absolute.parents):
            if path.is_symlink():
                yield path.parent.resolve() / path.name
    for folder, folders, files in os.walk(real):
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink():
                yield path.resolve()


def _missing(base: Base, repository: Repository) -> str:
    ref = base.ref
    if ref == WORKING_TREE:
        return (
            f"the repository {repository.top} has no commit yet to compare with: commit once, or run without "
            f"{base.asked_by}"
        )
    shallow = repository.shallow()
    kind = "the shallow clone" if shallow else "the repository"
    return f"there is no commit '{ref}' in {kind} {repository.top}: {_mend(ref, repository, shallow=shallow)}"


def _mend(ref: str, repository: Repository, *, shallow: bool) -> str:
    remote, _, branch = ref.partition("/")
    if branch and remote in repository.remotes():
        # With the name under which it is kept: a clone of a single branch would keep it under none.
        depth = "--depth=1 " if shallow else ""
        fetch = f"run 'git fetch {depth}{remote} {branch}:refs/remotes/{ref}'"
        return f"{fetch}, or in GitHub Actions give actions/checkout 'fetch-depth: 0'" if shallow else fetch
    known = repository.refs()
    apart = next((name for name in known if name.endswith(f"/{ref}")), None)
    if apart is not None:
        return f"did you mean '{apart}'?"
    if shallow:
        return (
            "run 'git fetch --unshallow --tags', or in GitHub Actions give actions/checkout 'fetch-depth: 0'"
        )
    return f"name a branch, a tag or a commit that it has{nearest(ref, known)}"
