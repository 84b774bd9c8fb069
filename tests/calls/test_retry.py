from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.calls.retry import Course, Endpoint, Policy, Verdict
from pytest_upskill.errors import CallError
from pytest_upskill.types import Fault

POLICY = Policy()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def course(
    endpoint: Endpoint | None = None,
    deadline: float = 600.0,
    clock: Clock | None = None,
    policy: Policy = POLICY,
) -> Course:
    ticking = clock or Clock()
    return Course(endpoint or Endpoint(16, policy, ticking), deadline, policy, random.Random(1), ticking)


def error(fault: Fault, retry_after: float | None = None, *, fatal: bool = False) -> CallError:
    return CallError("m: no", fault=fault, retry_after=retry_after, fatal=fatal)


def walked(found: Course, failure: CallError, clock: Clock | None = None, most: int = 1000) -> list[float]:
    """Return the waits until the sample is given up."""
    waits: list[float] = []
    while len(waits) < most:
        found.begin()
        verdict = found.after(failure)
        if verdict.wait is None:
            return waits
        waits.append(verdict.wait)
        if clock is not None:
            clock.now += verdict.wait
    return waits


def test_what_is_final_is_not_tried_again() -> None:
    assert walked(course(), error("final")) == []


def test_what_is_fatal_is_not_tried_again_whatever_its_fault() -> None:
    assert walked(course(), error("failed", fatal=True)) == []


def test_a_server_that_fails_is_tried_seven_times() -> None:
    endpoint = Endpoint(16, POLICY)
    endpoint.succeeded()
    for fault in ("failed", "lost", "unreachable"):
        assert len(walked(course(endpoint), error(fault))) == POLICY.attempts - 1


def test_an_endpoint_that_never_answered_and_cannot_be_reached_is_tried_three_times() -> None:
    assert len(walked(course(), error("unreachable"))) == POLICY.first_attempts - 1


def test_the_reason_says_how_many_attempts_were_made() -> None:
    found = course()
    for _ in range(POLICY.attempts - 1):
        found.begin()
        assert found.after(error("failed")).again
    found.begin()
    assert found.after(error("failed")) == Verdict(None, "7 attempts")


@given(st.integers(0, 2**32), st.integers(1, 40))
@settings(deadline=None)
def test_waits_are_drawn_from_nothing_to_twice_as_much_each_time_and_never_beyond_the_cap(
    seed: int, attempts: int
) -> None:
    policy = Policy(attempts=attempts, base=0.5, cap=30.0)
    found = Course(Endpoint(16, policy), 1e9, policy, random.Random(seed))
    for number, wait in enumerate(walked(found, error("failed"))):
        assert 0 <= wait <= min(policy.cap, policy.base * 2**number)


def test_two_samples_do_not_wait_the_same_time() -> None:
    chance = random.Random(3)
    waits = [walked(Course(Endpoint(16, POLICY), 600, POLICY, chance), error("failed")) for _ in range(2)]
    assert waits[0] != waits[1]


def test_the_jitter_does_not_touch_the_global_generator() -> None:
    random.seed(7)
    before = random.getstate()
    walked(course(), error("failed"))
    assert random.getstate() == before


def test_a_server_that_asks_for_a_wait_gets_at_least_that() -> None:
    found = course()
    found.begin()
    wait = found.after(error("failed", retry_after=9.0)).wait
    assert wait is not None
    assert wait >= 9.0


def test_refusals_for_a_limit_do_not_count_as_attempts_and_leave_the_pause_to_the_limiter() -> None:
    assert walked(course(), error("limited", retry_after=1.0), most=50) == [0.0] * 50


def test_a_server_that_asks_for_more_than_two_minutes_is_not_waited_for() -> None:
    found = course()
    found.begin()
    assert found.after(error("limited", 3600)) == Verdict(
        None, "it asks to wait 3600 s, and 120 s are waited at most"
    )


def test_the_deadline_counts_from_the_first_attempt() -> None:
    clock = Clock()
    clock.now = 1000.0
    found = course(deadline=10.0, clock=clock)
    found.begin()
    assert found.after(error("limited")).again
    clock.now += 10.0
    found.begin()
    assert found.after(error("limited")) == Verdict(None, "its deadline of 10 s is over after 2 attempts")


def test_no_wait_goes_beyond_the_deadline() -> None:
    found = course(deadline=5.0)
    found.begin()
    assert found.after(error("failed", retry_after=5.0)) == Verdict(
        None, "its deadline of 5 s is over after 1 attempt"
    )


def test_an_endpoint_is_out_when_all_calls_have_failed_many_and_for_long() -> None:
    clock = Clock()
    endpoint = Endpoint(16, POLICY, clock)
    for sample in range(31):
        endpoint.failed(sample, "lost")
    clock.now += 100.0
    assert not endpoint.out()
    endpoint.failed(31, "lost")
    assert endpoint.out()


def test_many_failures_at_one_moment_are_no_outage_yet() -> None:
    clock = Clock()
    endpoint = Endpoint(16, POLICY, clock)
    for sample in range(500):
        endpoint.failed(sample, "lost")
    clock.now += 29.0
    assert not endpoint.out()
    clock.now += 1.0
    assert endpoint.out()


def test_one_answer_ends_an_outage() -> None:
    clock = Clock()
    endpoint = Endpoint(1, POLICY, clock)
    for sample in range(20):
        endpoint.failed(sample, "failed")
    clock.now += 60.0
    endpoint.alive()
    assert not endpoint.out()


def test_a_prompt_that_breaks_the_server_says_nothing_of_others() -> None:
    endpoint = Endpoint(1, POLICY)
    for _ in range(POLICY.attempts):
        endpoint.failed(1, "failed")
    assert not endpoint.dead("failed", since=0)
    endpoint.failed(2, "failed")
    assert endpoint.dead("failed", since=0)


def test_an_endpoint_that_answered_others_meanwhile_is_not_dead() -> None:
    endpoint = Endpoint(16, POLICY)
    endpoint.succeeded()
    endpoint.failed(1, "lost")
    endpoint.failed(2, "lost")
    assert not endpoint.dead("lost", since=0)
    assert endpoint.dead("lost", since=1)


def test_nobody_there_is_dead_for_all() -> None:
    endpoint = Endpoint(16, POLICY)
    endpoint.failed(1, "unreachable")
    assert endpoint.dead("unreachable", since=0)
