"""SKILL.md: the frontmatter and the body of a skill."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_upskill.errors import SuiteError, at
from pytest_upskill.suite import SKILL_FILE
from pytest_upskill.suite.text import read_text, shown
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


def load_skill(root: Path, case_files: Collection[str] = ()) -> Skill:
    """Return the skill in a folder. Without a `name` in the frontmatter it has the folder's.

    Args:
        root: the folder.
        case_files: the files of its cases, relative to it, which are no part of the skill.

    Raises:
        SuiteError: SKILL.md is missing, not UTF-8, or its frontmatter never ends.
    """
    path = root / SKILL_FILE
    if not path.is_file():
        raise SuiteError(
            f"{shown(root)}: no SKILL.md: a skill is a folder with SKILL.md and its cases beside it"
        )
    document = split(read_text(path), path)
    name = document.meta.get("name")
    return Skill(
        name=name.strip() if isinstance(name, str) and name.strip() else root.resolve().name,
        root=root,
        body=document.body,
        meta=document.meta,
        files=tuple(_files(root, case_files)),
        body_line=document.body_line,
    )


def split(text: str, path: Path) -> Document:
    """Take a SKILL.md apart at its first two `---` lines; a text that does not begin with one is all body."""
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return Document({}, text, 1, None, None)
    end = next((i for i, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), None)
    if end is None:
        raise SuiteError(
            f"{at(shown(path), 1)}: the frontmatter never ends: close it with a line of three hyphens"
        )
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


def _files(root: Path, case_files: Collection[str]) -> Iterator[str]:
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        hidden = any(part.startswith((".", "__")) for part in name.split("/"))
        if hidden or name == SKILL_FILE or name in case_files or _NOT_PART.fullmatch(name):
            continue
        if path.is_file():
            yield _printable(name, root)


def _printable(name: str, root: Path) -> str:
    if not name.isprintable():
        raise SuiteError(f"{shown(root)}: the file name '{name}' cannot be shown to a model: rename the file")
    return name
