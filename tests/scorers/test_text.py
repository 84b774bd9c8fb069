from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_upskill.types import JSON, Reply, Score

TOML = 'Two files:\n\n```toml build.toml\narch = ["9.0"]\n```\n\n```cuda src/x.cu\nvoid k() {}\n```\n'
Judge = Callable[..., list[Score]]
Refusal = Callable[..., str]


def test_contains_has_one_score_for_each_string(judge: Judge) -> None:
    assert judge("contains", ["9.0", "10.0"], 'arch = ["9.0"]') == [
        Score(True, 'arch = ["9.0"]', 'contains "9.0"', "contains"),
        Score(False, 'nearest: arch = ["9.0"]', 'contains "10.0"', "contains"),
    ]


def test_contains_ignores_case_unless_told_not_to(judge: Judge) -> None:
    assert judge("contains", "hello", "HELLO")[0].hit
    assert judge("contains", "hello", "HELLO", case_sensitive=True) == [
        Score(False, "differs in case: HELLO", 'contains "hello"', "contains")
    ]


def test_a_trailing_space_is_significant(judge: Judge) -> None:
    assert judge("contains", "class ", "class A")[0].hit
    assert not judge("contains", "class ", "classes")[0].hit


def test_a_hit_shows_the_text_around_it(judge: Judge) -> None:
    (score,) = judge("contains", "needle", f"{'a ' * 100}needle{' b' * 100}")
    assert score.evidence == f"...{'a ' * 20}needle{' b' * 20}..."


def test_characters_that_grow_in_lower_case_do_not_break_the_search(judge: Judge) -> None:
    assert judge("contains", "x", "\u0130" * 5 + "X")[0].hit


def test_contains_any_has_one_score(judge: Judge) -> None:
    assert judge("contains_any", ["a1", "b2"], "B2 it is") == [
        Score(True, "B2 it is", 'contains any of "a1", "b2"', "contains_any")
    ]
    assert judge("contains_any", ["a1", "b2"], "no") == [
        Score(False, "nothing like it in the reply", 'contains any of "a1", "b2"', "contains_any")
    ]


def test_not_contains_shows_where_the_string_stands(judge: Judge) -> None:
    assert judge("not_contains", ["sm_70", "sm_80"], "use SM_70") == [
        Score(False, "found: use SM_70", 'does not contain "sm_70"', "not_contains"),
        Score(True, "not in the reply", 'does not contain "sm_80"', "not_contains"),
    ]


def test_regex_matches_line_by_line(judge: Judge) -> None:
    assert judge("regex", r"^fix: \w+$", "Commit:\nfix: things\n") == [
        Score(True, "Commit: fix: things", r"regex /^fix: \w+$/", "regex")
    ]


def test_regex_shows_what_is_nearest_to_its_longest_literal(judge: Judge) -> None:
    assert judge("regex", r"__global__\s+int \d", "a __global__ void k()") == [
        Score(False, r"no match; nearest: a __global__ void k()", r"regex /__global__\s+int \d/", "regex")
    ]


def test_regex_counts_case_unless_told_not_to(judge: Judge) -> None:
    assert not judge("regex", "fix", "FIX")[0].hit
    assert judge("regex", "fix", "FIX", case_sensitive=False)[0].hit


def test_regex_that_matches_nothing_but_the_empty_text_is_a_hit(judge: Judge) -> None:
    assert judge("regex", "x*", "") == [Score(True, "matches the empty text", "regex /x*/", "regex")]


def test_a_doubtful_pattern_raises_no_warning(judge: Judge) -> None:
    assert judge("regex", "[[a]", "a")[0].hit


def test_equals_ignores_white_space_around_and_nothing_else(judge: Judge) -> None:
    assert judge("equals", "yes", "\n yes \n") == [Score(True, '"yes"', 'equals "yes"', "equals")]
    assert judge("equals", "the answer is yes", "the answer is no") == [
        Score(
            False,
            'differs at character 15: "the answer is no" where "the answer is yes" was expected',
            'equals "the answer is yes"',
            "equals",
        )
    ]


