"""The native case file: skill_meta.json, and what Hugging Face's `upskill` writes under that name."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints, ValidationError

from pytest_upskill.errors import SuiteError, at, listing, nearest
from pytest_upskill.suite.schema import GateModel, Strict, explain
from pytest_upskill.suite.text import line_of, read_text, shown
from pytest_upskill.types import JSON, Case, CaseFile, Check, Scorer, ScoringContext

RESERVED_ID = "gate"
_LONGEST_ID = 64
_SLUG_LENGTH = 48
_BESIDE = ("case_sensitive",)
CaseId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=_LONGEST_ID)]


class _Context(Strict):
    files: dict[str, str] = {}


class _Verifier(Strict):
    type: Literal["contains", "file_exists", "file_contains", "command", "validator"]
    name: str | None = None
    values: str | list[str] | None = None
    path: str | None = None
    text: str | None = None
    cmd: str | None = None
    config: dict[str, Any] | None = None


class _Case(Strict):
    id: CaseId | None = None
    input: Annotated[str, StringConstraints(min_length=1)]
    context: _Context = _Context()
    expected: dict[str, Any] = {}
    tags: list[str] = []
    models: list[str] = []
    output_file: str | None = None
    validator: str | None = None
    validator_config: dict[str, Any] | None = None
    verifiers: list[_Verifier] = []


class _File(Strict):
    metadata: dict[str, Any] = {}
    gate: GateModel = GateModel()
    runs: int | None = Field(default=None, ge=1)
    inject: Literal["body", "all"] = "body"
    cases: list[_Case]


def read_native(path: Path, scorers: Mapping[str, Scorer]) -> CaseFile:
    """Return the cases of a skill_meta.json.

    Args:
        path: the file; the skill's folder is the one that it lies in.
        scorers: by the key of `expected` that asks for them.

    Raises:
        SuiteError: with file, line and key.
    """
    text = read_text(path)
    return _Reader(path, text, scorers).read(_json(text, path))


def _json(text: str, path: Path) -> Any:  # noqa: ANN401 - JSON before it is validated
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise SuiteError(
                f"{shown(path)}: the key '{twice}' stands twice in one object: only the last would count"
            )
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        where = at(shown(path), error.lineno, error.colno)
        raise SuiteError(f"{where}: not valid JSON: {error.msg[0].lower()}{error.msg[1:]}") from None


class _Reader:
    def __init__(self, path: Path, text: str, scorers: Mapping[str, Scorer]) -> None:
        self.path = path
        self.text = text
        self.scorers = scorers
        self.warnings: list[str] = []
        self.list_key: str | None = "cases"

    def read(self, data: Any) -> CaseFile:  # noqa: ANN401
        file = self._validated(self._one_shape(data))
        cases = tuple(self._cases(file.cases))
        return CaseFile(self.path, cases, file.gate.config(), file.runs, file.inject, tuple(self.warnings))

    def fail(self, keys: Sequence[str | int], message: str) -> SuiteError:
        keys = self._as_written(keys)
        name = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).lstrip(".")
        where = at(shown(self.path), line_of(self.text, keys))
        return SuiteError(f"{where}: {name}: {message}" if name else f"{where}: {message}")

    def _as_written(self, keys: Sequence[str | int]) -> list[str | int]:
        if not keys or keys[0] != "cases":
            return list(keys)
        return list(keys[1:]) if self.list_key is None else [self.list_key, *keys[1:]]

    def _one_shape(self, data: Any) -> dict[str, Any]:  # noqa: ANN401
        if isinstance(data, list):
            self.list_key = None
            data = {"cases": data}
        if not isinstance(data, dict):
            raise self.fail([], "must hold an object with 'cases', or a list of cases")
        if "tests" in data:
            if "cases" in data:
                raise self.fail(
                    ["tests"], "'tests' and 'cases' stand side by side: put all cases into 'cases'"
                )
            self.list_key = "tests"
            data = {**data, "cases": data["tests"]}
            del data["tests"]
        if "cases" not in data:
            known = (*_File.model_fields, "tests")
            near = next((near for key in data if (near := nearest(key, known))), "")
            raise self.fail([], f'no \'cases\': a list of {{"input": ..., "expected": ...}} is needed{near}')
        return self._cleaned(data)

    def _cleaned(self, data: dict[str, Any]) -> dict[str, Any]:
        """Drop nulls (absent, as Hugging Face writes them) and, in its files, unknown keys with a warning."""
        rows = data["cases"] if isinstance(data["cases"], list) else []
        foreign = self.list_key == "tests" or any(
            isinstance(row, dict) and "verifiers" in row for row in rows
        )
        data = {key: value for key, value in data.items() if value is not None}
        if isinstance(data.get("cases"), list):
            data["cases"] = [
                {key: value for key, value in row.items() if value is not None}
                if isinstance(row, dict)
                else row
                for row in data["cases"]
            ]
        if foreign:
            self._drop_unknown(data)
        return data

    def _drop_unknown(self, data: dict[str, Any]) -> None:
        self._drop(data, _File, [])
        for index, row in enumerate(data["cases"]):
            if isinstance(row, dict):
                self._drop(row, _Case, ["cases", index])
                for place, verifier in enumerate(row.get("verifiers") or []):
                    if isinstance(verifier, dict):
                        self._drop(verifier, _Verifier, ["cases", index, "verifiers", place])

    def _drop(self, data: dict[str, Any], model: type[BaseModel], keys: list[str | int]) -> None:
        for key in [key for key in data if key not in model.model_fields]:
            self.warnings.append(f"{self.fail([*keys, key], 'unknown key, ignored')}")
            del data[key]

    def _validated(self, data: dict[str, Any]) -> _File:
        try:
            return _File.model_validate(data)
        except ValidationError as error:
            keys, sentence = explain(error, _File)
            raise self.fail(keys, sentence) from None

    def _cases(self, rows: Sequence[_Case]) -> Iterator[Case]:
        taken = {row.id for row in rows if row.id}
        seen: set[str] = set()
        for index, row in enumerate(rows):
            name = row.id or _unique(_slug(row.input), taken)
            taken.add(name)
            if name == RESERVED_ID:
                raise self.fail(["cases", index, "id"], "the id 'gate' is kept for the gates: choose another")
            if name in seen:
                raise self.fail(
                    ["cases", index, "id"], f"the id '{name}' is used by two cases: make it unique"
                )
            seen.add(name)
            yield self._case(row, name, index)

    def _case(self, row: _Case, name: str, index: int) -> Case:
        checks, skip = self._checks(row, index)
        case = Case(
            id=name,
            input=row.input,
            checks=tuple(checks),
            files=row.context.files,
            tags=tuple(row.tags),
            models=tuple(row.models),
            skip=skip,
        )
        if not checks and skip is None:
            raise self.fail(
                ["cases", index],
                f"case '{name}' has nothing to check: give 'expected' at least one of {listing(self.scorers)}",
            )
        self._validate_checks(case, index)
        return case

    def _validate_checks(self, case: Case, index: int) -> None:
        context = ScoringContext(self.path.parent, case)
        for check in case.checks:
            try:
                self.scorers[check.scorer].validate(check, context)
            except ValueError as error:
                raise self.fail(["cases", index, "expected", check.scorer], str(error)) from None

    def _checks(self, row: _Case, index: int) -> tuple[list[Check], str | None]:
        options: dict[str, JSON] = {key: row.expected[key] for key in _BESIDE if key in row.expected}
        if not isinstance(options.get("case_sensitive", False), bool):
            raise self.fail(["cases", index, "expected", "case_sensitive"], "must be true or false")
        if row.output_file:
            options["output_file"] = row.output_file
        checks = [
            Check(self._known(key, index), value, options)
            for key, value in row.expected.items()
            if key not in _BESIDE and value is not None
        ]
        foreign = [
            *(
                [_Verifier(type="validator", name=row.validator, config=row.validator_config)]
                if row.validator
                else []
            ),
            *row.verifiers,
        ]
        for place, verifier in enumerate(foreign):
            if reason := self._unsupported(verifier):
                return [], reason
            checks.append(self._from_verifier(verifier, ["cases", index, "verifiers", place], options))
        return checks, None

    def _known(self, key: str, index: int) -> str:
        if key in self.scorers:
            return key
        known = (*self.scorers, *_BESIDE)
        hint = nearest(key, known) or f"; known are {listing(known)}"
        raise self.fail(["cases", index, "expected", key], f"unknown key{hint}")

    def _unsupported(self, verifier: _Verifier) -> str | None:
        if verifier.type == "command":
            return "its verifier 'command' is not supported: nothing that a case names is executed"
        if verifier.type == "validator" and (verifier.name or "") not in self.scorers:
            return f"its validator '{verifier.name}' is not registered (pytest_upskill_scorers registers one)"
        return None

    def _from_verifier(self, verifier: _Verifier, keys: list[str | int], options: dict[str, JSON]) -> Check:
        values: JSON = verifier.values if isinstance(verifier.values, str) else list(verifier.values or [])
        if verifier.type == "contains":
            return Check("contains", values, options)
        if verifier.type == "validator":
            return Check(verifier.name or "", dict(verifier.config or {}), options)
        if not verifier.path:
            raise self.fail(keys, f"a verifier of type '{verifier.type}' needs 'path'")
        if verifier.type == "file_exists":
            return Check("file", {"path": verifier.path})
        return Check("file", {"path": verifier.path, "contains": verifier.text or values})


def _slug(text: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    if not text.isascii():
        return f"case-{digest}"
    words = re.findall(r"[a-z0-9]+", text.lower())
    slug = ""
    for word in words:
        longer = f"{slug}-{word}" if slug else word[:_SLUG_LENGTH]
        if len(longer) > _SLUG_LENGTH:
            break
        slug = longer
    return slug if slug and slug != RESERVED_ID else f"case-{digest}"


def _unique(slug: str, taken: set[str]) -> str:
    name, count = slug, 1
    while name in taken:
        count += 1
        name = f"{slug}-{count}"
    return name
