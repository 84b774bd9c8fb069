"""SKILL.md: the frontmatter and the body of a skill."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_upskill.errors import SuiteError, at
from pytest_upskill.suite.text import read_text, shown
from pytest_upskill.types import JSON, Skill

SKILL_FILE = "SKILL.md"
# What stands beside a skill for its tests and is no part of it: never named to a model.
_NOT_PART = re.compile(
    r"(skill_meta\.json|baseline\.json|evals\.json|[^/]+\.py|(evals|recordings|tests)/.*|LICENSE.*)"
)


@dataclass(frozen=True, slots=True)
class Document:
    """SKILL.md taken apart. `loose` says why the frontmatter was read line by line, if it was."""

    meta: Mapping[str, JSON]
    body: str
    body_line: int
    has_frontmatter: bool
    loose: str | None


def load_skill(root: Path) -> Skill:
    """Return the skill in a folder. Without a `name` in the frontmatter it has the folder's.

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
        name=name if isinstance(name, str) and name.strip() else root.resolve().name,
        root=root,
        body=document.body,
        meta=document.meta,
        files=tuple(_files(root)),
        body_line=document.body_line,
    )


def split(text: str, path: Path) -> Document:
    """Take a SKILL.md apart at its first two `---` lines; a text that does not begin with one is all body."""
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return Document({}, text, 1, has_frontmatter=False, loose=None)
    end = next((i for i, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), None)
    if end is None:
        raise SuiteError(
            f"{at(shown(path), 1)}: the frontmatter never ends: close it with a line of three hyphens"
        )
    meta, loose = _frontmatter("\n".join(lines[1:end]), path)
    return Document(meta, "\n".join(lines[end + 1 :]), end + 2, has_frontmatter=True, loose=loose)


def _frontmatter(text: str, path: Path) -> tuple[Mapping[str, JSON], str | None]:
    import yaml

    try:
        meta = yaml.safe_load(text)
    except yaml.YAMLError as error:
        # `description: Use when: ...` is in many published skills; other tools read it line by line.
        return _line_by_line(text), str(getattr(error, "problem", None) or error)
    if meta is None:
        return {}, None
    if not isinstance(meta, dict):
        raise SuiteError(f"{at(shown(path), 2)}: the frontmatter is not a list of `key: value` lines")
    return {str(key): value for key, value in meta.items()}, None


def _line_by_line(text: str) -> dict[str, JSON]:
    meta: dict[str, JSON] = {}
    for line in text.split("\n"):
        found = re.fullmatch(r"([A-Za-z][\w-]*):\s*(.*?)\s*", line)
        if found:
            meta[found[1]] = found[2].strip("\"'")
    return meta


def _files(root: Path) -> Iterator[str]:
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        hidden = any(part.startswith((".", "__")) for part in name.split("/"))
        if path.is_file() and not hidden and name != SKILL_FILE and not _NOT_PART.fullmatch(name):
            yield name
