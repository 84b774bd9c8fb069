"""What can be said of a skill and its cases without asking any model."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from pytest_upskill.errors import SuiteError, nearest
from pytest_upskill.suite import SKILL_FILE
from pytest_upskill.suite.baseline import path_of
from pytest_upskill.suite.baseline import read as read_baseline
from pytest_upskill.suite.findings import Finding, from_sentence
from pytest_upskill.suite.lint_fields import lint_frontmatter
from pytest_upskill.suite.lint_links import lint_links
from pytest_upskill.suite.matrix import Suite
from pytest_upskill.suite.places import JsonPlaces
from pytest_upskill.suite.skill import Document, split
from pytest_upskill.suite.source import Source
from pytest_upskill.suite.text import read_text, shown
from pytest_upskill.types import Case, CaseFile

_MOST_LINES = 500
_MOST_TOKENS = 5000
_CHARACTERS_PER_TOKEN = 4  # an estimate; the rule of thumb for English text
_CONTAINS = ("contains", "contains_any", "equals")
_LISTS = ("cases", "tests", "evals")


def lint_skill(root: Path, suite: Suite | None, models: Collection[str] | None = None) -> list[Finding]:
    """Return what is wrong or doubtful in a skill's folder.

    Args:
        root: the folder.
        suite: its cases, if it has any.
        models: the names that a case's `models` may give; None to leave them unchecked.

    Raises:
        SuiteError: SKILL.md cannot be read at all.
    """
    path = root / SKILL_FILE
    document = split(read_text(path), shown(path))
    found = [
        *lint_frontmatter(document, path),
        *_body(document, path),
        *lint_links(document.body, document.body_line, path),
    ]
    for file in suite.files if suite is not None else ():
        found += [from_sentence("warning", warning, file.path) for warning in file.warnings]
        found += _cases(file, models)
    return [*found, *_baseline(root)]


def _baseline(root: Path) -> Iterator[Finding]:
    try:
        read_baseline(root)
    except SuiteError as error:
        yield from_sentence("error", str(error), path_of(root))


def _body(document: Document, path: Path) -> Iterator[Finding]:
    text = document.body.strip()
    if not text:
        yield Finding("error", path, document.body_line, "the body is empty: there is nothing to teach")
    lines = text.count("\n") + 1
    if lines >= _MOST_LINES:
        words = f"the body has {lines} lines; under {_MOST_LINES} are recommended"
        yield Finding("warning", path, None, words)
    tokens = len(text) // _CHARACTERS_PER_TOKEN
    if tokens >= _MOST_TOKENS:
        words = f"the body has about {tokens} tokens; under {_MOST_TOKENS} are recommended"
        yield Finding("warning", path, None, words)


def _cases(file: CaseFile, models: Collection[str] | None) -> Iterator[Finding]:
    said = [
        (index, message)
        for index, case in enumerate(file.cases)
        for message in (*_given_away(case), *_no_model(case, models))
    ]
    if said:
        places = _places(file.path)
        for index, message in said:
            yield Finding("warning", file.path, _line(places, index), message)


def _given_away(case: Case) -> Iterator[str]:
    given = "\n".join([case.input, *case.files.values()])
    for check in case.checks:
        if check.scorer not in _CONTAINS or check.options.get("output_file"):
            continue
        exact = check.options.get("case_sensitive", check.scorer == "equals")
        for text in check.value if isinstance(check.value, list) else [check.value]:
            if isinstance(text, str) and (text in given if exact else text.lower() in given.lower()):
                yield (
                    f"case '{case.id}': the expected text '{text}' stands in its own input: "
                    "a hit on it proves nothing"
                )


def _no_model(case: Case, models: Collection[str] | None) -> Iterator[str]:
    if models is None:
        return
    for name in (entry.removeprefix("!") for entry in case.models):
        # A model that was given as provider:model-id has a name that no file knows.
        if name not in models and not name.startswith(("openai-", "anthropic-")):
            yield f"case '{case.id}': no model is called '{name}'{nearest(name, models)}"


def _places(path: Path) -> JsonPlaces | None:
    try:
        return Source(path).places
    except SuiteError:  # another dialect's format
        return None


def _line(places: JsonPlaces | None, index: int) -> int | None:
    if places is None:
        return None
    found = (places.exactly([*keys, index]) for keys in ([], *([name] for name in _LISTS)))
    return next((line for line in found if line is not None), None)
