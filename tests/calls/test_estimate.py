"""Estimates: prompts by their length, replies by what the store has seen, time by how many run side by side."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_upskill.calls.estimate import Estimate, Estimator, Expected
from pytest_upskill.calls.prices import Prices
from pytest_upskill.calls.store import History
from pytest_upskill.types import Account, Message, Model, Price, Request

MODEL = Model("m", "fake", "fake-1", price=Price(1.0, 10.0))
UNPRICED = replace(MODEL, price=None)


def estimator(seen: History | None = None) -> Estimator:
    return Estimator(Prices(), lambda model: seen)


def test_a_call_is_as_long_as_its_prompt_and_the_replies_before_it() -> None:
    request = Request("fake-1", "s" * 400, (Message("user", "u" * 399), Message("assistant", "a")))
    found = estimator(History(3, 1e6, 99.5, 2.0)).call(MODEL, request)
    assert found == Expected(200 + 100, (200 * 1.0 + 100 * 10.0) / 1e6)
    assert estimator().call(UNPRICED, request) == Expected(200 + 500, None)


@pytest.mark.parametrize(
    ("parameters", "tokens"),
    [
        ({}, 500),
        ({"max_tokens": 100}, 100),
        ({"max_completion_tokens": 100}, 100),
        ({"max_tokens": 4096}, 500),
        ({"max_tokens": "many"}, 500),
    ],
)
def test_a_reply_of_which_nothing_is_known_is_no_longer_than_it_may_be(
    parameters: dict[str, int | str], tokens: int
) -> None:
    found = estimator().calls(replace(MODEL, parameters=parameters), [4])
    assert (found.input_tokens, found.output_tokens) == (1, tokens)


def test_calls_add_up() -> None:
    found = estimator(History(1, None, 10.0, None)).calls(MODEL, [40, 41, 0])
    assert found.cost == pytest.approx((21 * 1.0 + 30 * 10.0) / 1e6)
    assert replace(found, cost=None) == Estimate(3, 10 + 11, 30, None, None)


def test_no_call_takes_nothing_and_asks_nobody() -> None:
    def history(model: Model) -> History | None:
        raise AssertionError(model)

    assert Estimator(Prices(), history).calls(UNPRICED, []) == Estimate(0, 0, 0, 0.0, 0.0)


def test_a_batch_costs_its_part_and_takes_nobody_knows_how_long() -> None:
    seen = History(1, None, 10.0, 3.0)
    whole, half = (estimator(seen).calls(MODEL, [40, 40], discount) for discount in (None, 0.5))
    assert whole.cost is not None
    assert half == replace(whole, cost=whole.cost / 2, seconds=None, batched=True)
    assert estimator(seen).calls(UNPRICED, [40], 0.5).cost is None


SECONDS: list[tuple[Model, int, float]] = [
    (MODEL, 160, 10 * 2.0),
    (MODEL, 3, 2.0),
    (replace(MODEL, concurrency=4), 160, 40 * 2.0),
    (replace(MODEL, requests_per_minute=60), 160, 160.0),
    (replace(MODEL, tokens_per_minute=6_000), 160, 160 * (10 + 90) / 100),
    (replace(MODEL, requests_per_minute=6_000), 160, 10 * 2.0),
]


@pytest.mark.parametrize(("model", "calls", "seconds"), SECONDS)
def test_time_is_latency_side_by_side_within_the_configured_rates(
    model: Model, calls: int, seconds: float
) -> None:
    found = estimator(History(1, None, 90.0, 2.0)).calls(model, [40] * calls)
    assert found.seconds == pytest.approx(seconds)


ACCOUNTS: list[tuple[Account, float]] = [
    (Account(), 10 * 2.0),
    (Account(concurrency=4), 40 * 2.0),
    (Account(concurrency=40), 10 * 2.0),
    (Account(requests_per_minute=60), 160.0),
    (Account(tokens_per_minute=6_000), 160 * (10 + 90) / 100),
]


@pytest.mark.parametrize(("account", "seconds"), ACCOUNTS)
def test_the_limits_of_an_account_hold_for_all_of_its_models_together(
    account: Account, seconds: float
) -> None:
    found = Estimator(Prices(), lambda _: History(1, None, 90.0, 2.0), {"team": account})
    one, other = (replace(MODEL, name=name, account="team") for name in "ab")
    assert found.calls(one, [40] * 160).seconds == pytest.approx(seconds)
    assert found.calls(MODEL, [40] * 160).seconds == pytest.approx(20)  # of no account
    shared = found.shared([(one, 100, 10_000), (other, 60, 6_000), (MODEL, 999, 99_999)])
    assert max(shared, 20) == pytest.approx(seconds)


@pytest.mark.parametrize("seen", [None, History(1, 1.0, 1.0, None)])
def test_where_no_latency_is_known_no_time_is(seen: History | None) -> None:
    assert estimator(seen).calls(MODEL, [4]).seconds is None


def test_the_store_is_asked_once_for_each_model() -> None:
    asked = []

    def history(model: Model) -> History | None:
        asked.append(model.name)
        return None

    found = Estimator(Prices(), history)
    for model in (MODEL, replace(MODEL, name="n")):
        for _ in range(3):
            found.calls(model, [4, 4])
            found.call(model, Request("fake-1", "", ()))
    assert asked == ["m", "n"]
