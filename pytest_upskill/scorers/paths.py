"""Paths into data, such as `compute.arch[0]`, and how found data differs from what was expected."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, time
from typing import TypeAlias, TypeVar

from pytest_upskill.scorers.evidence import quoted
from pytest_upskill.types import JSON

_STEP = re.compile(r'(?:^|\.)(?P<key>[^.\[\]"]+)|\[(?P<index>-?\d+)\]|\["(?P<quoted>[^"]+)"\]')
_MOST_SHOWN = 6
Step: TypeAlias = "str | int"
Item = TypeVar("Item")


class AbsentError(Exception):
    """Nothing stands at a path; the text says what is there."""


def parse_path(path: str) -> tuple[Step, ...]:
    """Return the steps of a path: keys, and positions in lists. Raises `ValueError`."""
    steps: list[Step] = []
    at = 0
    while match := _STEP.match(path, at):
        steps.append(int(match["index"]) if match["index"] else match["key"] or match["quoted"])
        at = match.end()
    if at < len(path) or not steps:
        raise ValueError(
            f"data: the path {quoted(path)} cannot be read at character {at + 1}; "
            'write it like compute.arch[0], and a key with a dot in it like tool["a.b"]'
        )
    return tuple(steps)


def look_up(data: object, path: str) -> object:
    """Return what stands at a path. Raises `AbsentError`."""
    place = ""
    for step in parse_path(path):
        data = _step(data, step, place or "the top level")
        place = _join(place, step)
    return data


def difference(found: object, expected: JSON, place: str = "") -> str:
    """Return the first difference in words, or nothing where found and expected are the same.

    Numbers are equal by value, true is not 1, and dates are equal to their ISO text.
    """
    if isinstance(found, date | time):
        found = found.isoformat()
    if isinstance(expected, dict) and isinstance(found, dict):
        return _dict_difference({_key(key): value for key, value in found.items()}, expected, place)
    if isinstance(expected, list) and isinstance(found, list):
        return _list_difference(found, expected, place)
    if _same_scalar(found, expected):
        return ""
    return f"{place or 'the top level'} is {show(found)}, not {show(expected)}"


def show(value: object, depth: int = 2) -> str:
    """Return a value in the manner of JSON; long and deep ones are shortened."""
    if isinstance(value, str):
        return quoted(value)
    if value is None or isinstance(value, bool):
        return _key(value)
    if isinstance(value, dict):
        inner = [f"{_key(key)}: {show(item, depth - 1)}" for key, item in _head(list(value.items()), depth)]
        return "{" + ", ".join(inner + _rest(value, depth)) + "}"
    if isinstance(value, list):
        return (
            "["
            + ", ".join([show(item, depth - 1) for item in _head(value, depth)] + _rest(value, depth))
            + "]"
        )
    return quoted(value.isoformat()) if isinstance(value, date | time) else _number(value)


def _dict_difference(found: dict[str, object], expected: dict[str, JSON], place: str) -> str:
    for key, value in expected.items():
        if key not in found:
            return _no_key(key, place or "the top level", found)
        if words := difference(found[key], value, _join(place, key)):
            return words
    extra = next((key for key in found if key not in expected), None)
    return "" if extra is None else f"{place or 'the top level'} has also {quoted(extra)}"


def _list_difference(found: list[object], expected: list[JSON], place: str) -> str:
    for index, (item, value) in enumerate(zip(found, expected, strict=False)):
        if words := difference(item, value, _join(place, index)):
            return words
    if len(found) == len(expected):
        return ""
    return f"{place or 'the top level'} has {_items(found)}, not {len(expected)}: {show(found)}"


def _same_scalar(found: object, expected: JSON) -> bool:
    numbers = [
        value for value in (found, expected) if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    if len(numbers) == 2:
        return numbers[0] == numbers[1]
    return type(found) is type(expected) and isinstance(found, str | bool | None) and found == expected


def _step(data: object, step: Step, place: str) -> object:
    if isinstance(data, dict):
        named = {_key(key): value for key, value in data.items()}
        if str(step) in named:
            return named[str(step)]
        raise AbsentError(_no_key(str(step), place, named))
    if isinstance(data, list):
        index = int(step) if isinstance(step, int) or step.isdecimal() else None
        if index is None:
            raise AbsentError(f"{place} is a list of {_items(data)}, not an object with {quoted(str(step))}")
        if -len(data) <= index < len(data):
            return data[index]
        raise AbsentError(f"{place} has only {_items(data)}: {show(data)}")
    raise AbsentError(f"{place} is {show(data)}, which holds no {quoted(str(step))}")


def _no_key(key: str, place: str, found: dict[str, object]) -> str:
    return f"no {quoted(key)} in {place}; it has: {', '.join(list(found)[:20]) or 'nothing'}"


def _items(found: Sequence[object]) -> str:
    return f"{len(found)} item" if len(found) == 1 else f"{len(found)} items"


def _join(place: str, step: Step) -> str:
    if isinstance(step, int):
        return f"{place}[{step}]"
    if not _STEP.fullmatch(step):
        return f"{place}[{quoted(step)}]"
    return f"{place}.{step}" if place else step


def _key(key: object) -> str:
    return (
        {None: "null", True: "true", False: "false"}[key]
        if key is None or isinstance(key, bool)
        else str(key)
    )


def _head(items: Sequence[Item], depth: int) -> list[Item]:
    # YAML aliases make small texts into endless data: only the beginning is ever walked.
    return list(items[:_MOST_SHOWN]) if depth > 0 else []


def _rest(items: Sequence[object] | dict[object, object], depth: int) -> list[str]:
    return ["..."] if len(items) > (_MOST_SHOWN if depth > 0 else 0) else []


def _number(value: object) -> str:
    # Python refuses to write out integers of thousands of digits, which a reply may hold.
    return str(value) if not isinstance(value, int) or abs(value) < 10**40 else "a huge number"
