"""JSON, YAML and TOML texts as data; a mistake in one is a `ValueError` that names its line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType

_SUFFIXES = MappingProxyType({"json": "json", "yaml": "yaml", "yml": "yaml", "toml": "toml"})
FORMATS = ("json", "toml", "yaml")


def format_of(word: str) -> str:
    """Return the format that a file's suffix or a fence's language stands for, or nothing."""
    return _SUFFIXES.get(word, "")


def parse(form: str, text: str) -> object:
    """Return the data in a text of the format `json`, `yaml` or `toml`.

    Raises `ValueError` with the place of the mistake, and nothing else, whatever the text is.
    """
    parsers: Mapping[str, Callable[[str], object]] = {"json": _json, "yaml": _yaml, "toml": _toml}
    try:
        return parsers[form](text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (OverflowError, TypeError) as error:
        raise ValueError(str(error)) from None


def _json(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno} column {error.colno}: {error.msg}") from None


def _refuse(word: str) -> object:
    raise ValueError(f"{word} is not JSON")


def _yaml(text: str) -> object:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, Loader=loader)  # noqa: S506 - both loaders are safe ones
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1} column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{place}{error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except (LookupError, AttributeError, TypeError) as error:
        # PyYAML's constructors let these through for a tag that does not fit, such as `!!bool maybe`.
        raise ValueError(f"a tag does not fit its value: {type(error).__name__}: {error}") from None


def _toml(text: str) -> object:
    import tomllib

    return tomllib.loads(text.replace("\r\n", "\n"))
