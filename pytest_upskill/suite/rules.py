"""What every case file must hold, whatever its dialect: valid ids, used once, and something to check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pytest_upskill.errors import SuiteError, listing, nearest
from pytest_upskill.protocols import Scorer
from pytest_upskill.suite.ids import ID_FORM, RESERVED_ID, is_id
from pytest_upskill.suite.text import shown
from pytest_upskill.types import Case, CaseFile


def hold_rules(files: Iterable[CaseFile], scorers: Mapping[str, Scorer]) -> None:
    """Check the cases of a skill's files.

    Raises:
        SuiteError: with file and case.
    """
    seen: dict[str, CaseFile] = {}
    for file in files:
        name = shown(file.path)
        for case in file.cases:
            where = f"{name}: case '{case.id}'"
            if not is_id(case.id) or case.id == RESERVED_ID:
                raise SuiteError(f"{where}: an id {ID_FORM}, and '{RESERVED_ID}' is kept for the gates")
            if case.id in seen:
                other = seen[case.id]
                place = "two cases" if other is file else f"this file and {shown(other.path)}"
                raise SuiteError(f"{where}: the id is used by {place}: make it unique")
            seen[case.id] = file
            _hold_checks(case, where, scorers)


def _hold_checks(case: Case, where: str, scorers: Mapping[str, Scorer]) -> None:
    if not case.checks and case.skip is None:
        raise SuiteError(f"{where} {nothing_to_check(scorers)}")
    for check in case.checks:
        if check.scorer not in scorers:
            hint = nearest(check.scorer, scorers) or f"; known are {listing(scorers)}"
            raise SuiteError(f"{where}: no scorer is called '{check.scorer}'{hint}")


def nothing_to_check(scorers: Mapping[str, Scorer]) -> str:
    """Return what is said of a case whose every reply would be a hit."""
    return f"has nothing to check: give 'expected' at least one of {listing(scorers)}"
