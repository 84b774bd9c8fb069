"""The check `file`: other checks, applied to one file that the reply writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pytest_upskill.errors import listing, nearest
from pytest_upskill.scorers.builtin import builtin_scorers
from pytest_upskill.scorers.evidence import fold, scored
from pytest_upskill.scorers.subject import check_options, kind, subject
from pytest_upskill.suite.imports import UsesModules
from pytest_upskill.types import JSON, Check, Reply, Score, ScoringContext

_ON_TEXT = ("contains", "contains_any", "data", "equals", "json_schema", "not_contains", "python", "regex")
_KEYS = (*_ON_TEXT, "case_sensitive", "path")


class File:
    """Hit when a fenced block names the file, and for each check on that block's text."""

    isolated = True
    advice = "simplify its checks"

    def validate(self, check: Check, context: ScoringContext) -> None:
        if not isinstance(check.value, str | dict):
            raise ValueError(
                f"file needs a file's name or an object with its 'path', not {kind(check.value)}"
            )
        value = _value(check)
        if not isinstance(value.get("path"), str) or not str(value["path"]).strip():
            raise ValueError(f"file needs the name of a file as its 'path', not {kind(value.get('path'))}")
        for key in value:
            if key not in _KEYS:
                raise ValueError(f"file has no key '{key}'{nearest(key, _KEYS)}; it has: {listing(_KEYS)}")
        check_options(_at_file(check, value))
        for inner in _inner(check, value):
            _validate_inner(inner, context)

    def modules(self, check: Check) -> list[str]:
        """Return the modules that the checks of a valid check name."""
        scorers = builtin_scorers()
        used = ((scorers[inner.scorer], inner) for inner in _inner(check, _value(check)))
        return [
            name
            for scorer, inner in used
            if isinstance(scorer, UsesModules)
            for name in scorer.modules(inner)
        ]

    def score(self, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        value = _value(check)
        place = subject(reply, _at_file(check, value))
        evidence = place.missing or fold(place.text) or "the file is empty"
        scores = [scored(reply, check, not place.missing, evidence, f"writes {value['path']}")]
        scorers = builtin_scorers()
        for inner in _inner(check, value):
            scores += scorers[inner.scorer].score(reply, inner, context)
        return scores


def _validate_inner(inner: Check, context: ScoringContext) -> None:
    if inner.scorer == "data" and isinstance(inner.value, dict) and "file" in inner.value:
        raise ValueError("file: 'data' within a file takes no 'file' of its own; remove it")
    try:
        builtin_scorers()[inner.scorer].validate(inner, context)
    except ValueError as error:
        raise ValueError(f"file: {error}") from None


def _value(check: Check) -> Mapping[str, JSON]:
    return check.value if isinstance(check.value, dict) else {"path": check.value}


def _at_file(check: Check, value: Mapping[str, JSON]) -> Check:
    options = {**check.options, "output_file": value["path"]}
    if "case_sensitive" in value:
        options["case_sensitive"] = value["case_sensitive"]
    return replace(check, options=options)


def _inner(check: Check, value: Mapping[str, JSON]) -> list[Check]:
    here = _at_file(check, value)
    return [replace(here, scorer=key, value=item) for key, item in value.items() if key in _ON_TEXT]
