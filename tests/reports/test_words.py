"""Plurals, and text that a terminal shows and does not obey."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.reports.words import counted, folded, quoted_line, wrapped

ANY_TEXT = st.text(st.characters(exclude_categories=()))


def test_counts_carry_their_noun() -> None:
    assert [counted(n, "case") for n in (0, 1, 2)] == ["0 cases", "1 case", "2 cases"]
    assert [counted(n, "reply", "replies") for n in (1, 2)] == ["1 reply", "2 replies"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\tindented\tby tabs", "    indented    by tabs"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("bell\a back\b nul\0 del\x7f c1\x9b", "bell\\x07 back\\x08 nul\\x00 del\\x7f c1\\x9b"),
        ("right\u202eto left", "right\\u202eto left"),
        ("lone \ud83d", "lone \\ud83d"),
        ("日本語\u3000\xe9\xa0\U0001f600", "日本語\u3000\xe9\xa0\U0001f600"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped_and_the_rest_is_left(text: str, shown: str) -> None:
    assert quoted_line(text) == shown


@settings(deadline=None)
@given(ANY_TEXT, st.integers(10, 30))
def test_a_quoted_line_is_harmless_and_not_longer_than_asked(text: str, most: int) -> None:
    line = quoted_line(text, most)
    line.encode()
    assert len(line) <= most
    assert len(line.splitlines()) <= 1
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in quoted_line(text))


def test_a_text_is_folded_to_one_printable_line() -> None:
    assert folded(" two\n\tlines \x1b ") == "two lines \\x1b"
    assert len(folded("x" * 10_000)) == 1000


@settings(deadline=None)
@given(st.lists(st.text("abc-", min_size=1, max_size=20)), st.integers(24, 90))
def test_wrapped_lines_are_no_wider_than_asked_and_keep_every_word(words: list[str], width: int) -> None:
    lines = wrapped(" ".join(words), width, "  ", "    ")
    assert all(len(line) <= width for line in lines)
    assert " ".join(lines).split() == words
