"""What is looked for in PTX beside ptxas: words that it would print, and stack that no fact shows."""

from __future__ import annotations

import re

from pytest_upskill.errors import ScorerError

_PRAGMA = re.compile(r'\.pragma\s*"([^"]*)"')
# ptxas prints a pragma that it does not know as it stands, line ends included.
_PLAIN = re.compile(r"[\w .,=-]*", re.ASCII)
# The word alone: ptxas takes white space and comments between it and its type.
_ALLOCA = re.compile(r"\balloca\b")


def check_ptx(ptx: str) -> None:
    """Refuse a pragma that could make ptxas print what looks like its own report. Raises `ScorerError`."""
    for match in _PRAGMA.finditer(ptx):
        if not _PLAIN.fullmatch(match[1]):
            raise ScorerError(
                "it has a .pragma of more than plain words, which would stand in what ptxas prints"
            )


def takes_stack(ptx: str) -> bool:
    """Tell whether code takes stack while it runs: nothing that the compiler says has its size."""
    return bool(_ALLOCA.search(ptx))
