from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.scorers.formats import FORMATS, parse


@pytest.mark.parametrize(
    ("form", "text", "message"),
    [
        ("json", '{\n"a" 1}', "line 2 column 5: Expecting ':' delimiter"),
        ("json", "[NaN]", "NaN is not JSON"),
        ("json", "[" * 100_000, "it is nested too deeply"),
        ("toml", "a = 1\nb =", "Invalid value (at end of document)"),
        ("yaml", "a: 1\n  b: 2", "line 2 column 4: mapping values are not allowed"),
        ("yaml", "a: 2024-99-99", "month must be in 1..12"),
        ("yaml", "? [a]\n: 1\n", "line 1 column 3: found unhashable key"),
        ("yaml", "a: !!python/object:os.system x", "line 1 column 4: could not determine a constructor"),
    ],
)
def test_a_mistake_names_its_line(form: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        parse(form, text)


def test_toml_with_windows_line_ends_is_read() -> None:
    assert parse("toml", 'a = """x\r\ny"""\r\n') == {"a": "x\ny"}


@settings(deadline=None)
@given(st.sampled_from(FORMATS), st.text(alphabet="ab:{}[]\"'\n -&*!<=1.0#,?%@|>\t", max_size=80))
def test_any_text_is_data_or_a_value_error(form: str, text: str) -> None:
    try:
        parse(form, text)
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize("text", ["x: !!bool maybe", "x: !!timestamp soon", "x: !!int many"])
def test_a_yaml_tag_that_does_not_fit_is_a_mistake_and_no_crash(text: str) -> None:
    with pytest.raises(ValueError, match=r"[a-z]"):
        parse("yaml", text)
