"""Reading a skill's folder: SKILL.md and every case file that a dialect knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pytest_upskill.errors import SuiteError
from pytest_upskill.protocols import Dialect, Scorer
from pytest_upskill.suite.matrix import Suite
from pytest_upskill.suite.prompt import skill_block
from pytest_upskill.suite.rules import hold_rules
from pytest_upskill.suite.skill import load_skill
from pytest_upskill.suite.text import shown


def skill_root(path: Path, dialects: Iterable[Dialect]) -> Path | None:
    """Return the folder of the skill whose case file `path` is, or None if no dialect knows its name."""
    for dialect in dialects:
        parts = dialect.file.split("/")
        if path.parts[-len(parts) :] == tuple(parts):
            return path.parents[len(parts) - 1]
    return None


def load_suite(root: Path, dialects: Iterable[Dialect], scorers: Mapping[str, Scorer]) -> Suite:
    """Return a skill with the cases of all its files.

    Raises:
        SuiteError: something in it cannot be read, there is no case file, or two files use one id.
    """
    dialects = list(dialects)
    skill = load_skill(root, [dialect.file for dialect in dialects])
    files = tuple(
        dialect.read(path, scorers) for dialect in dialects if (path := root / dialect.file).is_file()
    )
    if not files:
        raise SuiteError(no_cases(root, dialects))
    hold_rules(files, scorers)
    if files[0].inject == "all":
        skill_block(skill, "all")  # read once here, where a file that cannot be read is an error of the skill
    return Suite(skill, files)


def no_cases(root: Path, dialects: Iterable[Dialect]) -> str:
    """Return the sentence about a skill's folder in which no case file was found."""
    looked = ", ".join(dialect.file for dialect in dialects)
    return f"{shown(root)}: no cases: looked for {looked} beside SKILL.md"
