"""What `pytest-upskill kernel check` is given: a kernel case, and an answer to it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_upskill.errors import UpskillError, nearest, one_line
from pytest_upskill.kernels.spec import KernelSpec, read_spec
from pytest_upskill.scorers.fences import fenced_blocks
from pytest_upskill.shipped import shipped_scorers
from pytest_upskill.suite.dialects.native import Native
from pytest_upskill.suite.loading import load_suite
from pytest_upskill.suite.text import read_text, shown, text_of
from pytest_upskill.types import Case, Skill

_KEY = "kernel"
_REPLIES = (".md", ".markdown")
_CODE = (".cu", ".cuh")
_RUN = re.compile(r"-run(\d{1,6})\]$")


@dataclass(frozen=True, slots=True)
class KernelCase:
    """A case that asks for a kernel, with its skill; `run` is the 1-based run whose problems are drawn."""

    skill: Skill
    case: Case
    spec: KernelSpec
    run: int = 1


def find_case(name: str) -> KernelCase:
    """Return the case of a name: a skill's folder or case file, `::` and an id where it has several.

    The id may be that of a sample, as pytest prints it. Raises `UpskillError`.
    """
    place, _, wanted = name.partition("::")
    path = Path(os.path.normpath(Path(place).absolute()))
    if not path.exists():
        raise UpskillError(f"{shown(path)}: no such file or folder")
    if not path.is_dir() and path.name != Native.file:
        raise UpskillError(f"{shown(path)}: neither {Native.file} nor a skill's folder")
    suite = load_suite(path if path.is_dir() else path.parent, [Native()], shipped_scorers())
    case = _chosen(suite.first.cases, wanted.partition("[")[0], shown(suite.first.path))
    value = next(check.value for check in case.checks if check.scorer == _KEY)
    run = _RUN.search(wanted)
    return KernelCase(suite.skill, case, read_spec(value, suite.skill.root), int(run[1]) if run else 1)


def _chosen(cases: Sequence[Case], wanted: str, place: str) -> Case:
    ours = {case.id: case for case in cases if any(check.scorer == _KEY for check in case.checks)}
    if not ours:
        raise UpskillError(f"{place}: none of its cases asks for a kernel: 'expected' has no '{_KEY}' there")
    names = ", ".join(ours)
    if wanted in ours:
        return ours[wanted]
    if not wanted and len(ours) == 1:
        return next(iter(ours.values()))
    if not wanted:
        raise UpskillError(f"{place}: it has {len(ours)} kernel cases: add '::' and one of {names}")
    if any(case.id == wanted for case in cases):
        raise UpskillError(f"{place}: the case '{wanted}' asks for no kernel; those that do are {names}")
    hint = nearest(wanted, ours)
    raise UpskillError(f"{place}: no case is called '{one_line(wanted)}'{hint}; its kernel cases are {names}")


def read_answer(name: str) -> str:
    """Return the reply that a file is or holds the code of; `-` is standard input. Raises `UpskillError`."""
    if name == "-":
        text = text_of(sys.stdin.buffer.read(), "standard input")
        return text if fenced_blocks(text) else _reply(text)
    path = Path(name)
    if path.suffix.lower() not in (*_CODE, *_REPLIES):
        raise UpskillError(
            f"{one_line(name)}: an answer is device code in a .cu file, a whole reply in a .md file, or - for "
            "standard input"
        )
    text = read_text(path)
    return text if path.suffix.lower() in _REPLIES else _reply(text)


def _reply(code: str) -> str:
    """Return code as it would stand in a reply: in a fence that is longer than any in it."""
    fence = "```"
    while fence in code:
        fence += "`"
    end = "" if not code or code.endswith("\n") else "\n"
    return f"{fence}cuda\n{code}{end}{fence}\n"
