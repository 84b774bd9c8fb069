from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.scorers.evidence import closest, described, fold, quoted, scored
from pytest_upskill.types import Check, Reply


@pytest.mark.parametrize(
    ("wanted", "evidence"),
    [
        ("9.0", 'nearest: Use arch = ["8.0"] and  nothing else.'),
        ("compute capability 9", "nothing like it in the reply"),
        ("USE ARCH", 'differs in case: Use arch = ["8.0"] and  nothing else.'),
        ("and nothing", 'differs in white space: Use arch = ["8.0"] and nothing else.'),
        ('arch = ["9.0"]', 'nearest: Use arch = ["8.0"] and nothing else.'),
        ("zzz", "nothing like it in the reply"),
    ],
)
def test_a_miss_shows_what_comes_nearest(wanted: str, evidence: str) -> None:
    text = 'Use arch = ["8.0"] and  nothing else.'
    assert closest(text, wanted, "the reply") == " ".join(evidence.split())


def test_an_empty_text_is_said_to_be_empty() -> None:
    assert closest(" \n", "x", "build.toml") == "build.toml is empty"


def test_evidence_is_one_line_without_control_characters() -> None:
    assert fold("a\n\n b\t\x1b[31m\ud800") == "a b ?[31m?"


def test_quoted_text_keeps_its_spaces() -> None:
    assert quoted("class \n") == '"class \\n"'


@settings(deadline=None)
@given(st.text(max_size=600), st.text(min_size=1, max_size=60))
def test_evidence_is_always_one_printable_line_of_at_most_160_characters(text: str, wanted: str) -> None:
    score = scored(
        Reply(text), Check("contains", wanted), False, closest(text, wanted, "the reply"), quoted(wanted)
    )
    assert len(score.evidence) <= 160
    assert len(score.expected) <= 160
    assert score.evidence.isprintable()


def test_a_miss_of_a_reply_that_was_cut_off_says_so() -> None:
    score = scored(Reply("x", stop_reason="length"), Check("contains", "y"), False, "nothing", "y")
    assert score.evidence == "the reply was cut off at max_tokens; nothing"


def test_a_hit_of_a_reply_that_was_cut_off_does_not() -> None:
    assert scored(Reply("x", stop_reason="length"), Check("contains", "x"), True, "x", "x").evidence == "x"


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (Check("regex", "^fix"), "regex /^fix/"),
        (Check("regex", ["a", "b"]), "regex /a/, /b/"),
        (Check("python", "checks:ok"), 'python "checks:ok"'),
        (Check("data", {}), "data"),
    ],
)
def test_a_check_is_described_as_a_person_would(check: Check, words: str) -> None:
    assert described(check) == words


@pytest.mark.parametrize("word", ["capability", "capabilit{}", "ca{}"])
def test_evidence_for_a_miss_in_10_kb_takes_few_milliseconds(word: str) -> None:
    text = " ".join(word.format(number) for number in range(1000))
    times = []
    for _ in range(5):
        start = time.process_time()
        closest(text, "kapability9", "the reply")
        times.append(time.process_time() - start)
    # 5 ms is the aim; four times that here, for a loaded machine.
    assert min(times) < 0.02
