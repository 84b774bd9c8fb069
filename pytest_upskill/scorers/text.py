"""Checks on the text of a reply: contains, contains_any, not_contains, regex, equals."""

from __future__ import annotations

import re
import warnings
from abc import ABC, abstractmethod

from pytest_upskill.scorers.evidence import around, closest, quoted, scored
from pytest_upskill.scorers.subject import (
    Subject,
    case_sensitive,
    check_options,
    kind,
    strings,
    subject,
    within,
)
from pytest_upskill.types import Check, Reply, Score, ScoringContext

_ESCAPE = re.compile(r"\\.|\(\?[^)]*\)?")
_SYNTAX = re.compile(r"[\^$.|?*+()\[\]{}]+")


class _EachString(ABC):
    """One score for each string of the check's value."""

    isolated = False
    sensitive = False

    def validate(self, check: Check, context: ScoringContext) -> None:
        check_options(check)
        strings(check)

    def score(self, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        place = subject(reply, check)
        exact = case_sensitive(check, self.sensitive)
        scores = []
        for wanted in strings(check):
            hit, evidence = (False, place.missing) if place.missing else self.judge(place, wanted, exact)
            scores.append(scored(reply, check, hit, evidence, within(check, self.words(wanted))))
        return scores

    @abstractmethod
    def words(self, wanted: str) -> str:
        """Return one string's check in words."""

    @abstractmethod
    def judge(self, place: Subject, wanted: str, exact: bool) -> tuple[bool, str]:
        """Return hit or miss with the evidence for it."""


class Contains(_EachString):
    """Hit when each string is in the reply."""

    def words(self, wanted: str) -> str:
        return f"contains {quoted(wanted)}"

    def judge(self, place: Subject, wanted: str, exact: bool) -> tuple[bool, str]:
        found = _found(place.text, wanted, exact)
        return (True, found) if found is not None else (False, closest(place.text, wanted, place.where))


class NotContains(_EachString):
    """Hit when none of the strings is in the reply."""

    def words(self, wanted: str) -> str:
        return f"does not contain {quoted(wanted)}"

    def judge(self, place: Subject, wanted: str, exact: bool) -> tuple[bool, str]:
        found = _found(place.text, wanted, exact)
        return (True, f"not in {place.where}") if found is None else (False, f"found: {found}")


class Regex(_EachString):
    """Hit when each pattern matches somewhere in the reply (`re.search`, MULTILINE)."""

    isolated = True
    sensitive = True
    advice = "simplify the pattern"

    def validate(self, check: Check, context: ScoringContext) -> None:
        super().validate(check, context)
        for pattern in strings(check):
            _compiled(pattern, exact=True)

    def words(self, wanted: str) -> str:
        return f"regex /{wanted}/"

    def judge(self, place: Subject, wanted: str, exact: bool) -> tuple[bool, str]:
        match = _compiled(wanted, exact).search(place.text)
        if match:
            return True, around(place.text, *match.span()) or "matches the empty text"
        literals = _SYNTAX.split(_ESCAPE.sub("^", wanted))
        return False, f"no match; {closest(place.text, max(literals, key=len) or wanted, place.where)}"


class ContainsAny:
    """Hit when at least one of the strings is in the reply."""

    isolated = False

    def validate(self, check: Check, context: ScoringContext) -> None:
        check_options(check)
        strings(check)

    def score(self, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        place = subject(reply, check)
        wanted = strings(check)
        words = within(check, f"contains any of {', '.join(quoted(item, 40) for item in wanted)}")
        exact = case_sensitive(check, default=False)
        found = next((hit for item in wanted if (hit := _found(place.text, item, exact)) is not None), None)
        evidence = place.missing or found or closest(place.text, wanted[0], place.where)
        return [scored(reply, check, found is not None and not place.missing, evidence, words)]


class Equals:
    """Hit when the text is the value, apart from white space around it. Case counts unless told not to."""

    isolated = False

    def validate(self, check: Check, context: ScoringContext) -> None:
        check_options(check)
        if not isinstance(check.value, str) or not check.value.strip():
            raise ValueError(f"equals needs a string that is not empty, not {kind(check.value)}")

    def score(self, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        place = subject(reply, check)
        wanted, text = str(check.value).strip(), place.text.strip()
        exact = case_sensitive(check, default=True)
        hit = not place.missing and (text == wanted if exact else text.lower() == wanted.lower())
        evidence = place.missing or (
            quoted(text, 150) if hit else _difference(text, wanted, exact, place.where)
        )
        return [scored(reply, check, hit, evidence, within(check, f"equals {quoted(wanted)}"))]


def _found(text: str, wanted: str, exact: bool) -> str | None:
    body, part = (text, wanted) if exact else (text.lower(), wanted.lower())
    place = body.find(part)
    if place < 0:
        return None
    # Lower case may be longer than the text itself; then only the lowered text has this offset.
    return around(text if len(text) == len(body) else body, place, place + len(part))


def _difference(text: str, wanted: str, exact: bool, where: str) -> str:
    if not text:
        return f"{where} is empty"
    pair = (text, wanted) if exact else (text.lower(), wanted.lower())
    place = next(
        (at for at, (one, two) in enumerate(zip(*pair, strict=False)) if one != two), min(map(len, pair))
    )
    start = max(0, place - 20)
    return (
        f"differs at character {place + 1}: {quoted(text[start:], 50)} "
        f"where {quoted(wanted[start:], 50)} was expected"
    )


def _compiled(pattern: str, exact: bool) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings():
            # A doubtful pattern is still a pattern; a warning must not fail a suite under -W error.
            warnings.simplefilter("ignore")
            return re.compile(pattern, re.MULTILINE | (0 if exact else re.IGNORECASE))
    except re.error as error:
        place = "" if error.pos is None else f" (at position {error.pos})"
        raise ValueError(f"regex /{pattern}/ is not a valid pattern: {error.msg}{place}") from None
    except (OverflowError, RecursionError) as error:
        raise ValueError(f"regex /{pattern[:80]}/ is not a valid pattern: {error}") from None
