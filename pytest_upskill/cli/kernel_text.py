"""What `pytest-upskill kernel check` prints: lines of at most 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from pytest_upskill.cli.kernel_case import KernelCase
from pytest_upskill.errors import one_line
from pytest_upskill.kernels.data import Device, Require
from pytest_upskill.kernels.wrong_answers import Accepted, Strength
from pytest_upskill.types import Stage, StageOutcome

_WIDTH = 80
_NAME = 10
_COLUMN = 29
# Of what is wrong with every problem, so many are told.
_MOST = 2
_REQUIRED: dict[Require, str] = {"compile": "compile", "correct": "be correct", "fast": "be correct and fast"}
_WORDS: dict[StageOutcome, str] = {
    "passed": "passed",
    "missed": "missed",
    "skipped": "not run",
    "error": "error",
}


def opening(asked: KernelCase, secret: bytes) -> Iterator[str]:
    """Yield what is tried, and the seed with which it can be tried again."""
    spec = asked.spec
    types = f" in {' and '.join(spec.dtypes)}" if spec.dtypes else ""
    yield from fact(
        "case", f"{asked.case.id}: {spec.signature.entry}{types} has to {_REQUIRED[spec.require]}"
    )
    yield from fact("seed", secret.hex())


def fact(name: str, words: str) -> Iterator[str]:
    """Yield a line of what holds for all of it."""
    return _wrapped(words, name.ljust(_NAME), " " * _NAME)


def about(devices: Sequence[Device]) -> str:
    """Return what the devices of this machine are, in words."""
    named = [
        f"{device.name} (sm_{device.capability[0]}{device.capability[1]}, driver {device.driver})"
        for device in devices
    ]
    return ", ".join(named) or "no CUDA device here"


def stage_lines(stages: Iterable[Stage]) -> Iterator[str]:
    """Yield the stages: name, outcome, seconds, evidence."""
    return chain.from_iterable(
        row(stage.name, _WORDS[stage.outcome], stage.seconds, stage.evidence) for stage in stages
    )


def row(name: str, outcome: str, seconds: float, evidence: str) -> Iterator[str]:
    """Yield one step; its evidence keeps its lines, and each of them the spaces that it begins with."""
    took = f"{seconds:7.2f} s" if seconds else ""
    head = f"{name:<{_NAME}}{outcome:<{_COLUMN - _NAME - 11}}{took:>9}".ljust(_COLUMN)
    for number, line in enumerate(evidence.splitlines() or [""]):
        deep = " " * min(len(line) - len(line.lstrip()), 8)
        before = f"{head if number == 0 else ' ' * _COLUMN}{deep}"
        yield from _wrapped(line.strip(), before, f"{' ' * _COLUMN}{deep}")


def verdict(stages: Sequence[Stage]) -> Iterator[str]:
    """Yield the end of it all for an answer."""
    missed = next((stage.name for stage in stages if stage.outcome == "missed"), None)
    left = [stage.name for stage in stages if stage.outcome == "skipped"]
    if missed:
        words = f"missed at {missed}"
    elif left:
        words = f"passed as far as this machine can tell; not run: {', '.join(left)}"
    else:
        words = "passed"
    return _wrapped(f"the answer {words}", "", "")


def strength_lines(found: Strength, seconds: float) -> Iterator[str]:
    """Yield what became of the case itself."""
    problems = _counted(found.problems, "problem")
    words = f"{_counted(found.tried, 'wrong answer')} on {problems}, {len(found.accepted) or 'none'} accepted"
    if not found.tried:
        words = f"no wrong answer could be tried on {problems}"
    yield from row("case", "weak" if found.weak else "strong", seconds, words)
    for sentence in found.nothing[:_MOST]:
        yield from _note(sentence)
    yield from _more(found.nothing)
    for sentence in found.refused[:_MOST]:
        yield from _note(f"the right answer, rounded to its type, is rejected on {sentence}")
    yield from _more(found.refused)
    if found.refused:
        yield from _mend("widen 'tolerance': no kernel is more exact than that")
    for accepted in found.accepted:
        yield from _note(f"{accepted.what}: accepted on {_places(accepted)}")
        yield from _mend(accepted.mend)


def _more(sentences: Sequence[str]) -> Iterator[str]:
    if len(sentences) > _MOST:
        yield from _note(f"the same on {_counted(len(sentences) - _MOST, 'other problem')}")


def _places(accepted: Accepted) -> str:
    first, others = accepted.problems[0], len(accepted.problems) - 1
    return f"{first} and {_counted(others, 'other problem')}" if others else first


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _note(words: str) -> Iterator[str]:
    return _wrapped(" ".join(words.split()), "  ", "    ")


def _mend(words: str) -> Iterator[str]:
    return _wrapped(f"to mend it, {words}", "    ", "    ")


def _wrapped(words: str, first: str, further: str) -> Iterator[str]:
    yield from textwrap.wrap(
        one_line(words),
        _WIDTH,
        initial_indent=first,
        subsequent_indent=further,
        break_on_hyphens=False,
    ) or [first.rstrip()]
