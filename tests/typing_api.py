"""The public API as a plugin's author uses it: type-checked by mypy, never run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, assert_type

import pytest_upskill
from pytest_upskill import (
    CallError,
    Case,
    CaseFile,
    Check,
    Dialect,
    GateConfig,
    Message,
    Model,
    Outcome,
    Provider,
    Reply,
    Request,
    Score,
    Scorer,
    ScorerError,
    ScoringContext,
    Skill,
    SuiteError,
    UpskillError,
    Usage,
)

if TYPE_CHECKING:
    # Handed to hooks; a plugin names them in annotations alone.
    from pytest_upskill.suite.matrix import Sample
    from pytest_upskill.types import JSON, Arm


class Parrot:
    """A provider: says what it was told."""

    version = "1"
    deterministic = True

    def __init__(self, model: Model) -> None:
        self._model = model

    async def open(self) -> None:
        if self._model.base_url is None:
            raise CallError("parrot: no address", short="no address", fatal=True)

    async def complete(self, request: Request, timeout: float) -> Reply:
        last: Message = request.messages[-1]
        words = len(request.system.split())
        return Reply(last.content, self._model.model, Usage(words, 1), "stop", min(timeout, 0.1))

    async def close(self) -> None: ...


class MaxWords:
    """A scorer: at most so many words."""

    isolated = False

    def validate(self, check: Check, context: ScoringContext) -> None:
        if not isinstance(check.value, int):
            raise ValueError(f"case '{context.case.id}': needs a whole number of words")

    def score(self, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        if not isinstance(check.value, int):
            raise ScorerError("not a number")
        words = len(reply.text.split())
        hit = words <= check.value and not reply.truncated
        return [Score(hit, f"{words} words", f"at most {check.value} words", check.scorer)]


class Rows:
    """A dialect: rows of input and expected text."""

    file = "evals/rows.json"

    def read(self, path: Path, scorers: Mapping[str, Scorer]) -> CaseFile:
        try:
            rows: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise SuiteError(f"{path}: {error}") from None
        cases = tuple(
            Case(f"row-{number}", task, (Check("contains", text),), files={}, tags=("rows",))
            for number, (task, text) in enumerate(rows.items(), 1)
            if "contains" in scorers
        )
        return CaseFile(path, cases, GateConfig(min_pass_rate=0.9), runs=3)


def pytest_upskill_providers(register: Callable[[str, Callable[[Model], Provider]], None]) -> None:
    register("parrot", Parrot)


def pytest_upskill_scorers(register: Callable[[str, Scorer], None]) -> None:
    register("max_words", MaxWords())


def pytest_upskill_dialects(register: Callable[[str, Dialect], None]) -> None:
    register("rows", Rows())


def pytest_upskill_prompt(skill: Skill, case: Case, arm: Arm) -> tuple[str, str] | None:
    return (skill.body if arm == "with_skill" else "", case.input) if skill.meta else None


def pytest_upskill_sample_finished(sample: Sample, outcome: Outcome) -> None:
    assert_type(sample.run, int)
    assert_type(outcome.reply, Reply | None)
    assert_type(outcome.scores, tuple[Score, ...])
    assert_type(outcome.hit, bool)


def pytest_upskill_reporters(
    register: Callable[[str, Callable[[dict[str, JSON], Path], None]], None],
) -> None:
    def write(results: dict[str, JSON], folder: Path) -> None:
        (folder / "mine.json").write_text(json.dumps(results["skills"]))

    register("mine", write)


def errors_are_of_one_family(error: CallError | ScorerError | SuiteError) -> UpskillError:
    return error


assert_type(pytest_upskill.__version__, str)
