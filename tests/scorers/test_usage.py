from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_upskill.errors import ScorerError
from pytest_upskill.types import JSON, Reply, Score, Usage

Judge = Callable[..., list[Score]]
Refusal = Callable[..., str]


@pytest.mark.parametrize(("used", "hit"), [(500, True), (501, False)])
def test_output_tokens_are_those_that_the_server_counted(judge: Judge, used: int, hit: bool) -> None:
    reply = Reply("x", usage=Usage(1, used))
    expected = [Score(hit, f"{used} output tokens", "at most 500 output tokens", "max_output_tokens")]
    assert judge("max_output_tokens", 500, reply) == expected


def test_output_tokens_that_nobody_counted_are_an_error(judge: Judge) -> None:
    with pytest.raises(ScorerError) as caught:
        judge("max_output_tokens", 500, Reply("x"))
    assert str(caught.value) == (
        "max_output_tokens: the server did not report how many output tokens it used; "
        "let it report usage, or remove this check"
    )


@pytest.mark.parametrize(("latency", "hit"), [(1.5, True), (1.51, False)])
def test_latency_is_in_seconds(judge: Judge, latency: float, hit: bool) -> None:
    reply = Reply("x", latency=latency)
    assert judge("max_latency", 1.5, reply) == [Score(hit, f"{latency:.2f} s", "within 1.5 s", "max_latency")]


@pytest.mark.parametrize(
    ("value", "words"), [(0, "0"), (-1, "-1"), (1.5, "1.5"), (True, "true"), ("9", '"9"')]
)
def test_a_token_limit_is_a_whole_number_above_0(refusal: Refusal, value: JSON, words: str) -> None:
    assert (
        refusal("max_output_tokens", value) == f"max_output_tokens needs a whole number above 0, not {words}"
    )


@pytest.mark.parametrize(
    ("value", "words"), [(0, "0"), (-0.5, "-0.5"), (float("nan"), "nan"), (None, "null")]
)
def test_a_latency_limit_is_a_number_above_0(refusal: Refusal, value: JSON, words: str) -> None:
    assert refusal("max_latency", value) == f"max_latency needs a number of seconds above 0, not {words}"
