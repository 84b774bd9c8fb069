from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.providers.passages import Index, cut, estimate, split, split_plain, terms

MARKDOWN = """\
Preface.

# Guide

## Setup

A paragraph
on two lines.

- first item
  goes on
- second item

Write this:

```toml
# not a heading

a = 1
```

## Empty
## Use

| name | value |
| speed | fast |
"""
BLOCK = "Write this:\n\n```toml\n# not a heading\n\na = 1\n```"


def texts(markdown: str) -> list[str]:
    return [passage.text for passage in split(markdown)]


def best(markdown: str, question: str) -> str:
    index = Index(split(markdown))
    return index.passages[index.rank(question)[0]].text


def test_paragraphs_items_rows_and_blocks_are_passages() -> None:
    assert [(passage.heading, passage.text) for passage in split(MARKDOWN)] == [
        ("", "Preface."),
        ("## Setup", "A paragraph\non two lines."),
        ("## Setup", "- first item\n  goes on"),
        ("## Setup", "- second item"),
        ("## Setup", BLOCK),
        ("## Empty", ""),
        ("## Use", "| name | value |"),
        ("## Use", "| speed | fast |"),
    ]


def test_a_passage_knows_all_headings_above_it() -> None:
    assert split(MARKDOWN, "guide.md")[2].path == "guide.md Guide Setup"
    assert split(MARKDOWN, "guide.md")[-1].path == "guide.md Guide Use"


def test_windows_line_ends_change_nothing() -> None:
    assert split(MARKDOWN.replace("\n", "\r\n")) == split(MARKDOWN)


def test_a_longer_fence_keeps_the_shorter_ones_inside() -> None:
    text = "````md\n```toml\na = 1\n```\n````"
    assert texts(text) == [text]


@pytest.mark.parametrize("lost", ["```toml", "```"])
def test_a_lost_fence_does_not_swallow_what_follows(lost: str) -> None:
    text = "```toml\na = 1\n```\n\n- an item\n\n```sh\nls\n```"
    found = texts(text.replace(f"{lost}\n", "", 1))
    assert found == ["a = 1", "- an item", "```sh\nls\n```"]


def test_a_fence_that_never_closes_is_read_as_text() -> None:
    assert texts("Before.\n\n```sh\nls\n\n- an item") == ["Before.", "ls", "- an item"]


def test_lone_tags_are_no_text() -> None:
    assert texts('<skill name="x">\n\nText.\n\n</skill>') == ["Text."]


def test_a_text_that_is_not_markdown_is_cut_at_blank_lines() -> None:
    found = split_plain("# one\nx = 1\n\n \ny = 2\n", "a.py")
    assert [(passage.path, passage.text) for passage in found] == [
        ("a.py", "# one\nx = 1"),
        ("a.py", "y = 2"),
    ]


@pytest.mark.parametrize(
    ("word", "same"),
    [
        ("sm_90a", "sm_90a"),
        ("cuda-capabilities", "capability"),
        ("build.toml", "TOML"),
        ("kernels", "kernel"),
        ("wrapped", "wrap"),
        ("files", "file"),
        ("strings", "string"),
        ("classes", "class"),
    ],
)
def test_words_meet_in_their_parts_and_stems(word: str, same: str) -> None:
    assert set(terms(word)) & set(terms(same))


@pytest.mark.parametrize(
    ("word", "other"), [("sm_90a", "sm_80"), ("9.0", "8.0"), ("cp.async", "async_copy.x")]
)
def test_a_compound_is_also_a_word_of_its_own(word: str, other: str) -> None:
    assert word in set(terms(word))
    assert word not in set(terms(other))


def test_words_that_say_nothing_are_left_out() -> None:
    assert list(terms("What is it that a ...?")) == []


def test_the_rare_word_wins_over_the_common_one() -> None:
    text = "- kernel one\n- kernel two\n- kernel three has a guard"
    assert best(text, "kernel guard") == "- kernel three has a guard"


def test_a_heading_counts_for_its_passages() -> None:
    text = "## Lists\n\nSorted in place.\n\n## Tuples\n\nSorted into a list of their own."
    assert best(text, "How are tuples sorted?") == "Sorted into a list of their own."


def test_ties_go_to_the_earlier_passage() -> None:
    index = Index(split("- same words\n- same words\n- same words\n- other"))
    assert index.rank("same words") == [0, 1, 2]


def test_nothing_in_common_ranks_nothing() -> None:
    assert Index(split(MARKDOWN)).rank("zebra") == []
    assert Index([]).rank("zebra") == []


def test_bm25_is_the_published_formula() -> None:
    # Two passages of 1 and 3 words: idf = ln(1 + 1.5 / 1.5); mean length 2; k1 = 1.2, b = 0.5.
    index = Index(split("- apple\n- pear pear plum"))
    (weight,) = [weight for number, weight in index.postings["pear"] if number == 1]
    norm = 1.2 * (0.5 + 0.5 * 3 / 2)
    assert weight == pytest.approx(0.6931471805599453 * 2 * 2.2 / (2 + norm))


@pytest.mark.parametrize(
    "text",
    [
        "```\n" * 50_000,
        "```a\n" * 50_000,
        "```a\n~~~b\n" * 25_000,
        "````a\n" + "```b\n" * 50_000,
        "`" * 100_000,
        "# " * 100_000,
        "<a" * 100_000,
        "# " + "word " * 50_000 + "\n" + "- item\n" * 2_000,
        " \n" * 100_000,
    ],
    ids=["bare", "named", "two kinds", "open long", "one line", "hashes", "tags", "heading", "blanks"],
)
def test_odd_texts_are_read_in_linear_time(text: str) -> None:
    start = time.perf_counter()
    Index([*split(text), *split_plain(text, "x.txt")]).rank("item word")
    assert time.perf_counter() - start < 5


def test_a_word_and_a_mark_are_each_a_token() -> None:
    assert estimate("Write `edition = 5`.") == 7
    assert estimate("") == 0


@settings(deadline=None)
@given(st.text(), st.integers(min_value=0, max_value=20))
def test_a_cut_is_a_beginning_within_the_tokens(text: str, tokens: int) -> None:
    beginning = cut(text, tokens)
    assert text.startswith(beginning)
    assert estimate(beginning) == min(tokens, estimate(text))


@settings(deadline=None)
@given(st.text(alphabet="ab#-` |<>~\n\r.1\t", max_size=200))
def test_no_word_is_lost_outside_fences_and_tags(text: str) -> None:
    joined = " ".join(f"{passage.path} {passage.text}" for passage in split(text))
    kept = "\n".join(line for line in text.splitlines() if not {"`", "~", "<"} & set(line))
    assert {word for word in kept.split() if word.isalnum()} <= {word.strip() for word in joined.split()} | {
        ""
    }
