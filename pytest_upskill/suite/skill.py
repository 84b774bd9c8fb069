"""SKILL.md: the frontmatter and the body of a skill."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pytest_upskill.errors import SuiteError, at
from pytest_upskill.suite import SKILL_FILE
from pytest_upskill.suite.text import shown, text_of
from pytest_upskill.types import JSON, Skill

# What stands beside a skill for its tests and is no part of it: never named to a model.
_NOT_PART = re.compile(
    r"(skill_meta\.json|baseline\.json|evals\.json|[^/]+\.py|(evals|recordings|tests)/.*|LICENSE.*)"
)


@dataclass(frozen=True, slots=True)
class Document:
    """SKILL.md taken apart.

    `frontmatter` is its text, None where there is none; `loose` says why it was read line by line, if it was.
    """

    meta: Mapping[str, JSON]
    body: str
    body_line: int
    frontmatter: str | None
    loose: str | None


class Tree(Protocol):
    """The files of a skill's folder, as they are or as they were. Names are relative to it, with slashes."""

    @property
    def name(self) -> str:
        """The folder's own name."""

    def names(self, wanted: Callable[[str], bool]) -> Iterable[str]:
        """Return the names of its files, in any order, those left out that are not wanted."""

    def read(self, names: Sequence[str]) -> Sequence[bytes]:
        """Return the contents of files. Raises `SuiteError` where one cannot be read."""

    def shown(self, name: str = "") -> str:
        """Return how messages call a file, or the folder itself."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A skill's folder as it is on the disk."""

    root: Path

    @property
    def name(self) -> str:
        return self.root.resolve().name

    def names(self, wanted: Callable[[str], bool]) -> Iterator[str]:
        for path in self.root.rglob("*"):
            name = path.relative_to(self.root).as_posix()
            if wanted(name) and path.is_file():
                yield name

    def read(self, names: Sequence[str]) -> list[bytes]:
        return [self._data(name) for name in names]

    def shown(self, name: str = "") -> str:
        return shown(self.root / name)

    def _data(self, name: str) -> bytes:
        try:
            return (self.root / name).read_bytes()
        except OSError as error:
            raise SuiteError(f"{self.shown(name)}: cannot be read: {error.strerror or error}") from None


def load_skill(root: Path, case_files: Collection[str] = ()) -> Skill:
    """Return the skill in a folder. Without a `name` in the frontmatter it has the folder's.

    Args:
        root: the folder.
        case_files: the files of its cases, relative to it, which are no part of the skill.

    Raises:
        SuiteError: SKILL.md is missing, not UTF-8, or its frontmatter never ends.
    """
    if not (root / SKILL_FILE).is_file():
        raise SuiteError(
            f"{shown(root)}: no SKILL.md: a skill is a folder with SKILL.md and its cases beside it"
        )
    return read_skill(Folder(root), root, case_files)


def read_skill(tree: Tree, root: Path, case_files: Collection[str] = ()) -> Skill:
    """Return the skill of a tree that holds SKILL.md, as one in the folder `root`. Raises as `load_skill` does."""
    document = _document(tree)
    return Skill(
        name=_name(document, tree.name),
        root=root,
        body=document.body,
        meta=document.meta,
        files=tuple(_files(tree, case_files)),
        body_line=document.body_line,
    )


def name_in(data: bytes, folder: str) -> str | None:
    """Return a skill's name from SKILL.md and the name of its folder, or None where SKILL.md cannot be read."""
    try:
        return _name(split(text_of(data, SKILL_FILE), SKILL_FILE), folder)
    except SuiteError:
        return None


def _document(tree: Tree) -> Document:
    (data,) = tree.read([SKILL_FILE])
    place = tree.shown(SKILL_FILE)
    return split(text_of(data, place), place)


def _name(document: Document, folder: str) -> str:
    name = document.meta.get("name")
    return name.strip() if isinstance(name, str) and name.strip() else folder


def split(text: str, place: Path | str) -> Document:
    """Take a SKILL.md apart at its first two `---` lines; a text that does not begin with one is all body."""
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return Document({}, text, 1, None, None)
    end = next((i for i, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), None)
    if end is None:
        raise SuiteError(f"{at(place, 1)}: the frontmatter never ends: close it with a line of three hyphens")
    frontmatter = "\n".join(lines[1:end])
    meta, loose = _meta(frontmatter)
    return Document(meta, "\n".join(lines[end + 1 :]), end + 2, frontmatter, loose)


def _meta(text: str) -> tuple[Mapping[str, JSON], str | None]:
    # PyYAML is imported here, in a process that has found a skill.
    from pytest_upskill.suite.documents import Mistake
    from pytest_upskill.suite.frontmatter import read_frontmatter, read_line_by_line

    try:
        return read_frontmatter(text), None
    except Mistake as error:
        # `description: Use when: ...` is in many published skills; other tools read it line by line.
        return read_line_by_line(text), error.words


def _files(tree: Tree, case_files: Collection[str]) -> Iterator[str]:
    def part_of_skill(name: str) -> bool:
        hidden = any(part.startswith((".", "__")) for part in name.split("/"))
        return not (hidden or name == SKILL_FILE or name in case_files or _NOT_PART.fullmatch(name))

    # By their parts: what lies in a folder stands before the file `folder.md`.
    for name in sorted(tree.names(part_of_skill), key=lambda name: name.split("/")):
        if not name.isprintable():
            raise SuiteError(
                f"{tree.shown()}: the file name '{name}' cannot be shown to a model: rename the file"
            )
        yield name
