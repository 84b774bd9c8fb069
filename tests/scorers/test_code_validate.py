from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_upskill.scorers.code import Python
from pytest_upskill.types import Check, Score, ScoringContext

Judge = Callable[..., list[Score]]
Refusal = Callable[..., str]


@pytest.mark.parametrize("value", ["checks", "checks.has_x", "a b:c", "checks:", ":f", 3])
def test_a_value_of_another_form_is_refused(refusal: Refusal, value: str | int) -> None:
    shown = value if isinstance(value, int) else f'"{value}"'
    assert refusal("python", value) == f'python needs "module:function", not {shown}'


def test_a_function_that_is_not_there_is_refused_without_running_the_module(
    refusal: Refusal, context: ScoringContext
) -> None:
    (context.root / "checks.py").write_text("raise SystemExit\ndef valid_toml(reply): ...\nx = 1\n")
    assert refusal("python", "checks:nope") == (
        "python \"checks:nope\": there is no function 'nope' in checks.py beside the skill "
        "(it defines: valid_toml)"
    )
    assert refusal("python", "checks:valid_tom") == (
        "python \"checks:valid_tom\": there is no function 'valid_tom' in checks.py beside the skill "
        "(it defines: valid_toml) (did you mean 'valid_toml'?)"
    )


@pytest.mark.parametrize(
    "text",
    [
        "from x import f",
        "import y as f",
        "from x import *",
        "f = 1",
        "f: object = 1",
        "class f: ...",
        "try:\n    from x import f\nexcept ImportError:\n    f = None",
        "if 1:\n    pass\nelse:\n    def f(reply): ...",
    ],
)
def test_a_name_may_be_bound_in_any_way(context: ScoringContext, text: str) -> None:
    (context.root / "checks.py").write_text(text)
    Python().validate(Check("python", "checks:f"), context)


def test_an_async_function_is_refused(refusal: Refusal, context: ScoringContext) -> None:
    (context.root / "checks.py").write_text("async def waits(reply): ...")
    assert refusal("python", "checks:waits") == (
        "python \"checks:waits\": 'waits' is an async function; write it as a plain one"
    )


def test_a_module_that_is_nowhere_is_refused(refusal: Refusal) -> None:
    assert refusal("python", "no_such.module:f") == (
        'python "no_such.module:f": there is no no_such/module.py beside the skill, '
        "and no module 'no_such' can be imported"
    )


def test_a_module_that_cannot_be_parsed_is_refused(refusal: Refusal, context: ScoringContext) -> None:
    (context.root / "checks.py").write_text("x = 1\ndef f(:\n")
    assert (
        refusal("python", "checks:f") == 'python "checks:f": checks.py:2 is not valid Python: invalid syntax'
    )


def test_a_module_named_like_pythons_own_is_refused(refusal: Refusal, context: ScoringContext) -> None:
    (context.root / "json.py").write_text("def f(reply): ...")
    assert refusal("python", "json:f") == (
        'python "json:f": Python has a module of this name itself; rename json.py'
    )