def test_equals_counts_case_unless_told_not_to(judge: Judge) -> None:
    assert not judge("equals", "yes", "Yes")[0].hit
    assert judge("equals", "yes", "Yes", case_sensitive=False)[0].hit


def test_equals_says_that_the_reply_is_empty(judge: Judge) -> None:
    assert judge("equals", "yes", "")[0].evidence == "the reply is empty"


@pytest.mark.parametrize(
    ("name", "value", "hit"),
    [
        ("contains", "9.0", True),
        ("contains", "void", False),
        ("contains_any", ["void", "9.0"], True),
        ("contains_any", ["void"], False),
        ("not_contains", "void", True),
        ("regex", r"\Aarch", True),
        ("equals", 'arch = ["9.0"]', True),
        ("equals", "arch", False),
    ],
)
def test_output_file_limits_a_check_to_that_file(judge: Judge, name: str, value: JSON, hit: bool) -> None:
    (score,) = judge(name, value, TOML, output_file="build.toml")
    assert score.hit is hit
    assert score.expected.endswith(" in build.toml")


@pytest.mark.parametrize("name", ["contains", "contains_any", "not_contains", "regex", "equals"])
def test_a_file_that_is_not_in_the_reply_is_a_miss(judge: Judge, name: str) -> None:
    (score,) = judge(name, "x", TOML, output_file="setup.py")
    assert not score.hit
    assert score.evidence == "no fenced block names 'setup.py'; the reply has: build.toml, src/x.cu"


def test_blocks_without_a_name_are_listed_by_language(judge: Judge) -> None:
    reply = "```toml\n```\n```\n```\n"
    evidence = "no fenced block names 'a.py'; the reply has: an unnamed toml block, an unnamed block"
    assert judge("contains", "x", reply, output_file="a.py")[0].evidence == evidence
    evidence = "no fenced block names 'a.py'; the reply has: no fenced block"
    assert judge("contains", "x", "", output_file="a.py")[0].evidence == evidence


@pytest.mark.parametrize("name", ["contains", "contains_any", "not_contains", "regex"])
@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ([], "needs at least one string, not an empty list"),
        ("", "needs a string that is not empty"),
        (["a", ""], "needs a string that is not empty"),
        (3, "needs a string or a list of strings, not 3"),
        (["a", None], "needs a string or a list of strings, not null"),
        ({"a": 1}, "needs a string or a list of strings, not an object"),
        (True, "needs a string or a list of strings, not true"),
    ],
)
def test_a_value_that_is_not_text_is_refused(refusal: Refusal, name: str, value: JSON, sentence: str) -> None:
    assert refusal(name, value) == f"{name} {sentence}"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"case_sensitive": "yes"}, 'case_sensitive must be true or false, not "yes"'),
        ({"output_file": ""}, "output_file must be the name of a file, not an empty string"),
        ({"output_file": ["a"]}, "output_file must be the name of a file, not a list"),
    ],
)
def test_a_wrong_option_is_refused(refusal: Refusal, options: dict[str, JSON], sentence: str) -> None:
    assert refusal("contains", "x", **options) == sentence
    assert refusal("equals", "x", **options) == sentence


def test_equals_refuses_what_is_not_a_string(refusal: Refusal) -> None:
    assert refusal("equals", ["a"]) == "equals needs a string that is not empty, not a list"
    assert refusal("equals", " ") == "equals needs a string that is not empty, not an empty string"


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("a(", "regex /a(/ is not a valid pattern: missing ), unterminated subpattern (at position 1)"),
        ("*", "regex /*/ is not a valid pattern: nothing to repeat (at position 0)"),
        (
            "a{99999999999}",
            "regex /a{99999999999}/ is not a valid pattern: the repetition number is too large",
        ),
    ],
)
def test_a_pattern_that_cannot_be_compiled_is_refused(refusal: Refusal, pattern: str, sentence: str) -> None:
    assert refusal("regex", ["fine", pattern]) == sentence


def test_a_reply_that_was_cut_off_is_said_to_be(judge: Judge) -> None:
    (score,) = judge("contains", "end", Reply("no", stop_reason="length"))
    assert score.evidence == "the reply was cut off at max_tokens; nothing like it in the reply"
