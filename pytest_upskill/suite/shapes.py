"""The shapes that a skill_meta.json comes in, made into one: ours, a bare list, and Hugging Face's.

A null is an absent key, as Hugging Face's `upskill` writes it. In its files (`tests` or `verifiers` present)
an unknown key is a warning: they belong to a program that may know more of them. In ours it is an error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pytest_upskill.errors import nearest
from pytest_upskill.suite.places import Key
from pytest_upskill.suite.source import Source

Fields: TypeAlias = Collection[str]
_NEEDED = '{"input": ..., "expected": ...}'


@dataclass(frozen=True, slots=True)
class Known:
    """The keys that are known at each place of a case file."""

    file: Fields
    gate: Fields
    case: Fields
    context: Fields
    verifier: Fields
    expected: Fields


@dataclass(frozen=True, slots=True)
class Shaped:
    """A case file's data with its cases under `cases`; `at` are the keys at which the file has them."""

    data: dict[str, Any]
    at: tuple[Key, ...]
    warnings: tuple[str, ...]


def shape(source: Source, known: Known) -> Shaped:
    """Return the data of a case file in the one shape.

    Raises:
        SuiteError: there is no list of cases in it.
    """
    found = source.data
    data = {"cases": found} if isinstance(found, list) else found
    if not isinstance(data, dict):
        raise source.error([], "must hold an object with 'cases', or a list of cases")
    data = _without_nulls(data)
    at: tuple[Key, ...] = () if isinstance(found, list) else ("cases",)
    if "tests" in data:
        if "cases" in data:
            raise source.error(
                ["tests"], "'tests' and 'cases' stand side by side: put all cases into 'cases'"
            )
        at = ("tests",)
        data["cases"] = data.pop("tests")
    if "cases" not in data:
        near = next((near for key in data if (near := nearest(key, ("cases", "tests")))), "")
        raise source.error([], f"no 'cases': a list of {_NEEDED} is needed{near}")
    if data["cases"] == []:
        raise source.error(at, f"no case is in it: write at least one {_NEEDED}")
    return _Cleaner(source, known, at).cleaned(data)


class _Cleaner:
    def __init__(self, source: Source, known: Known, at: tuple[Key, ...]) -> None:
        self._source = source
        self._known = known
        self._at = at
        self._warnings: list[str] = []
        self._foreign = at == ("tests",)

    def cleaned(self, data: dict[str, Any]) -> Shaped:
        rows = data["cases"] if isinstance(data["cases"], list) else []
        rows = [_without_nulls(row) for row in rows]
        self._foreign = self._foreign or any(isinstance(row, dict) and "verifiers" in row for row in rows)
        data = self._object(data, self._known.file, [])
        if "gate" in data:
            data["gate"] = self._object(data["gate"], self._known.gate, ["gate"])
        if isinstance(data["cases"], list):
            data["cases"] = [self._case(row, [*self._at, index]) for index, row in enumerate(rows)]
        return Shaped(data, self._at, tuple(self._warnings))

    def _case(self, row: object, keys: list[Key]) -> object:
        row = self._object(row, self._known.case, keys)
        if not isinstance(row, dict):
            return row
        for name, fields in (("context", self._known.context), ("expected", self._known.expected)):
            if name in row:
                row[name] = self._object(row[name], fields, [*keys, name])
        if isinstance(row.get("verifiers"), list):
            places = enumerate(row["verifiers"])
            row["verifiers"] = [
                self._object(item, self._known.verifier, [*keys, "verifiers", place])
                for place, item in places
            ]
        return row

    def _object(self, value: Any, known: Fields, keys: list[Key]) -> Any:  # noqa: ANN401 - not validated yet
        value = _without_nulls(value)
        if not self._foreign or not isinstance(value, dict):
            return value
        self._warn(keys, (key for key in value if key not in known), known)
        return {key: item for key, item in value.items() if key in known}

    def _warn(self, keys: list[Key], unknown: Iterable[str], known: Fields) -> None:
        for key in unknown:
            self._warnings.append(
                self._source.says([*keys, key], f"unknown key, ignored{nearest(key, known)}")
            )


def _without_nulls(value: Any) -> Any:  # noqa: ANN401 - not validated yet
    if not isinstance(value, Mapping):
        return value
    return {key: item for key, item in value.items() if item is not None}
