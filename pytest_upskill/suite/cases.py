"""The native case file: skill_meta.json, and what Hugging Face's `upskill` writes under that name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from pytest_upskill.protocols import Scorer
from pytest_upskill.suite import MOST_RUNS
from pytest_upskill.suite.checks import BESIDE, BadCheck, Placed, checks_of, demanded
from pytest_upskill.suite.ids import ID_FORM, RESERVED_ID, is_id, make_id
from pytest_upskill.suite.places import Key
from pytest_upskill.suite.rules import nothing_to_check
from pytest_upskill.suite.schema import Filled, GateModel, Strict, Strings, described, explain
from pytest_upskill.suite.shapes import Known, shape
from pytest_upskill.suite.source import Source
from pytest_upskill.types import Case, CaseFile, ScoringContext


def _case_id(text: str) -> str:
    if not is_id(text):
        raise ValueError(f"{described(text)} is no id: it {ID_FORM}")
    if text == RESERVED_ID:
        raise ValueError("the id 'gate' is kept for the gates: choose another")
    return text


def _file_names(files: dict[str, str]) -> dict[str, str]:
    for name in files:
        path = PurePosixPath(name)
        if (
            not name.strip()
            or not name.isprintable()
            or "`" in name
            or path.is_absolute()
            or ".." in path.parts
        ):
            raise ValueError(f"'{name}' is no name of a file: give a path relative to the workspace")
    return files


class ContextModel(Strict):
    files: Annotated[dict[str, str], AfterValidator(_file_names)] = Field(default_factory=dict)


class VerifierModel(Strict):
    type: Literal["contains", "file_exists", "file_contains", "command", "validator"]
    name: str | None = None
    values: Strings | None = None
    path: str | None = None
    text: str | None = None
    cmd: str | None = None
    config: dict[str, Any] | None = None


class CaseModel(Strict):
    id: Annotated[str, AfterValidator(_case_id)] | None = None
    input: Filled
    context: ContextModel | None = None  # pydantic would copy a model for every case
    expected: dict[str, Any] = Field(default_factory=dict)
    tags: list[Filled] = Field(default_factory=list)
    models: list[Filled] = Field(default_factory=list)
    output_file: Filled | None = None
    validator: Filled | None = None
    validator_config: dict[str, Any] | None = None
    verifiers: list[VerifierModel] = Field(default_factory=list)


class FileModel(Strict):
    metadata: dict[str, Any] = Field(default_factory=dict)
    gate: GateModel = GateModel()
    runs: int | None = Field(default=None, ge=1, le=MOST_RUNS)
    inject: Literal["body", "all"] = "body"
    cases: list[CaseModel]


def read_native(path: Path, scorers: Mapping[str, Scorer]) -> CaseFile:
    """Return the cases of a skill_meta.json.

    Args:
        path: the file; the skill's folder is the one that it lies in.
        scorers: by the key of `expected` that asks for them.

    Raises:
        SuiteError: with file, line and key.
    """
    source = Source(path)
    shaped = shape(source, _known(scorers))
    try:
        file = FileModel.model_validate(shaped.data)
    except ValidationError as error:
        keys, sentence = explain(error, FileModel)
        written = [*shaped.at, *keys[1:]] if keys[:1] == ["cases"] else keys
        raise source.error(written, sentence) from None
    reader = _Reader(source, shaped.at, scorers)
    cases = tuple(reader.cases(file.cases))
    return CaseFile(path, cases, file.gate.config(), file.runs, file.inject, shaped.warnings)


def _known(scorers: Mapping[str, Scorer]) -> Known:
    return Known(
        file=(*FileModel.model_fields, "tests"),
        gate=tuple(GateModel.model_fields),
        case=tuple(CaseModel.model_fields),
        context=tuple(ContextModel.model_fields),
        verifier=tuple(VerifierModel.model_fields),
        expected=(*scorers, *BESIDE),
    )


class _Reader:
    def __init__(self, source: Source, at: tuple[Key, ...], scorers: Mapping[str, Scorer]) -> None:
        self._source = source
        self._at = at
        self._scorers = scorers

    def cases(self, rows: list[CaseModel]) -> Iterator[Case]:
        given = [row.id for row in rows if row.id]
        taken, seen = set(given), set[str]()
        for index, row in enumerate(rows):
            keys = (*self._at, index)
            name = row.id or make_id(row.input, taken)
            if row.id in seen:
                raise self._source.error(
                    [*keys, "id"], f"the id '{name}' is used by two cases: make it unique"
                )
            taken.add(name)
            seen.add(name)
            yield self._case(row, name, keys)

    def _case(self, row: CaseModel, name: str, keys: tuple[Key, ...]) -> Case:
        try:
            placed, skip = checks_of(row, self._scorers)
        except BadCheck as error:
            raise self._source.error([*keys, *error.keys], str(error)) from None
        case = Case(
            id=name,
            input=row.input,
            checks=tuple(item.check for item in placed),
            files=row.context.files if row.context else {},
            tags=tuple(row.tags),
            models=tuple(row.models),
            skip=skip,
        )
        if not placed and skip is None:
            raise self._source.error(keys, f"case '{name}' {nothing_to_check(self._scorers)}")
        self._validate(case, placed, keys)
        return demanded(case, self._source.path.parent, self._scorers)

    def _validate(self, case: Case, placed: list[Placed], keys: tuple[Key, ...]) -> None:
        context = ScoringContext(self._source.path.parent, case)
        for item in placed:
            try:
                self._scorers[item.check.scorer].validate(item.check, context)
            except ValueError as error:
                raise self._source.error([*keys, *item.keys], str(error)) from None
            except Exception as error:
                sentence = f"the scorer '{item.check.scorer}' failed on it: {type(error).__name__}: {error}"
                raise self._source.error([*keys, *item.keys], sentence) from error
