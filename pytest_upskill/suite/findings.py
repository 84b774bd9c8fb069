"""What lint says: one finding, one line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pytest_upskill.errors import at, one_line
from pytest_upskill.suite.text import shown

Level = Literal["error", "warning"]
_PLACE = re.compile(r"(?::(?P<line>\d+)(?::\d+)?)?: ")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that lint found; prints as `path:line: level: message`."""

    level: Level
    path: Path
    line: int | None
    message: str

    def __str__(self) -> str:
        return one_line(f"{at(shown(self.path), self.line)}: {self.level}: {self.message}")


def from_sentence(level: Level, sentence: str, path: Path) -> Finding:
    """Return a finding from a sentence that begins with the file and its line, as errors do."""
    name = shown(path)
    place = _PLACE.match(sentence, len(name)) if sentence.startswith(name) else None
    if place is None:
        return Finding(level, path, None, sentence)
    return Finding(level, path, int(place["line"]) if place["line"] else None, sentence[place.end() :])
