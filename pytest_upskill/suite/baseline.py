"""baseline.json: what a skill was measured to do on each model, kept beside it and compared with later."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ValidationError

from pytest_upskill.errors import SuiteError, at
from pytest_upskill.suite import MOST_RUNS
from pytest_upskill.suite.schema import Filled, Strict, described, explain
from pytest_upskill.suite.source import Source
from pytest_upskill.suite.text import read_text, shown
from pytest_upskill.suite.writing import write_whole
from pytest_upskill.types import JSON, Case

FILE = "baseline.json"
VERSION = 1
_DIGITS = 16
_DIGEST = re.compile(rf"[0-9a-f]{{{_DIGITS}}}")
_CONFLICT = re.compile(r"^(<{7}|={7}|>{7}|\|{7})( |$)", re.MULTILINE)
_AGAIN = "restore the file as it was committed, or delete it and save it again with --upskill-save-baseline"


@dataclass(frozen=True, slots=True)
class CaseEntry:
    """The digest of a case, and its hits and runs."""

    digest: str
    with_hits: int
    with_runs: int
    without_hits: int
    without_runs: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What was measured on one model.

    Attributes:
        model: the provider and the model's id, as its name resolved.
        reported: the model's id as the server reported it; None where it did not.
        date: the day (UTC) of the newest reply.
        skill: the digest of what the model got of the skill.
        cases: by their ids.
    """

    model: str
    reported: str | None
    date: dt.date
    skill: str
    cases: Mapping[str, CaseEntry]


def _digest(text: str) -> str:
    if not _DIGEST.fullmatch(text):
        raise ValueError(f"must be {_DIGITS} hexadecimal digits in small letters, not {described(text)}")
    return text


def _day(text: str) -> str:
    try:
        day = dt.date.fromisoformat(text).isoformat()
    except ValueError:
        day = ""
    if day != text:
        raise ValueError(f"must be a day such as 2026-11-02, not {described(text)}")
    return text


def _hits_and_runs(counts: list[int]) -> list[int]:
    if len(counts) != 2 or not 0 <= counts[0] <= counts[1] or not 1 <= counts[1] <= MOST_RUNS:
        said = json.dumps(counts) if len(counts) <= 4 else "a longer list"
        raise ValueError(
            f"must be [hits, runs] with 1 to {MOST_RUNS} runs and no more hits than runs, not {said}"
        )
    return counts


Digest = Annotated[str, AfterValidator(_digest)]
Counts = Annotated[list[int], AfterValidator(_hits_and_runs)]


class CaseModel(Strict):
    digest: Digest
    with_skill: Counts
    without_skill: Counts


class EntryModel(Strict):
    model: Filled
    reported: Filled | None
    date: Annotated[str, AfterValidator(_day)]
    skill: Digest
    cases: dict[str, CaseModel]


class FileModel(Strict):
    version: Literal[1]
    models: dict[str, EntryModel]


def path_of(root: Path) -> Path:
    """Return the file of the skill in a folder."""
    return root / FILE


def skill_digest(block: str, meta: Mapping[str, JSON]) -> str:
    """Return the digest of what a model gets of a skill.

    Args:
        block: as it stands in a prompt.
        meta: the frontmatter where somebody else makes the prompts, and may use it; else nothing.
    """
    return _hashed(f"{block}\0{_canonical(meta)}" if meta else block)


def case_digest(case: Case) -> str:
    """Return the digest of what is asked and of what is expected: input, files and checks."""
    checks = [[check.scorer, check.value, check.options] for check in case.checks]
    parts = [case.input, case.files, checks]
    return _hashed(_canonical(parts))


def _canonical(data: object) -> str:
    return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=dict)


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]


def read(root: Path) -> dict[str, Entry]:
    """Return what is kept of the skill in a folder, by the names of the models; nothing where there is no file.

    Raises:
        SuiteError: the file cannot be read; with file, line and what mends it.
    """
    path = path_of(root)
    if not os.path.lexists(path):
        return {}
    try:
        return _read(path)
    except SuiteError as error:
        raise SuiteError(f"{_conflict(path) or error}; {_AGAIN}") from None


def _read(path: Path) -> dict[str, Entry]:
    source = Source(path)
    data = source.data
    if isinstance(data, dict) and "version" in data and data["version"] != VERSION:
        other = json.dumps(data["version"])
        words = f"written by another version of pytest-upskill (version {other}, this one reads {VERSION})"
        raise source.error(["version"], words)
    try:
        file = FileModel.model_validate(data)
    except ValidationError as error:
        raise source.error(*explain(error, FileModel)) from None
    return {name: _entry(model) for name, model in file.models.items()}


def _entry(model: EntryModel) -> Entry:
    cases = {
        name: CaseEntry(case.digest, *case.with_skill, *case.without_skill)
        for name, case in model.cases.items()
    }
    date = dt.date.fromisoformat(model.date)
    return Entry(model.model, model.reported, date, model.skill, cases)


def _conflict(path: Path) -> str | None:
    """Return what is said of a file that git could not merge, or None."""
    try:
        text = read_text(path)
    except SuiteError:
        return None
    found = _CONFLICT.search(text)
    if found is None:
        return None
    line = text.count("\n", 0, found.start()) + 1
    return f"{at(shown(path), line)}: a merge conflict was not resolved"


def write(root: Path, entries: Mapping[str, Entry]) -> bool:
    """Write what is kept of the skill in a folder, and tell whether that was needed.

    Nobody ever sees half a file. What is the same is written the same, whatever the order of `entries`.

    Raises:
        SuiteError: it cannot be written.
    """
    path = path_of(root)
    try:
        return write_whole(path, "".join(f"{line}\n" for line in _lines(entries)).encode())
    except OSError as error:
        raise SuiteError(f"{shown(path)}: cannot be written: {error.strerror or error}") from None


def _lines(entries: Mapping[str, Entry]) -> Iterator[str]:
    """Yield the lines of the file: one for a case, so that a diff shows the cases that changed."""
    yield "{"
    yield f' "version": {VERSION},'
    yield ' "models": {'
    for name, entry, comma in _listed(entries):
        yield f"  {json.dumps(name)}: {{"
        about = {"model": entry.model, "reported": entry.reported, "date": entry.date.isoformat()}
        for key, value in {**about, "skill": entry.skill}.items():
            yield f"   {json.dumps(key)}: {json.dumps(value)},"
        yield '   "cases": {'
        for case, counts, end in _listed(entry.cases):
            yield f"    {json.dumps(case)}: {json.dumps(_row(counts))}{end}"
        yield "   }"
        yield f"  }}{comma}"
    yield " }"
    yield "}"


def _listed(items: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Yield names in their order, what they name, and the comma that follows all but the last."""
    names = sorted(items)
    for name in names:
        yield name, items[name], "" if name == names[-1] else ","


def _row(case: CaseEntry) -> dict[str, str | list[int]]:
    return {
        "digest": case.digest,
        "with_skill": [case.with_hits, case.with_runs],
        "without_skill": [case.without_hits, case.without_runs],
    }


def without_cases_gone(entry: Entry, ids: Iterable[str]) -> Entry:
    """Return an entry without the cases that the skill has no more."""
    known = set(ids)
    kept = {name: case for name, case in entry.cases.items() if name in known}
    return Entry(entry.model, entry.reported, entry.date, entry.skill, kept)
