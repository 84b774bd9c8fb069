"""A JSON file that somebody wrote: its data, and errors that name file, line and key."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from pytest_upskill.errors import SuiteError, at
from pytest_upskill.suite.documents import Mistake, load_json
from pytest_upskill.suite.places import JsonPlaces, Key, dotted
from pytest_upskill.suite.text import read_text, shown
from pytest_upskill.types import JSON


class Source:
    """One case file.

    Raises:
        SuiteError: it cannot be read or is not JSON.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text = read_text(path)
        try:
            self.data: JSON = load_json(self._text)
        except Mistake as error:
            raise SuiteError(f"{at(shown(path), error.line, error.column)}: {error.words}") from None

    @cached_property
    def places(self) -> JsonPlaces:
        return JsonPlaces(self._text)

    def says(self, keys: Sequence[Key], message: str) -> str:
        """Return the message with the file, the line and the key before it."""
        where = at(shown(self.path), self.places.line(keys))
        return f"{where}: {dotted(keys)}: {message}" if keys else f"{where}: {message}"

    def error(self, keys: Sequence[Key], message: str) -> SuiteError:
        return SuiteError(self.says(keys, message))
