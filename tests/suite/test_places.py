from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.suite.places import JsonPlaces, Key, dotted, yaml_line

TEXT = """{
  "a": {"b": 1,
        "c":
          [true,
           {"d": "e, {\\"f\\": 1}"}]},

  "": [[], "x"], "g": null
}
"""


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (["a"], 2),
        (["a", "b"], 2),
        (["a", "c"], 3),
        (["a", "c", 0], 4),
        (["a", "c", 1], 5),
        (["a", "c", 1, "d"], 5),
        (["a", "c", 1, "f"], 5),
        (["", 1], 7),
        (["g"], 7),
        (["g", "h", 3], 7),
        (["nowhere"], None),
        ([], None),
    ],
)
def test_the_line_is_that_of_the_deepest_key_that_is_there(keys: list[Key], line: int | None) -> None:
    assert JsonPlaces(TEXT).line(keys) == line


def test_exactly_wants_all_the_keys() -> None:
    places = JsonPlaces(TEXT)
    assert places.exactly(["a", "c", 1]) == 5
    assert places.exactly(["a", "c", 2]) is None


@pytest.mark.parametrize("text", ["[]", "{}", "1", '"x"', "null", "[[]]"])
def test_documents_of_any_shape_are_read(text: str) -> None:
    assert JsonPlaces(text).line(["x"]) is None


def test_the_first_key_that_recurs_is_known() -> None:
    assert JsonPlaces('{"a": {"b": 1},\n "c": {"b": 1,\n "b": 2}}').twice == ("b", 3)
    assert JsonPlaces(TEXT).twice is None


def test_fifty_thousand_levels_are_read_without_recursion() -> None:
    assert JsonPlaces("[" * 50_000 + "]" * 50_000).line([0, 0]) == 1


JSON_DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


def every(data: object, keys: tuple[Key, ...] = ()) -> list[tuple[Key, ...]]:
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [found for key, item in pairs for found in [(*keys, key), *every(item, (*keys, key))]]


@settings(deadline=None)
@given(JSON_DATA)
def test_every_key_of_any_document_has_its_place(data: object) -> None:
    places = JsonPlaces(json.dumps(data, indent=1))
    lines = json.dumps(data, indent=1).split("\n")
    for keys in every(data):
        line = places.exactly(keys)
        assert line is not None
        if isinstance(keys[-1], str):
            assert lines[line - 1].strip().startswith(json.dumps(keys[-1]) + ":")


def test_yaml_keys_have_lines_too() -> None:
    text = "models:\n  a:\n    provider: x\nlist:\n- one\n- two\n4: y\n"
    assert yaml.safe_load(text)
    assert yaml_line(text, ["models", "a", "provider"]) == 3
    assert yaml_line(text, ["models", "a", "nothing"]) == 2
    assert yaml_line(text, ["list", 1]) == 6
    assert yaml_line(text, ["4"]) == 7
    assert yaml_line(text, ["none"]) is None
    assert yaml_line("", ["none"]) is None


def test_keys_are_written_with_dots_and_brackets() -> None:
    assert dotted(["cases", 0, "expected", "contains"]) == "cases[0].expected.contains"
    assert dotted([3, "id"]) == "[3].id"
