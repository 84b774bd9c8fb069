"""The rules of SKILL.md's frontmatter (agentskills.io)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path

from pytest_upskill.errors import listing, nearest
from pytest_upskill.suite.findings import Finding, Level
from pytest_upskill.suite.skill import Document
from pytest_upskill.types import JSON

FIELDS = ("name", "description", "license", "compatibility", "metadata", "allowed-tools")
_LONGEST = {"name": 64, "description": 1024, "compatibility": 500}


def lint_frontmatter(document: Document, path: Path) -> Iterator[Finding]:
    """Yield what is wrong or doubtful in the frontmatter of a SKILL.md."""
    if document.frontmatter is None:
        yield Finding("error", path, 1, "no frontmatter: begin with `---`, name and description, `---`")
        return
    if document.loose is not None:
        words = f"the frontmatter is read line by line, because {document.loose}: quote the text"
        yield Finding("warning", path, 2, words)
    lines = _lines(document.frontmatter)
    for key in ("name", "description"):
        value = document.meta.get(key)
        if value is None or (isinstance(value, str) and not value.strip()):
            yield Finding("error", path, lines.get(key, 2), f"{key} is missing or blank")
    for key, value in document.meta.items():
        if value is not None:
            yield from _field(key, value, path, lines.get(key, 2))


def _lines(frontmatter: str) -> dict[str, int]:
    from pytest_upskill.suite.frontmatter import fields

    return {field.key: field.line + 1 for field in fields(frontmatter)}


def _field(key: str, value: JSON, path: Path, line: int) -> Iterator[Finding]:
    if key not in FIELDS:
        hint = nearest(key, FIELDS) or f"; known are {listing(FIELDS)}"
        yield Finding("warning", path, line, f"{key} is not a field of SKILL.md{hint}")
    elif key == "metadata":
        yield from _metadata(value, path, line)
    elif isinstance(value, str):
        yield from _text(key, value, path, line)
    elif isinstance(value, list | dict):
        yield Finding("error", path, line, f"{key} must be text, and not {_kind(value)}")
    else:
        # The reference validator takes every scalar for text; readers of plain YAML do not.
        level: Level = "error" if key in ("name", "description") else "warning"
        yield Finding(level, path, line, f"{key} is {_kind(value)} and not text: quote it")


def _metadata(value: JSON, path: Path, line: int) -> Iterator[Finding]:
    if not isinstance(value, dict):
        yield Finding("error", path, line, "metadata must be a map of texts")
        return
    for key, item in value.items():
        if isinstance(item, list | dict):
            yield Finding("error", path, line, f"metadata.{key} must be text, and not {_kind(item)}")
        elif not isinstance(item, str):
            yield Finding("warning", path, line, f"metadata.{key} is {_kind(item)} and not text: quote it")


def _text(key: str, value: str, path: Path, line: int) -> Iterator[Finding]:
    most = _LONGEST.get(key)
    if most is not None and len(value) > most:
        yield Finding("error", path, line, f"{key} has {len(value)} characters; at most {most} are allowed")
    if key == "compatibility" and not value.strip():
        yield Finding("error", path, line, "compatibility is blank: leave it out")
    if key == "allowed-tools" and "," in value:
        yield Finding("warning", path, line, "allowed-tools are separated by spaces, not commas")
    if key == "name" and value.strip():
        yield from _name(unicodedata.normalize("NFKC", value.strip()), path, line)


def _name(name: str, path: Path, line: int) -> Iterator[Finding]:
    parts = name.split("-")
    if name != name.lower() or not all(part.isalnum() for part in parts):
        words = f"name '{name}' must be lowercase letters, digits and single hyphens between them"
        yield Finding("error", path, line, words)
    folder = unicodedata.normalize("NFKC", path.parent.resolve().name)
    if name != folder:
        yield Finding("error", path, line, f"name '{name}' is not the name of its folder, '{folder}'")


def _kind(value: JSON) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return "a map" if isinstance(value, dict) else "a list" if isinstance(value, list) else "a number"
