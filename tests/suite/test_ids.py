from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.suite.ids import RESERVED_ID, is_id, make_id

# What a case's input can be: any characters, but no half ones.
INPUTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)
TASKS = INPUTS | st.lists(st.sampled_from(["gate", "Build", "a", "b-b", "1", "é", "x" * 60]), min_size=1).map(
    " ".join
)


def ids(inputs: list[str]) -> list[str]:
    made: list[str] = []
    for text in inputs:
        made.append(make_id(text, made))
    return made


@settings(deadline=None)
@given(st.lists(TASKS, max_size=12))
def test_ids_are_always_valid_unique_and_never_the_reserved_one(inputs: list[str]) -> None:
    made = ids(inputs)
    assert all(is_id(name) for name in made)
    assert len(set(made)) == len(made)
    assert RESERVED_ID not in made


@settings(deadline=None)
@given(st.lists(TASKS, max_size=8), st.lists(TASKS, max_size=4))
def test_ids_stay_when_cases_are_added_below(inputs: list[str], more: list[str]) -> None:
    assert ids(inputs + more)[: len(inputs)] == ids(inputs)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Create a build.toml for H100", "create-a-build-toml-for-h100"),
        ("  What?!  ", "what"),
        ("a" * 100, "a" * 48),
        ("word " * 30, "-".join(["word"] * 9)),
        ("Gate", "case-fa77a525"),
        ("???", "case-a03b221c"),
        ("Größe", "case-aedc3f80"),
    ],
)
def test_an_id_is_made_of_the_first_words(text: str, name: str) -> None:
    assert make_id(text, []) == name


def test_inputs_that_begin_alike_keep_their_ids_when_another_one_goes() -> None:
    start = "Write a very long and always equal beginning of a task, and then "
    first, second, third = ids([start + end for end in ("one", "two", "three")])
    assert len({first, second, third}) == 3
    assert ids([start + "one", start + "three"]) == [first, third]


def test_equal_inputs_are_numbered() -> None:
    assert ids(["Same", "Same", "Same"]) == ["same", "same-2a98b1de", "same-2a98b1de-2"]


@pytest.mark.parametrize("text", ["", "A", "a_b", "a" * 65, "é", "a\n", "a b"])
def test_what_is_no_id(text: str) -> None:
    assert not is_id(text)


@pytest.mark.parametrize("text", ["a", "0", "a--b", "-a-", "a" * 64])
def test_what_is_an_id(text: str) -> None:
    assert is_id(text)
