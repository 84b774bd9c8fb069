"""The examples in the docstrings of the hooks run as the rootdir's conftest.py."""

from __future__ import annotations

import inspect
import json
import re
from types import FunctionType

import pytest

from pytest_upskill import hookspecs

pytest_plugins = ["pytester"]

HOOKS = [name for name in dir(hookspecs) if name.startswith("pytest_upskill_")]
EVERY_WAY = pytest.mark.parametrize("args", [(), ("-n2",)], ids=["alone", "n2"])
FACT = "The kettle stands in room 204."


def example(hook: str) -> str:
    found = re.search(r"```python\n(.*?)```", inspect.getdoc(getattr(hookspecs, hook)) or "", re.DOTALL)
    assert found, f"{hook} has no example"
    return inspect.cleandoc("\n" + found[1])


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    folder = pytester.mkdir("skills").joinpath("kettle")
    folder.mkdir()
    (folder / "SKILL.md").write_text(f"---\nname: kettle\ndescription: Where it stands.\n---\n\n{FACT}\n")
    pytester.makeini("[pytest]\n")
    return pytester


def write_case(suite: pytest.Pytester, **expected: object) -> None:
    case = {"id": "where", "input": "In which room does the kettle stand?", "expected": expected}
    (suite.path / "skills" / "kettle" / "skill_meta.json").write_text(json.dumps([case]))


def run(suite: pytest.Pytester, hook: str, *args: str, model: str = "reader") -> pytest.RunResult:
    suite.makeconftest(example(hook))
    return suite.runpytest_subprocess("-p", "no:randomly", f"--upskill-models={model}", *args)


@EVERY_WAY
def test_the_provider_answers(suite: pytest.Pytester, args: tuple[str, ...]) -> None:
    write_case(suite, equals="In which room does the kettle stand?")
    result = run(suite, "pytest_upskill_providers", "-v", *args, model="parrot:any")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["kettle*parrot-any*100%*100%*no effect*"])


@EVERY_WAY
def test_the_check_scores(suite: pytest.Pytester, args: tuple[str, ...]) -> None:
    write_case(suite, contains="204", max_words=3)
    result = run(suite, "pytest_upskill_scorers", *args)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*expected: at most 3 words*", "*evidence: * words*"])


@EVERY_WAY
def test_the_format_is_collected(suite: pytest.Pytester, args: tuple[str, ...]) -> None:
    (suite.path / "skills" / "kettle" / "cases.txt").write_text("Where does the kettle stand? => room 204\n")
    result = run(suite, "pytest_upskill_dialects", "-v", *args)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*cases.txt::line-1*"])


@EVERY_WAY
def test_the_prompt_is_sent(suite: pytest.Pytester, args: tuple[str, ...]) -> None:
    write_case(suite, contains="Answer in one line.")
    result = run(suite, "pytest_upskill_prompt", *args)
    # The reader answers with passages of the prompt: so the prompt was that of the example.
    result.stdout.fnmatch_lines(["kettle*reader*"])
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines([f"*| {FACT}"])


@EVERY_WAY
def test_the_report_is_written_once(suite: pytest.Pytester, args: tuple[str, ...]) -> None:
    write_case(suite, contains="204")
    run(suite, "pytest_upskill_reporters", "--upskill-report=out", *args).assert_outcomes(passed=3)
    assert (suite.path / "out" / "skills.txt").read_text() == "kettle"


@EVERY_WAY
def test_each_sample_is_told_once(suite: pytest.Pytester, args: tuple[str, ...]) -> None:
    write_case(suite, contains="204")
    run(suite, "pytest_upskill_sample_finished", *args).assert_outcomes(passed=3)
    lines = sorted((suite.path / "finished.txt").read_text().splitlines())
    assert lines == ["where[reader-with_skill-run1] True", "where[reader-without_skill-run1] False"]


@EVERY_WAY
def test_the_rule_fails_a_gate_that_would_pass(suite: pytest.Pytester, args: tuple[str, ...]) -> None:
    write_case(suite, contains="204")
    run(suite, "pytest_upskill_gate", *args).assert_outcomes(passed=3)
    skill = suite.path / "skills" / "kettle" / "SKILL.md"
    skill.write_text(skill.read_text() + "\nTea cups are blue and stand on the shelf.\n" * 500)
    result = run(suite, "pytest_upskill_gate", *args)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*the skill costs more than 4000 tokens a call*"])


@EVERY_WAY
def test_the_executor_can_be_chosen(suite: pytest.Pytester, args: tuple[str, ...]) -> None:
    write_case(suite, contains="204")
    chosen = run(suite, "pytest_upskill_kernel_executors", "--upskill-kernel-executor=one-thread", *args)
    chosen.assert_outcomes(passed=3)


def test_every_hook_has_a_test_here() -> None:
    source = "".join(inspect.getsource(test) for test in _tests())
    assert [hook for hook in HOOKS if f'"{hook}"' not in source] == []


def _tests() -> list[FunctionType]:
    return [value for value in globals().values() if isinstance(value, FunctionType) and _is_of_a_hook(value)]


def _is_of_a_hook(test: FunctionType) -> bool:
    return test.__name__.startswith("test_") and "run(suite, " in inspect.getsource(test)
