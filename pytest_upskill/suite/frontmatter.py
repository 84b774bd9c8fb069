"""The frontmatter of SKILL.md: YAML, or what can be saved of it line by line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_upskill.suite.documents import Mistake, load_yaml
from pytest_upskill.types import JSON

_KEY = re.compile(r"([A-Za-z][\w-]*)\s*:(?:\s+(.*))?")


@dataclass(frozen=True, slots=True)
class Field:
    """One key of the frontmatter; `line` counts from 1 within it."""

    key: str
    line: int
    lines: tuple[str, ...]


def read_frontmatter(text: str) -> dict[str, JSON]:
    """Return the frontmatter of well-formed YAML.

    Raises:
        Mistake: it is not YAML, or not a mapping; lines count from 1 within the text.
    """
    meta = load_yaml(text)
    if meta is None:
        return {}
    if not isinstance(meta, dict):
        raise Mistake("it is not made of `key: value` lines")
    return meta


def read_line_by_line(text: str) -> dict[str, JSON]:
    """Return what each key says for itself; where YAML refuses one, all its text after the colon."""
    return {field.key: _value(field) for field in fields(text)}


def fields(text: str) -> Iterator[Field]:
    """Yield each key that begins a line, with the lines that belong to it."""
    key, start, lines = "", 0, list[str]()
    for number, line in enumerate(text.split("\n"), 1):
        found = _KEY.fullmatch(line)
        if found:
            if key:
                yield Field(key, start, tuple(lines))
            key, start, lines = found[1], number, [line]
        elif key:
            lines.append(line)
    if key:
        yield Field(key, start, tuple(lines))


def _value(field: Field) -> JSON:
    try:
        read = load_yaml("\n".join((*field.lines, "")))
    except Mistake:
        read = None
    if isinstance(read, dict) and list(read) == [field.key]:
        return read[field.key]
    return _text(field)


def _text(field: Field) -> str:
    found = _KEY.fullmatch(field.lines[0])
    first = (found[2] or "") if found else ""
    if re.fullmatch(r"[|>][+-]?\s*", first):
        first = ""
    rest = (line for line in field.lines[1:] if not line.lstrip().startswith("#"))
    text = " ".join(part for line in (first, *rest) if (part := line.strip()))
    quoted = re.fullmatch(r"""(["'])(.*)\1""", text)
    return quoted[2] if quoted and quoted[1] not in quoted[2] else text
