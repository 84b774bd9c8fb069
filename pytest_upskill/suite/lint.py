"""What can be said of a skill and its cases without asking any model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pytest_upskill.errors import at, listing
from pytest_upskill.suite.matrix import Suite
from pytest_upskill.suite.skill import SKILL_FILE, Document, split
from pytest_upskill.suite.text import line_of, read_text, shown
from pytest_upskill.types import Case

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)")
_PATH = re.compile(r"(?<![\w/.])((?:references|scripts|assets)/[\w./-]*\w)")
_FIELDS = ("name", "description", "license", "compatibility", "metadata", "allowed-tools")
_LONGEST = {"name": 64, "description": 1024, "compatibility": 500}
_MOST_LINES = 500
_MOST_TOKENS = 5000
_CHARACTERS_PER_TOKEN = 4  # an estimate; the rule of thumb for English text
_CONTAINS = ("contains", "contains_any", "equals")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that lint found; prints as `path:line: level: message`."""

    level: Literal["error", "warning"]
    path: Path
    line: int | None
    message: str

    def __str__(self) -> str:
        return f"{at(shown(self.path), self.line)}: {self.level}: {self.message}"


def lint_skill(root: Path, suite: Suite | None) -> list[Finding]:
    """Return what is wrong or doubtful in a skill's folder; `suite` holds its cases, if it has any.

    Raises:
        SuiteError: SKILL.md cannot be read at all.
    """
    path = root / SKILL_FILE
    text = read_text(path)
    document = split(text, path)
    found = [*_frontmatter(document, path, text), *_body(document, path), *_links(document, path)]
    for file in suite.files if suite is not None else ():
        found += [Finding("warning", file.path, None, _bare(warning, file.path)) for warning in file.warnings]
        source = read_text(file.path)
        for index, case in enumerate(file.cases):
            found += _case(case, index, file.path, source)
    return found


def _bare(warning: str, path: Path) -> str:
    return warning.removeprefix(f"{shown(path)}: ")


def _frontmatter(document: Document, path: Path, text: str) -> Iterator[Finding]:
    if not document.has_frontmatter:
        yield Finding("error", path, 1, "no frontmatter: begin with `---`, name and description, `---`")
        return
    if document.loose is not None:
        yield Finding(
            "warning",
            path,
            2,
            f"the frontmatter is not valid YAML ({document.loose}), read line by line: quote the text",
        )
    lines = text.split("\n")

    def line(key: str) -> int:
        return next((n for n, row in enumerate(lines, 1) if re.match(rf"{re.escape(key)}\s*:", row)), 2)

    for key in ("name", "description"):
        value = document.meta.get(key)
        if value is None or (isinstance(value, str) and not value.strip()):
            yield Finding("error", path, line(key), f"{key} is missing or blank")
    for key, value in document.meta.items():
        yield from _field(key, value, path, line(key))


def _field(key: str, value: object, path: Path, line: int) -> Iterator[Finding]:
    if key not in _FIELDS:
        yield Finding(
            "warning", path, line, f"{key} is not a field of SKILL.md; known are {listing(_FIELDS)}"
        )
    elif key == "metadata":
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            yield Finding("error", path, line, "metadata must be a map of strings: quote its values")
    elif value is not None and not isinstance(value, str):
        yield Finding("error", path, line, f"{key} must be text, and is {type(value).__name__}: quote it")
    elif isinstance(value, str):
        yield from _text_field(key, value, path, line)


def _text_field(key: str, value: str, path: Path, line: int) -> Iterator[Finding]:
    most = _LONGEST.get(key)
    if most is not None and len(value) > most:
        yield Finding("error", path, line, f"{key} has {len(value)} characters; at most {most} are allowed")
    if key == "compatibility" and not value.strip():
        yield Finding("error", path, line, "compatibility is blank: leave it out")
    if key == "allowed-tools" and "," in value:
        yield Finding("warning", path, line, "allowed-tools are separated by spaces, not commas")
    if key == "name" and value.strip():
        if not _NAME.fullmatch(value):
            yield Finding(
                "error",
                path,
                line,
                f"name '{value}' must be lowercase letters, digits and single hyphens between them",
            )
        folder = unicodedata.normalize("NFKC", path.parent.resolve().name)
        if unicodedata.normalize("NFKC", value) != folder:
            yield Finding("error", path, line, f"name '{value}' is not the name of its folder, '{folder}'")


def _body(document: Document, path: Path) -> Iterator[Finding]:
    if not document.body.strip():
        yield Finding("error", path, document.body_line, "the body is empty: there is nothing to teach")
    lines = document.body.count("\n") + 1
    if lines > _MOST_LINES:
        yield Finding(
            "warning", path, None, f"the body has {lines} lines; under {_MOST_LINES} are recommended"
        )
    tokens = len(document.body) // _CHARACTERS_PER_TOKEN
    if tokens > _MOST_TOKENS:
        yield Finding(
            "warning", path, None, f"the body has about {tokens} tokens; under {_MOST_TOKENS} are recommended"
        )


def _links(document: Document, path: Path) -> Iterator[Finding]:
    seen: set[str] = set()
    for number, line in enumerate(document.body.split("\n"), document.body_line):
        for target in [*_LINK.findall(line), *_PATH.findall(line)]:
            name = target.split("#")[0]
            if name in seen or not name or re.match(r"[a-z][a-z0-9+.-]*:|/", name):
                continue
            seen.add(name)
            if not (path.parent / name).exists():
                yield Finding("error", path, number, f"'{name}' is not there")
            elif name.count("/") > 1:
                yield Finding("warning", path, number, f"'{name}' lies more than one level deep")


def _case(case: Case, index: int, path: Path, source: str) -> Iterator[Finding]:
    given = "\n".join([case.input, *case.files.values()]).lower()
    for check in case.checks:
        if check.scorer not in _CONTAINS or check.options.get("output_file"):
            continue
        texts = check.value if isinstance(check.value, list) else [check.value]
        for text in texts:
            if isinstance(text, str) and text.strip() and text.lower() in given:
                yield Finding(
                    "warning",
                    path,
                    _line(source, case, index),
                    f"case '{case.id}': the expected text '{text}' stands in its own input: a hit proves nothing",
                )


def _line(source: str, case: Case, index: int) -> int | None:
    shapes: list[list[str | int]] = [["cases", index], ["tests", index], [index]]
    for keys in shapes:
        line = line_of(source, keys)
        if line is not None and (len(keys) == 1 or line_of(source, keys[:1]) is not None):
            return line
    return None
