"""What a case expects, as checks: the keys of `expected`, and Hugging Face's validators and verifiers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_upskill.errors import nearest
from pytest_upskill.protocols import Scorer, is_demanding
from pytest_upskill.suite.places import Key
from pytest_upskill.suite.schema import unknown_key
from pytest_upskill.types import JSON, Case, Check, ScoringContext

if TYPE_CHECKING:
    from pytest_upskill.suite.cases import CaseModel, VerifierModel

BESIDE = ("case_sensitive",)


@dataclass(frozen=True, slots=True)
class Placed:
    """A check, and the keys of the case under which it stands."""

    check: Check
    keys: tuple[Key, ...]


class BadCheck(Exception):
    """A check that makes no sense; `keys` are those of the case."""

    def __init__(self, keys: tuple[Key, ...], message: str) -> None:
        super().__init__(message)
        self.keys = keys


def checks_of(case: CaseModel, scorers: Mapping[str, Scorer]) -> tuple[list[Placed], str | None]:
    """Return the checks of a case, and why it cannot be measured, if it cannot.

    Raises:
        BadCheck: a key of `expected` is unknown, or a verifier says too little.
    """
    options = _options(case)
    placed = list(_expected(case, options, scorers))
    if case.validator:
        reason = _unregistered(case.validator, scorers)
        if reason:
            return [], reason
        value = dict(case.validator_config or {})
        placed.append(Placed(Check(case.validator, value, options), ("validator",)))
    for place, verifier in enumerate(case.verifiers):
        if verifier.type == "command":
            return [], "its verifier 'command' is not supported: nothing that a case names is executed"
        if verifier.type == "validator" and (reason := _unregistered(verifier.name or "", scorers)):
            return [], reason
        keys = ("verifiers", place)
        placed.append(Placed(_from_verifier(verifier, keys, options), keys))
    return placed, None


def demanded(case: Case, root: Path, scorers: Mapping[str, Scorer]) -> Case:
    """Return a case whose checks are valid with what they ask of the reply's form and of the machine."""
    asking = [(scorer, check) for check in case.checks if is_demanding(scorer := scorers[check.scorer])]
    if not asking:
        return case
    briefs = [scorer.brief(check, ScoringContext(root, case)) for scorer, check in asking]
    marks = dict.fromkeys(mark for scorer, check in asking for mark in scorer.marks(check))
    return replace(case, brief="\n\n".join(filter(None, briefs)), marks=tuple(marks))


def _options(case: CaseModel) -> dict[str, JSON]:
    options = {key: case.expected[key] for key in BESIDE if key in case.expected}
    if not isinstance(options.get("case_sensitive", False), bool):
        raise BadCheck(("expected", "case_sensitive"), "must be true or false")
    if case.output_file:
        options["output_file"] = case.output_file
    return options


def _expected(case: CaseModel, options: dict[str, JSON], scorers: Mapping[str, Scorer]) -> Iterator[Placed]:
    for key, value in case.expected.items():
        if key in BESIDE:
            continue
        if key not in scorers:
            raise BadCheck(("expected", key), unknown_key(key, (*scorers, *BESIDE)))
        yield Placed(Check(key, value, options), ("expected", key))


def _unregistered(name: str, scorers: Mapping[str, Scorer]) -> str | None:
    if name in scorers:
        return None
    hint = nearest(name, scorers)
    return f"its validator '{name}' is not registered{hint}: pytest_upskill_scorers registers one"


def _from_verifier(verifier: VerifierModel, keys: tuple[Key, ...], options: dict[str, JSON]) -> Check:
    texts: list[JSON] = [*(verifier.values or ()), *([verifier.text] if verifier.text else [])]
    if verifier.type == "validator":
        return Check(verifier.name or "", dict(verifier.config or {}), options)
    if verifier.type != "file_exists" and not texts:
        wanted = "'values'" if verifier.type == "contains" else "'text'"
        raise BadCheck(keys, f"a verifier of type '{verifier.type}' needs {wanted}")
    if verifier.type == "contains":
        return Check("contains", texts, options)
    if not verifier.path:
        raise BadCheck(keys, f"a verifier of type '{verifier.type}' needs 'path'")
    if verifier.type == "file_exists":
        return Check("file", {"path": verifier.path})
    return Check("file", {"path": verifier.path, "contains": texts})
