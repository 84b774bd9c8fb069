"""The extension points. Each docstring is the contract; each example runs as a rootdir conftest.py.

All of them are called in the process that makes the calls (under pytest-xdist the controller) and, for
dialects, scorers and providers, in the workers too, which collect. They belong in an installed plugin or in
the rootdir's conftest.py: a deeper conftest.py is not known to the xdist controller and is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from pytest_upskill.protocols import Dialect, ProviderFactory, Scorer
    from pytest_upskill.suite.matrix import Sample
    from pytest_upskill.types import JSON, Arm, Case, Outcome, Skill
    from pytest_upskill.verdicts.result import GateResult


@pytest.hookspec
def pytest_upskill_providers(register: Callable[[str, ProviderFactory], None]) -> None:
    """Register ways to reach a model: `register(name, factory)`, once, before models are resolved.

    A factory gets the resolved `Model` and returns a `Provider`; it must not import an SDK.

    Example:
        ```python
        from pytest_upskill import Reply


        class Parrot:
            version = "1"
            deterministic = True

            def __init__(self, model):
                self.model = model

            async def open(self): ...

            async def complete(self, request, timeout):
                return Reply(request.messages[0].content, model="parrot-1", stop_reason="stop")

            async def close(self): ...


        def pytest_upskill_providers(register):
            register("parrot", Parrot)
        ```
    """


@pytest.hookspec
def pytest_upskill_scorers(register: Callable[[str, Scorer], None]) -> None:
    """Register checks: `register(key, scorer)`; `key` is then a key of a case's `expected`.

    Example:
        ```python
        from pytest_upskill import Score


        class MaxWords:
            isolated = False

            def validate(self, check, context):
                if not isinstance(check.value, int):
                    raise ValueError("needs a whole number of words")

            def score(self, reply, check, context):
                words = len(reply.text.split())
                expected = f"at most {check.value} words"
                return [Score(words <= check.value, f"{words} words", expected, check.scorer)]


        def pytest_upskill_scorers(register):
            register("max_words", MaxWords())
        ```
    """


@pytest.hookspec
def pytest_upskill_dialects(register: Callable[[str, Dialect], None]) -> None:
    """Register formats of case files: `register(name, dialect)`; asked at the first file that is no Python.

    A skill's gates live on the first of its case files, in the order of registration, ours first.

    Example:
        ```python
        from pytest_upskill.types import Case, CaseFile, Check


        class Lines:
            file = "cases.txt"

            def read(self, path, scorers):
                cases = []
                for number, line in enumerate(path.read_text().splitlines(), 1):
                    task, fact = line.split(" => ")
                    cases.append(Case(f"line-{number}", task, (Check("contains", fact),)))
                return CaseFile(path, tuple(cases))


        def pytest_upskill_dialects(register):
            register("lines", Lines())
        ```
    """


@pytest.hookspec(firstresult=True)
def pytest_upskill_prompt(skill: Skill, case: Case, arm: Arm) -> tuple[str, str] | None:
    r"""Return the system and the user text of a sample, or None for the standard prompt. First answer wins.

    Asked more than once for one sample and on more than one thread, so it must depend on its arguments
    alone. A prompt for `without_skill` that holds a line of the skill is refused as contaminated. With
    `--upskill-base` there is a third arm, `old_skill`: `skill` is then the one of the base, its name, body, meta
    and list of files. Its `root` is today's folder, and what is read there is of today.

    Example:
        ```python
        def pytest_upskill_prompt(skill, case, arm):
            system = "Answer in one line."
            return (system if arm == "without_skill" else f"{system}\n\n{skill.body}", case.input)
        ```
    """


@pytest.hookspec
def pytest_upskill_reporters(
    register: Callable[[str, Callable[[dict[str, JSON], Path], None]], None],
) -> None:
    r"""Register writers of reports: `register(name, write)`, called at the end with `--upskill-report`.

    `write(results, folder)` gets the document of results.json and the folder to write into.

    Example:
        ```python
        def write(results, folder):
            names = [skill["name"] for skill in results["skills"]]
            (folder / "skills.txt").write_text("\n".join(names))


        def pytest_upskill_reporters(register):
            register("names", write)
        ```
    """


@pytest.hookspec
def pytest_upskill_kernel_executors(
    register: Callable[[str, Callable[[], Executor | None]], None],
) -> None:
    r"""Register machines that execute kernels: `register(name, make)`, chosen by `--upskill-kernel-executor=name`.

    `make()` returns a `concurrent.futures.Executor`. What is submitted to it is a function of this package and a job
    of plain data (the compiled code, the problems, a seed), and what comes back is plain data, so that both can travel
    to another machine where this package is installed. None stands for this machine.

    Example:
        ```python
        from concurrent.futures import ThreadPoolExecutor


        def pytest_upskill_kernel_executors(register):
            register("one-thread", lambda: ThreadPoolExecutor(1))
        ```
    """


@pytest.hookspec
def pytest_upskill_sample_finished(sample: Sample, outcome: Outcome) -> None:
    r"""Hear of each sample that was measured, also those that only a gate asked for. On the main thread.

    Example:
        ```python
        def pytest_upskill_sample_finished(sample, outcome):
            with open("finished.txt", "a") as file:
                file.write(f"{sample.id} {outcome.hit}\n")
        ```
    """


@pytest.hookspec
def pytest_upskill_gate(result: GateResult) -> str | None:
    """Return a sentence to fail a gate that would pass, or None. Any thread; one call a gate and run.

    Example:
        ```python
        def pytest_upskill_gate(result):
            if result.tally.with_tokens and result.tally.with_tokens > 4000:
                return "the skill costs more than 4000 tokens a call"
        ```
    """
