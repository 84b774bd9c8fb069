"""Checks on data in a reply: json_schema, and data by paths or as a whole."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from pytest_upskill.errors import ScorerError, listing, nearest
from pytest_upskill.scorers.evidence import fold, quoted, scored
from pytest_upskill.scorers.fences import Block, fenced_blocks, suffix_of
from pytest_upskill.scorers.formats import FORMATS, format_of, parse
from pytest_upskill.scorers.paths import AbsentError, difference, look_up, parse_path, show
from pytest_upskill.scorers.subject import block_list, check_options, kind, subject, within
from pytest_upskill.types import JSON, Check, Reply, Score, ScoringContext

if TYPE_CHECKING:
    from jsonschema.exceptions import SchemaError, ValidationError
    from jsonschema.protocols import Validator

_MOST_ERRORS = 3
_DATA_KEYS = ("equals", "file", "format", "paths")


class JsonSchema:
    """Hit when the reply's JSON is valid against a JSON schema."""

    isolated = True
    advice = "simplify its patterns"

    def validate(self, check: Check, context: ScoringContext) -> None:
        from jsonschema.exceptions import SchemaError

        check_options(check)
        if not isinstance(check.value, dict):
            raise ValueError(f"json_schema needs a JSON schema as an object, not {kind(check.value)}")
        validator = _validator(check.value)
        try:
            with warnings.catch_warnings():
                # A doubtful pattern is still a pattern; a warning must not fail a suite under -W error.
                warnings.simplefilter("ignore")
                validator.check_schema(check.value)
        except SchemaError as error:
            raise ValueError(f"json_schema is not a valid JSON schema: {_words(error)}") from None

    def score(self, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        from referencing.exceptions import Unresolvable

        expected = within(check, "JSON that is valid against the schema")
        found = _find(reply, check, "json")
        if isinstance(found, str):
            return [scored(reply, check, False, found, expected)]
        if not isinstance(check.value, dict):
            raise ScorerError(f"json_schema needs a JSON schema as an object, not {kind(check.value)}")
        try:
            errors = [_words(error) for error in islice(_errors(check.value, found.value), _MOST_ERRORS)]
        except Unresolvable as error:
            raise ScorerError(
                f"json_schema: its $ref {quoted(error.ref)} leads nowhere; keep it within the schema"
            ) from None
        except RecursionError:
            raise ScorerError(
                "json_schema: the schema refers to itself without end, or the reply is nested too deeply"
            ) from None
        return [scored(reply, check, not errors, "; ".join(errors) or show(found.value), expected)]


class Data:
    """Hit for each path at which the reply's JSON, YAML or TOML has the expected value."""

    isolated = True
    advice = "let it look at a smaller file"

    def validate(self, check: Check, context: ScoringContext) -> None:
        check_options(check)
        value = check.value
        if not isinstance(value, dict):
            raise ValueError(f'data needs an object such as {{"paths": {{"a.b": 1}}}}, not {kind(value)}')
        for key in value:
            if key not in _DATA_KEYS:
                known = listing(_DATA_KEYS)
                raise ValueError(f"data has no key '{key}'{nearest(key, _DATA_KEYS)}; it has: {known}")
        if ("paths" in value) == ("equals" in value):
            raise ValueError("data needs either 'paths' or 'equals'")
        _check_source(check, value)
        _check_paths(value)

    def score(self, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        value = check.value if isinstance(check.value, dict) else {}
        check = _with_file(check, value)
        found = _find(reply, check, _format(check, value))
        paths = value.get("paths")
        if isinstance(paths, dict):
            return [_path_score(reply, check, found, path, expected) for path, expected in paths.items()]
        words = found if isinstance(found, str) else difference(found.value, value["equals"])
        hit = not words and not isinstance(found, str)
        evidence = show(found.value) if hit and not isinstance(found, str) else words
        return [scored(reply, check, hit, evidence, within(check, f"data equals {show(value['equals'])}"))]


@dataclass(frozen=True, slots=True)
class _Found:
    value: object


def _path_score(reply: Reply, check: Check, found: _Found | str, path: str, expected: JSON) -> Score:
    words = within(check, f"{path} equals {show(expected)}")
    if isinstance(found, str):
        return scored(reply, check, False, found, words)
    try:
        value = look_up(found.value, path)
    except AbsentError as absent:
        return scored(reply, check, False, str(absent), words)
    wrong = difference(value, expected, path)
    return scored(reply, check, not wrong, wrong or f"{path} is {show(value)}", words)


def _find(reply: Reply, check: Check, form: str) -> _Found | str:
    """Return the data that a check looks at, or the evidence that there is none.

    A file is read as a whole. In a reply the first labelled block that can be parsed wins; without a
    labelled one, and with a format, so does the first unlabelled one, else the whole reply.
    """
    place = subject(reply, check)
    if place.missing:
        return place.missing
    if "output_file" in check.options:
        return _first([(place.where, place.text)], form)
    blocks = fenced_blocks(place.text)
    labelled = [block for block in blocks if format_of(block.language) in ((form,) if form else FORMATS)]
    if labelled:
        return _first_block(labelled)
    bare = [(_title(block), block.text) for block in blocks if not block.language]
    nothing = f"no {form.upper() or 'JSON, TOML or YAML'} in the reply, which has: {block_list(blocks)}"
    found = _first(bare or [("the reply", place.text)], form) if form else nothing
    return found if isinstance(found, _Found) else nothing if not form else f"{nothing}; {found}"


def _first_block(blocks: Sequence[Block]) -> _Found | str:
    results = [_first([(_title(block), block.text)], format_of(block.language)) for block in blocks]
    return next((result for result in results if isinstance(result, _Found)), results[0])


def _first(texts: Sequence[tuple[str, str]], form: str) -> _Found | str:
    mistakes = []
    for title, text in texts:
        try:
            value = parse(form, text)
        except ValueError as error:
            mistakes.append(f"{title} is not {form.upper()}: {error}")
            continue
        # Every sentence is a YAML scalar: prose must not count as data.
        if form != "yaml" or not isinstance(value, str):
            return _Found(value)
        mistakes.append(f"{title} is plain text")
    return mistakes[0]


def _title(block: Block) -> str:
    return f"the block at line {block.start_line}"


def _with_file(check: Check, value: Mapping[str, JSON]) -> Check:
    name = value.get("file")
    return check if name is None else replace(check, options={**check.options, "output_file": name})


def _format(check: Check, value: Mapping[str, JSON]) -> str:
    form = value.get("format")
    return str(form) if form else format_of(suffix_of(str(check.options.get("output_file", ""))))


def _check_source(check: Check, value: Mapping[str, JSON]) -> None:
    check = _with_file(check, value)
    if "file" in value:
        check_options(check)
    form = value.get("format")
    if form is not None and form not in FORMATS:
        raise ValueError(
            f"data has no format {kind(form)}{nearest(str(form), FORMATS)}; it has: {listing(FORMATS)}"
        )
    name = check.options.get("output_file")
    if name is not None and not _format(check, value):
        raise ValueError(f"data cannot tell the format of '{name}'; add 'format': one of {listing(FORMATS)}")


def _check_paths(value: Mapping[str, JSON]) -> None:
    if "paths" not in value:
        return
    paths = value["paths"]
    if not isinstance(paths, dict) or not paths:
        raise ValueError(f"data: 'paths' needs an object of paths and values, not {kind(paths)}")
    for path in paths:
        parse_path(path)


def _validator(schema: Mapping[str, JSON]) -> type[Validator]:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for

    return validator_for(schema, default=Draft202012Validator)


def _errors(schema: Mapping[str, JSON], value: object) -> Iterable[ValidationError]:
    from jsonschema_specifications import REGISTRY

    # With a registry of our own a $ref to the web is an error, where jsonschema alone would fetch it.
    return _validator(schema)(dict(schema), registry=REGISTRY).iter_errors(cast("Any", value))


def _words(error: ValidationError | SchemaError) -> str:
    return f"{error.json_path}: {fold(error.message)}"
