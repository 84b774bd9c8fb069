from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.scorers.paths import AbsentError, difference, look_up, parse_path, show
from pytest_upskill.types import JSON

DATA: JSON = {"compute": {"arch": ["8.0", "8.6"], "a.b": {"c": 1}}, "n": None}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("compute.arch[0]", "8.0"),
        ("compute.arch[-1]", "8.6"),
        ("compute.arch.1", "8.6"),
        ('compute["a.b"].c', 1),
        ("n", None),
    ],
)
def test_a_path_leads_through_keys_and_positions(path: str, found: JSON) -> None:
    assert look_up(DATA, path) == found


def test_a_position_may_come_first() -> None:
    assert look_up([{"a": 1}], "[0].a") == 1


def test_a_key_that_is_no_text_is_found_by_its_json_form() -> None:
    data = {8: "a", True: "b", None: "c"}
    assert [look_up(data, path) for path in ("8", "true", "null")] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("compute.caps", 'no "caps" in compute; it has: arch, a.b'),
        ("x", 'no "x" in the top level; it has: compute, n'),
        ("compute.arch[2]", 'compute.arch has only 2 items: ["8.0", "8.6"]'),
        ("compute.arch.x", 'compute.arch is a list of 2 items, not an object with "x"'),
        ("compute.arch[0].x", 'compute.arch[0] is "8.0", which holds no "x"'),
        ('compute["a.b"].d', 'no "d" in compute["a.b"]; it has: c'),
        ("n.x", 'n is null, which holds no "x"'),
    ],
)
def test_what_is_not_there_is_told_with_what_is(path: str, sentence: str) -> None:
    with pytest.raises(AbsentError) as caught:
        look_up(DATA, path)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("path", "place"), [("", 1), ("a..b", 2), ("a[", 2), ("a[x]", 2), ("a.", 2), (".a[0]b", 6)]
)
def test_a_path_that_cannot_be_read_is_refused(path: str, place: int) -> None:
    with pytest.raises(ValueError, match="cannot be read") as caught:
        parse_path(path)
    assert f"at character {place};" in str(caught.value)


@pytest.mark.parametrize(
    ("found", "expected", "sentence"),
    [
        ({"a": [1]}, {"a": [1.0]}, ""),
        (True, 1, "the top level is true, not 1"),
        (0, False, "the top level is 0, not false"),
        (9.0, "9.0", 'the top level is 9.0, not "9.0"'),
        (date(2024, 1, 2), "2024-01-02", ""),
        (None, "", 'the top level is null, not ""'),
        ({"a": 1}, {"b": 1}, 'no "b" in the top level; it has: a'),
        ({"a": 1, "b": 2}, {"a": 1}, 'the top level has also "b"'),
        ({"a": [1, 2]}, {"a": [1]}, "a has 2 items, not 1: [1, 2]"),
        ([1], {"a": 1}, "the top level is [1], not {a: 1}"),
        ({"a": {"b.c": [1, 5]}}, {"a": {"b.c": [1, 2]}}, 'a["b.c"][1] is 5, not 2'),
    ],
)
def test_the_first_difference_is_told(found: object, expected: JSON, sentence: str) -> None:
    assert difference(found, expected) == sentence


def test_long_and_deep_data_is_shown_in_short() -> None:
    assert show({"a": {"b": {"c": 1}}, "l": list(range(9))}) == (
        "{a: {b: {...}}, l: [0, 1, 2, 3, 4, 5, ...]}"
    )
    assert show(10**5000) == "a huge number"


def test_data_that_holds_itself_can_be_shown_and_compared() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert show(endless) == "[[[...]]]"
    assert difference(endless, [[1]]) == "[0][0] is [[[...]]], not 1"


@settings(deadline=None)
@given(json_values)
def test_data_does_not_differ_from_itself(value: JSON) -> None:
    assert difference(value, value) == ""


@settings(deadline=None)
@given(json_values, json_values)
def test_data_differs_where_it_is_not_equal(one: JSON, other: JSON) -> None:
    if one != other:
        assert difference(one, other)
