"""Values of a case's JSON, taken with their types checked."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from pytest_upskill.errors import listing, nearest, one_line
from pytest_upskill.scorers.subject import kind
from pytest_upskill.types import JSON

_LONGEST = 4000
_MOST = 64


def unknown_keys(where: str, value: Mapping[str, JSON], known: Collection[str]) -> None:
    """Raise `ValueError` for a key that is not known."""
    for key in value:
        if key not in known:
            hint = nearest(key, known) or f"; it has: {listing(known)}"
            raise ValueError(f"{where} has no key '{one_line(key)}'{hint}")


def text(value: Mapping[str, JSON], key: str, example: str) -> str | None:
    """Return a text that is not empty, or None where the key is not there."""
    given = value.get(key)
    if key not in value:
        return None
    if not isinstance(given, str) or not given.strip() or len(given) > _LONGEST:
        raise ValueError(f"kernel: '{key}' needs a text such as {json.dumps(example)}, not {kind(given)}")
    return given


def words(value: Mapping[str, JSON], key: str, example: str) -> tuple[str, ...]:
    """Return the texts of a list, each once; nothing where the key is not there."""
    given = value.get(key, [])
    items = (
        [item for item in given if isinstance(item, str) and item.strip()] if isinstance(given, list) else []
    )
    if not isinstance(given, list) or len(items) < len(given) or (key in value and not items):
        wrong = [item for item in given if item not in items] if isinstance(given, list) else []
        found = f"a list with {kind(wrong[0])}" if wrong else kind(given)
        raise ValueError(f"kernel: '{key}' needs a list such as {json.dumps([example])}, not {found}")
    twice = next((item for item in items if items.count(item) > 1), None)
    if twice:
        raise ValueError(f"kernel: '{key}' has '{one_line(twice)}' twice")
    if len(items) > _MOST:
        raise ValueError(f"kernel: '{key}' has {len(items)} entries; at most {_MOST}")
    return tuple(items)


def flag(value: Mapping[str, JSON], key: str) -> bool:
    """Return true or false; false where the key is not there."""
    given = value.get(key, False)
    if not isinstance(given, bool):
        raise ValueError(f"kernel: '{key}' must be true or false, not {kind(given)}")
    return given


def number(key: str, given: JSON, low: float, high: float, *, whole: bool = False) -> float:
    """Return a number that lies between two others, both included."""
    what = "a whole number" if whole else "a number"
    if (
        isinstance(given, bool)
        or not isinstance(given, int if whole else int | float)
        or not low <= given <= high
    ):
        raise ValueError(f"kernel: '{key}' needs {what} from {low} to {high}, not {kind(given)}")
    return given
