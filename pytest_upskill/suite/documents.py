"""JSON and YAML texts as data. Whatever the text, the answer is data that JSON can hold, or a `Mistake`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_upskill.suite.places import JsonPlaces
from pytest_upskill.types import JSON

if TYPE_CHECKING:
    import yaml

# What PyYAML passes on from int(), datetime() and look-ups for a value that its tag does not fit.
_MISFITS = (ValueError, LookupError, AttributeError, TypeError, ArithmeticError)
_TOO_DEEP = "it is nested too deeply"
_UNFINISHED: JSON = []
_HALF = "it holds half of a surrogate pair (\\ud800 to \\udfff), which is no character"


class Mistake(Exception):
    """What is wrong with a text, and its 1-based place as far as it is known."""

    def __init__(self, words: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(words)
        self.words = words
        self.line = line
        self.column = column


class _Twice(Exception):
    pass


def load_json(text: str) -> JSON:
    """Return the data of a JSON text.

    Raises:
        Mistake: it is not JSON as RFC 8259 has it, or an object has one key twice.
    """
    import json

    try:
        data: JSON = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_number, parse_float=_finite
        )
    except json.JSONDecodeError as error:
        words = f"not valid JSON: {error.msg[0].lower()}{error.msg[1:]}"
        raise Mistake(words, error.lineno, error.colno) from None
    except RecursionError:
        raise Mistake(f"not readable: {_TOO_DEEP}") from None
    except _Twice as error:
        key, line = JsonPlaces(text).twice or (str(error), None)
        raise Mistake(
            f"the key '{key}' stands twice in one object: only the last would count", line
        ) from None
    except ValueError:  # what int() says of thousands of digits
        raise Mistake("not readable: a whole number has too many digits") from None
    if "\\u" in text:
        _no_halves(data)
    return data


def load_yaml(text: str) -> JSON:
    """Return the data of a YAML text; dates become text and keys that are no text are spelled out.

    Raises:
        Mistake: it is not YAML, or a mapping has one key twice.
    """
    import yaml

    try:
        data = _loaded(text)
        _no_halves(data)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else ()
        raise Mistake(f"not valid YAML: {error.problem or error.context}", *place) from None
    except yaml.reader.ReaderError as error:
        letter = error.character if isinstance(error.character, int) else ord(error.character[0])
        line = text.count("\n", 0, error.position) + 1
        raise Mistake(f"not valid YAML: the character U+{letter:04X} is not allowed", line) from None
    except RecursionError:
        raise Mistake(f"not readable: {_TOO_DEEP}") from None
    return data


def _loaded(text: str) -> JSON:
    import yaml

    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _unique_keys(node)
        try:
            return _plain(loader.construct_document(node), {})
        except _MISFITS as error:
            raise _misfit(node, error) from None
    finally:
        loader.dispose()


def _misfit(root: yaml.Node, error: Exception) -> Mistake:
    import yaml

    for node in _nodes(root):
        if isinstance(node, yaml.ScalarNode):
            try:
                yaml.SafeLoader("").construct_object(node)
            except _MISFITS:
                mark = node.start_mark
                words = f"not readable: '{node.value}' is no value of its YAML type: quote it"
                return Mistake(words, mark.line + 1, mark.column + 1)
    return Mistake(f"not readable: a value does not fit its YAML type: {error}")


def _nodes(root: yaml.Node) -> Iterator[yaml.Node]:
    """Yield all nodes of a YAML document once, in its order."""
    import yaml

    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            if isinstance(node, yaml.SequenceNode):
                waiting += reversed(node.value)
            elif isinstance(node, yaml.MappingNode):
                waiting += [part for pair in reversed(node.value) for part in reversed(pair)]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Twice
    return found


def _no_number(word: str) -> NoReturn:
    raise Mistake(f"not valid JSON: {word} is no number of JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise Mistake(f"not readable: the number {digits[:40]} is too large")
    return number


def _no_halves(data: JSON) -> None:
    waiting, seen = [data], set[int]()
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict | list):
            if id(item) not in seen:
                seen.add(id(item))
                waiting += [*item, *item.values()] if isinstance(item, dict) else item
        elif isinstance(item, str) and any("\ud800" <= letter <= "\udfff" for letter in item):
            raise Mistake(f"not readable: {_HALF}")


def _unique_keys(root: yaml.Node) -> None:
    import yaml

    for node in _nodes(root):
        if isinstance(node, yaml.MappingNode):
            _unique_here(node)


def _unique_here(node: yaml.MappingNode) -> None:
    import yaml

    names: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            if key.value in names:
                words = f"the key '{key.value}' stands twice: only the last would count"
                raise Mistake(words, key.start_mark.line + 1, key.start_mark.column + 1)
            names.add(key.value)


def _plain(value: object, made: dict[int, JSON]) -> JSON:
    """Return YAML data as JSON data. `made` keeps a bomb of aliases as small as YAML keeps it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Mistake("not readable: .nan and .inf are no numbers of JSON")
        return value
    if not isinstance(value, dict | list | tuple | set):
        return str(value)
    if id(value) not in made:
        made[id(value)] = _UNFINISHED
        if isinstance(value, dict):
            made[id(value)] = {str(key): _plain(item, made) for key, item in value.items()}
        else:
            made[id(value)] = [_plain(item, made) for item in value]
    if made[id(value)] is _UNFINISHED:
        raise Mistake("not readable: an anchor holds itself")
    return made[id(value)]
