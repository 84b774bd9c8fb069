from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_upskill.errors import ScorerError
from pytest_upskill.types import Score, ScoringContext

Judge = Callable[..., list[Score]]
Refusal = Callable[..., str]
CHECKS = """
from pytest_upskill import Score

def has_x(reply):
    return "x" in reply.text

def knows_case(reply, case):
    return case.id == "one"

def with_default(reply, strict=True):
    return strict is True

def takes_all(*arguments):
    return len(arguments) == 2

def says_why(reply):
    return Score(False, "too  long", "is short")

def says_much(reply):
    return [Score(True, "a"), Score(False, "b")]

def asserts(reply):
    assert "x" in reply.text, "there is no x"

def asserts_bare(reply):
    assert "x" in reply.text

def breaks(reply):
    return {}["key"]

def leaves(reply):
    raise SystemExit(3)

def forgets(reply):
    pass

def empties(reply):
    return []

def numbers(reply):
    return 1

def lonely():
    return True

async def waits(reply):
    return True

number = 3
"""


@pytest.fixture
def checks(context: ScoringContext) -> Path:
    path = context.root / "checks.py"
    path.write_text(CHECKS)
    return path


@pytest.mark.parametrize("name", ["knows_case", "with_default", "takes_all"])
@pytest.mark.usefixtures("checks")
def test_a_function_takes_the_reply_and_the_case_if_it_wants_to(judge: Judge, name: str) -> None:
    assert judge("python", f"checks:{name}", "x")[0].hit


@pytest.mark.usefixtures("checks")
def test_true_is_a_hit_and_false_is_a_miss(judge: Judge) -> None:
    assert judge("python", "checks:has_x", "x") == [
        Score(True, "returned True", 'python "checks:has_x"', "python")
    ]
    assert judge("python", "checks:has_x", "y") == [
        Score(
            False,
            "returned False; an AssertionError or a Score can say why",
            'python "checks:has_x"',
            "python",
        )
    ]


@pytest.mark.usefixtures("checks")
def test_a_score_says_why(judge: Judge) -> None:
    assert judge("python", "checks:says_why", "") == [Score(False, "too long", "is short", "python")]
    assert judge("python", "checks:says_much", "") == [
        Score(True, "a", 'python "checks:says_much"', "python"),
        Score(False, "b", 'python "checks:says_much"', "python"),
    ]


@pytest.mark.usefixtures("checks")
def test_an_assertion_error_is_a_miss_with_its_message(judge: Judge) -> None:
    assert judge("python", "checks:asserts", "y")[0].evidence == "there is no x"
    assert judge("python", "checks:asserts_bare", "y") == [
        Score(False, 'assert "x" in reply.text (checks.py:26)', 'python "checks:asserts_bare"', "python")
    ]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("breaks", "raised KeyError: 'key' (checks.py:29)"),
        ("leaves", "raised SystemExit: 3 (checks.py:32)"),
        ("forgets", "returned nothing; it must return True, False, a Score or a list of Scores"),
        ("empties", "returned an empty list; it must return True, False, a Score or a list of Scores"),
        ("numbers", "returned a value of type int; it must return True, False, a Score or a list of Scores"),
        ("lonely", "must take (reply) or (reply, case)"),
        ("number", "is not a function but int"),
    ],
)
@pytest.mark.usefixtures("checks")
def test_anything_else_is_an_error_in_one_sentence(judge: Judge, name: str, sentence: str) -> None:
    with pytest.raises(ScorerError) as caught:
        judge("python", f"checks:{name}", "")
    assert str(caught.value) == f'python "checks:{name}" {sentence}'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "import no_such_module\ndef f(reply): ...",
            "ModuleNotFoundError: No module named 'no_such_module' (checks.py:1)",
        ),
        ("def f(reply): ...\n1 / 0", "ZeroDivisionError: division by zero (checks.py:2)"),
    ],
)
def test_a_module_that_cannot_be_imported_is_an_error(
    judge: Judge, context: ScoringContext, text: str, sentence: str
) -> None:
    (context.root / "checks.py").write_text(text)
    with pytest.raises(ScorerError) as caught:
        judge("python", "checks:f", "")
    assert str(caught.value) == f'python "checks:f" cannot be imported: {sentence}'


def test_a_mistake_in_somebody_elses_code_is_placed_at_the_users_line(
    judge: Judge, context: ScoringContext
) -> None:
    (context.root / "checks.py").write_text("import json\ndef f(reply):\n    return json.loads(reply.text)\n")
    with pytest.raises(ScorerError, match=r"raised JSONDecodeError: .* \(checks\.py:3\)$"):
        judge("python", "checks:f", "no")


def test_an_importable_module_needs_no_file_beside_the_skill(judge: Judge) -> None:
    with pytest.raises(
        ScorerError, match=r'^python "json:loads" raised TypeError: the JSON object must be str'
    ):
        judge("python", "json:loads", "1")


@pytest.mark.usefixtures("checks")
def test_a_file_that_is_missing_is_a_miss_before_the_function_is_called(judge: Judge) -> None:
    assert judge("python", "checks:breaks", "", output_file="a.py") == [
        Score(
            False,
            "no fenced block names 'a.py'; the reply has: no fenced block",
            'python "checks:breaks" in a.py',
            "python",
        )
    ]
