"""How near to the ideal an unknown limit is found, and with how few refusals: simulated, nothing really waits."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from pytest_upskill.types import Model
from tests.calls.rated import (
    Busy,
    FixedWindow,
    Generous,
    RetryAfter,
    Seen,
    Server,
    SlidingWindow,
    Telling,
    TokenBucket,
    Whimsical,
    World,
)

CALLS = 400
RETRY_AFTER: dict[str, RetryAfter] = {
    "exact": lambda exact: exact,
    "whole seconds": lambda exact: float(math.ceil(exact)),
    "half a second": lambda _: 0.5,
    "too short": lambda _: 0.05,
    "none": lambda _: None,
}
retry_after = pytest.mark.parametrize("said", RETRY_AFTER)


def model(concurrency: int | None = None) -> Model:
    return Model("m", "fake", "m", concurrency=concurrency)


def seen(
    server: Server, calls: int = CALLS, *, concurrency: int | None = None, said: str = "exact", **more: float
) -> Seen:
    world = World(server, retry_after=RETRY_AFTER[said], **more)  # type: ignore[arg-type]
    return world.run(calls, model(concurrency))


def ideal(rate: float, burst: float, latency: float, concurrency: int = 16) -> float:
    return max((CALLS - burst) / rate + latency, CALLS / concurrency * latency)


def pauses(found: Seen) -> int:
    """Return how many refusals were news: those at one time are one."""
    times = sorted(found.refusals)
    return sum(later - time > 0.03 for time, later in zip([-1.0, *times], times, strict=False))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("latency", [0.01, 0.05, 0.2, 0.5])
@retry_after
def test_an_unknown_rate_is_met_within_a_tenth_with_fewer_than_twenty_refusals(
    said: str, latency: float, seed: int
) -> None:
    found = seen(TokenBucket(20, 20), said=said, latency=latency, seed=seed)
    assert found.wall <= 1.1 * ideal(20, 20, latency)
    assert found.refused < 20
    assert len(found.served) == CALLS


@pytest.mark.parametrize("latency", [0.01, 0.2, 1.0])
@retry_after
def test_a_number_of_calls_that_is_too_large_costs_little_more_than_its_first_burst(
    said: str, latency: float
) -> None:
    found = seen(TokenBucket(20, 20), concurrency=64, said=said, latency=latency)
    assert found.wall <= 1.1 * ideal(20, 20, latency, 64)
    assert found.refused <= 64 - 20 + 10


@pytest.mark.parametrize("rate", [2, 20, 100])
@pytest.mark.parametrize("burst", [20, 60])
@pytest.mark.parametrize("latency", [0.01, 0.1, 0.3])
@retry_after
def test_any_rate_is_met_but_for_what_flows_over_while_the_server_wants_a_pause(
    rate: float, burst: float, latency: float, said: str
) -> None:
    found = seen(TokenBucket(rate, burst), said=said, latency=latency)
    longest = RETRY_AFTER[said](1 / rate) or 0.5
    lost = pauses(found) * max(0.0, longest - burst / rate)
    assert found.wall <= 1.1 * ideal(rate, burst, latency) + lost + 1.0
    assert found.refused <= 20


@pytest.mark.parametrize("rate", [2, 20])
@pytest.mark.parametrize("latency", [0.01, 0.1])
@retry_after
def test_a_server_without_a_burst_is_met_but_for_its_pauses(rate: float, latency: float, said: str) -> None:
    # It refuses calls that come a little early, which a network does to them at any pace near its rate.
    found = seen(TokenBucket(rate, 1), said=said, latency=latency)
    longest = RETRY_AFTER[said](1 / rate) or 0.5
    assert found.wall <= 1.2 * ideal(rate, 1, latency) + pauses(found) * max(0.0, longest - 1 / rate)
    assert found.refused <= 40


@pytest.mark.parametrize("concurrency", [None, 64])
@pytest.mark.parametrize(
    ("server", "best", "worst"),
    [
        (lambda: FixedWindow(20, 1.0), 19.0, 1.35),
        (lambda: FixedWindow(200, 10.0), 10.0, 1.5),
        (lambda: FixedWindow(60, 60.0), 360.0, 1.1),
        (lambda: SlidingWindow(20, 1.0), 19.0, 1.6),
        (lambda: SlidingWindow(200, 10.0), 10.0, 1.5),
    ],
)
def test_servers_that_count_by_windows_are_met_too(
    server: Callable[[], Server], best: float, worst: float, concurrency: int | None
) -> None:
    found = seen(server(), concurrency=concurrency, latency=0.1)
    assert found.wall <= worst * best
    assert found.refused < (20 if concurrency is None else 64)


class Changing:
    """A token bucket that becomes another one after so many seconds."""

    def __init__(self, before: float, after: float, seconds: float) -> None:
        self.before, self.after = TokenBucket(before, 20), TokenBucket(after, 20)
        self.after.level = 0.0
        self.seconds = seconds
        self.began: float | None = None

    def take(self, now: float) -> float | None:
        if self.began is None:
            self.began = now
        if now - self.began < self.seconds:
            self.after.at = now
            return self.before.take(now)
        return self.after.take(now)


def between(times: list[float], start: float, end: float) -> float:
    return sum(start <= time < end for time in times) / (end - start)


@retry_after
def test_a_rate_that_rises_is_found_within_some_tens_of_seconds(said: str) -> None:
    found = seen(Changing(20, 40, 20), 2000, concurrency=64, said=said)
    assert between(found.served, 50, 60) > 33


@retry_after
def test_a_rate_that_falls_is_kept_to_at_once(said: str) -> None:
    found = seen(Changing(40, 10, 20), 1200, concurrency=64, said=said)
    assert between(found.refusals, 20, 25) <= 5
    assert between(found.refusals, 25, 50) <= 0.6
    assert between(found.served, 25, 50) > 9


@pytest.mark.parametrize("said", ["exact", "too short", "none"])
@pytest.mark.parametrize(("concurrency", "worst"), [(None, 4.0), (64, 8.0)])
def test_refusals_that_come_whatever_is_sent_do_not_slow_down_for_ever(
    concurrency: int | None, worst: float, said: str
) -> None:
    found = seen(Whimsical(0.1, random.Random(3)), 2000, concurrency=concurrency, said=said)
    assert found.wall <= worst * 2000 / (concurrency or 16) * 0.2


@pytest.mark.parametrize("most", [1, 4, 10])
@pytest.mark.parametrize("said", ["exact", "none"])
def test_a_server_that_takes_so_many_at_a_time_is_kept_busy(most: int, said: str) -> None:
    found = seen(Busy(most), said=said, latency=0.5, jitter=0.5)
    assert found.wall <= 2 * CALLS * 0.5 / most
    assert found.refused < 100


@pytest.mark.parametrize("concurrency", [None, 64])
def test_a_server_that_refuses_nothing_is_never_slowed_down(concurrency: int | None) -> None:
    found = seen(Generous(), 2000, concurrency=concurrency, latency=0.1, jitter=0.0)
    assert found.wall <= 2000 / (concurrency or 16) * 0.1 + 0.4


@pytest.mark.parametrize("jitter", [0.2, 0.9])
@pytest.mark.parametrize(
    ("server", "best"),
    [
        (lambda: TokenBucket(10, 60), 34.0),
        (lambda: TokenBucket(1000 / 60, 300), 6.0),
        (lambda: FixedWindow(60, 60.0), 360.0),
    ],
)
def test_what_a_server_tells_of_its_limits_is_never_exceeded(
    server: Callable[[], Server], best: float, jitter: float
) -> None:
    found = Telling(server(), latency=0.05, jitter=jitter).run(CALLS, model())
    assert found.refused == 0
    assert found.wall <= 1.1 * best + 4


def test_only_calls_that_overtake_each_other_on_the_way_exceed_a_small_window() -> None:
    found = Telling(FixedWindow(20, 1.0), latency=0.05).run(CALLS, model())
    assert found.refused <= 4
    assert found.wall <= 1.2 * 19


def test_a_told_limit_costs_what_was_sent_before_anything_was_told_and_no_more() -> None:
    found = Telling(FixedWindow(60, 60.0), latency=0.05).run(CALLS, model(64))
    assert found.refused <= 64 - 60 + 2
