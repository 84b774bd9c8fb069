from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_upskill.types import JSON, Score, ScoringContext

Judge = Callable[..., list[Score]]
Refusal = Callable[..., str]
REPLY = '```toml build.toml\n[general]\nname = "Norm"\n```\n\n```cuda src/x.cu\nvoid k() {}\n```\n'


def test_a_name_alone_asks_that_the_file_is_there(judge: Judge) -> None:
    assert judge("file", "src/x.cu", REPLY) == [Score(True, "void k() {}", "writes src/x.cu", "file")]
    assert judge("file", "setup.py", REPLY) == [
        Score(
            False,
            "no fenced block names 'setup.py'; the reply has: build.toml, src/x.cu",
            "writes setup.py",
            "file",
        )
    ]


def test_the_checks_of_a_file_see_only_that_file(judge: Judge) -> None:
    value: JSON = {
        "path": "build.toml",
        "contains": ["norm", "void"],
        "not_contains": "void",
        "regex": "^name",
        "data": {"paths": {"general.name": "Norm"}},
    }
    scores = judge("file", value, REPLY)
    assert [(score.scorer, score.hit) for score in scores] == [
        ("file", True),
        ("contains", True),
        ("contains", False),
        ("not_contains", True),
        ("regex", True),
        ("data", True),
    ]
    assert scores[2].expected == 'contains "void" in build.toml'


def test_a_file_that_is_missing_misses_every_check(judge: Judge) -> None:
    scores = judge("file", {"path": "a.toml", "contains": ["a", "b"], "data": {"equals": {}}}, REPLY)
    assert [score.hit for score in scores] == [False] * 4


def test_an_empty_file_is_there(judge: Judge) -> None:
    assert judge("file", "a.py", "```python a.py\n```") == [
        Score(True, "the file is empty", "writes a.py", "file")
    ]


def test_case_sensitive_may_stand_in_the_file_or_beside_it(judge: Judge) -> None:
    assert judge("file", {"path": "build.toml", "contains": "norm"}, REPLY)[1].hit
    assert not judge("file", {"path": "build.toml", "contains": "norm"}, REPLY, case_sensitive=True)[1].hit
    assert not judge("file", {"path": "build.toml", "contains": "norm", "case_sensitive": True}, REPLY)[1].hit


def test_a_function_of_the_user_gets_the_text_of_the_file(judge: Judge, context: ScoringContext) -> None:
    (context.root / "checks.py").write_text("def short(reply):\n    return reply.text == 'void k() {}\\n'\n")
    assert judge("file", {"path": "src/x.cu", "python": "checks:short"}, REPLY)[1] == Score(
        True, "returned True", 'python "checks:short" in src/x.cu', "python"
    )


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (3, "file needs a file's name or an object with its 'path', not 3"),
        ("", "file needs the name of a file as its 'path', not an empty string"),
        ({"contains": "a"}, "file needs the name of a file as its 'path', not null"),
        (
            {"path": "a", "contain": "x"},
            "file has no key 'contain' (did you mean 'contains'?); it has: case_sensitive, "
            "contains, contains_any, data, equals, json_schema, not_contains, path, python, regex",
        ),
        ({"path": "a", "contains": []}, "file: contains needs at least one string, not an empty list"),
        (
            {"path": "a", "data": {"equals": 1}},
            "file: data cannot tell the format of 'a'; add 'format': one of json, toml, yaml",
        ),
        (
            {"path": "a.toml", "data": {"equals": 1, "file": "b.toml"}},
            "file: 'data' within a file takes no 'file' of its own; remove it",
        ),
        ({"path": "a", "case_sensitive": 1}, "case_sensitive must be true or false, not 1"),
    ],
)
def test_a_wrong_value_is_refused(refusal: Refusal, value: JSON, sentence: str) -> None:
    assert refusal("file", value) == sentence
