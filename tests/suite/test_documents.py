from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.suite.documents import Mistake, load_json, load_yaml

HALF = "not readable: it holds half of a surrogate pair (\\ud800 to \\udfff), which is no character"


def refusal(load: Callable[[str], object], text: str) -> tuple[str, int | None, int | None]:
    with pytest.raises(Mistake) as caught:
        load(text)
    return caught.value.words, caught.value.line, caught.value.column


@pytest.mark.parametrize(
    ("text", "words", "line", "column"),
    [
        ('{"a": 1,\n "b" 2}', "not valid JSON: expecting ':' delimiter", 2, 6),
        ("", "not valid JSON: expecting value", 1, 1),
        ('{"a": 1}\n[]', "not valid JSON: extra data", 2, 1),
        ("[1,\n]", "not valid JSON: illegal trailing comma before end of array", 1, 3),
        ('["\t"]', "not valid JSON: invalid control character at", 1, 3),
        ("[NaN]", "not valid JSON: NaN is no number of JSON", None, None),
        ("[-Infinity]", "not valid JSON: -Infinity is no number of JSON", None, None),
        ("[1e999]", "not readable: the number 1e999 is too large", None, None),
        ("9" * 5000, "not readable: a whole number has too many digits", None, None),
        ("[" * 100_000, "not readable: it is nested too deeply", None, None),
        ('["\\ud83d"]', HALF, None, None),
        ('{"\\udc00": 1}', HALF, None, None),
        (
            '{"a": 1,\n"b": {"c": 1, "c": 2}}',
            "the key 'c' stands twice in one object: only the last would count",
            2,
            None,
        ),
    ],
)
def test_json_is_refused_with_its_place(text: str, words: str, line: int | None, column: int | None) -> None:
    given_words, *place = refusal(load_json, text)
    if "trailing comma" in words:  # the standard library found these words in Python 3.13
        assert given_words.startswith("not valid JSON: ")
    else:
        assert (given_words, *place) == (words, line, column)


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert load_json('["\\ud83d\\ude00"]') == ["\U0001f600"]


def test_a_large_object_is_read_in_no_time() -> None:
    data = {f"key {n}": n for n in range(100_000)}
    assert load_json(json.dumps(data)) == data


@pytest.mark.parametrize(
    ("text", "words", "line", "column"),
    [
        ("a: b: c", "not valid YAML: mapping values are not allowed here", 1, 5),
        ("a: 1\nb: [", "not valid YAML: expected the node content, but found '<stream end>'", 2, 5),
        ("a: 1\nb: \x07", "not valid YAML: the character U+0007 is not allowed", 2, None),
        ("a: 1\n\na: 2", "the key 'a' stands twice: only the last would count", 3, 1),
        ("a: {b: 1, b: 1}", "the key 'b' stands twice: only the last would count", 1, 11),
        ("on: 1\nwhen: 2020-13-45", "not readable: '2020-13-45' is no value of its YAML type: quote it", 2, 7),
        ("a: !!bool maybe", "not readable: 'maybe' is no value of its YAML type: quote it", 1, 4),
        ("!!timestamp x: 1", "not readable: 'x' is no value of its YAML type: quote it", 1, 1),
        ("a: .nan", "not readable: .nan and .inf are no numbers of JSON", None, None),
        ("&x [*x]", "not readable: an anchor holds itself", None, None),
        ("[" * 5000, "not readable: it is nested too deeply", None, None),
        ('"\\ud800"', HALF, None, None),
        ("--- 1\n--- 2", "not valid YAML: but found another document", 2, 1),
        ("!!python/object/apply:os.system ['false']", ("not valid YAML: could not determine a constructor for "
         "the tag 'tag:yaml.org,2002:python/object/apply:os.system'"), 1, 1),
    ],
)  # fmt: skip
def test_yaml_is_refused_with_its_place(text: str, words: str, line: int | None, column: int | None) -> None:
    assert refusal(load_yaml, text) == (words, line, column)


def test_yaml_becomes_what_json_can_hold() -> None:
    text = "when: 2026-01-02\n4: {on: yes}\nset: !!set {a}\nraw: !!binary aGk=\nbase: &b {x: 1}\nmore: {<<: *b, x: 2}"
    assert load_yaml(text) == {
        "when": "2026-01-02",
        "4": {"True": True},
        "set": ["a"],
        "raw": "b'hi'",
        "base": {"x": 1},
        "more": {"x": 2},
    }


def test_nothing_in_yaml_is_none() -> None:
    assert load_yaml("") is None
    assert load_yaml("# a comment\n") is None


def test_a_bomb_of_aliases_stays_small() -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    data = load_yaml("\n".join(lines))
    assert isinstance(data, dict)
    assert len(data) == 30


@settings(deadline=None)
@given(st.text() | st.text(alphabet="{}[]:,&*!|>'\"#%@-? \n\tab01.~<="))
def test_any_text_is_data_or_a_mistake(text: str) -> None:
    for load in (load_json, load_yaml):
        try:
            json.dumps(load(text), ensure_ascii=False, allow_nan=False).encode()
        except Mistake as error:
            assert error.words
