"""From outcomes to counts: complete pairs only, each reply once, nothing unknown taken for zero."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.suite.matrix import Gate, Sample
from pytest_upskill.types import Model, Outcome, Price, Reply, Score, Usage
from pytest_upskill.verdicts.tally import tally
from pytest_upskill.verdicts.verdict import CaseCount, measure
from tests.calls.fakes import MODEL, case, gate, suite

ERROR = Outcome(error="the server answered 500")
SKIP = Outcome(skip="no judge")


def two_cases(runs: int = 1, model: Model = MODEL) -> Gate:
    return gate(suite(case("a"), case("b")), model, runs)


def reply(
    text: str,
    *,
    hit: bool = True,
    used: int | None = 10,
    made: int | None = 1,
    latency: float = 1.0,
    cost: float | None = None,
) -> Outcome:
    return Outcome(Reply(text, usage=Usage(used, made), latency=latency), (Score(hit),), cost=cost)


def named(of: Gate, **outcomes: Outcome) -> dict[Sample, Outcome]:
    """Return outcomes by samples that are named `a_with_1`; `a_with` stands for all runs that are not named."""
    found = {}
    for sample in of.samples:
        short = f"{sample.case.id}_{sample.arm.removesuffix('_skill')}"
        outcome = outcomes.get(f"{short}_{sample.run}") or outcomes.get(short)
        if outcome is not None:
            found[sample] = outcome
    return found


def distinct(
    of: Gate, *, with_: bool = True, without: bool = False, cost: float | None = None
) -> dict[Sample, Outcome]:
    """Return outcomes whose replies all differ, by default hits with the skill and misses without."""
    return {s: reply(s.id, hit=with_ if s.arm == "with_skill" else without, cost=cost) for s in of.samples}


def test_every_complete_pair_is_counted() -> None:
    of = two_cases(runs=3)
    found = tally(of, distinct(of))
    assert found.counts == (CaseCount("a", 3, 3, 0, 3), CaseCount("b", 3, 3, 0, 3))
    assert (found.errors, found.skips, found.pending, found.repeated, found.complete) == ((), (), 0, (), True)


@pytest.mark.parametrize("arm", ["with", "without"])
@pytest.mark.parametrize("instead", [ERROR, SKIP, None], ids=["error", "skip", "pending"])
def test_a_case_that_lacks_one_sample_counts_in_neither_arm(arm: str, instead: Outcome | None) -> None:
    of = two_cases(runs=2)
    outcomes = distinct(of)
    (lacking,) = (s for s in of.samples if (s.case.id, s.arm, s.run) == ("a", f"{arm}_skill", 2))
    del outcomes[lacking]
    if instead is not None:
        outcomes[lacking] = instead
    found = tally(of, outcomes)
    assert found.counts == (CaseCount("b", 2, 2, 0, 2),)
    assert found.complete is (instead is SKIP)
    assert found.errors == (((lacking, ERROR),) if instead is ERROR else ())
    assert found.skips == (((lacking, SKIP),) if instead is SKIP else ())
    assert found.pending == (instead is None)


def test_without_any_outcome_all_is_pending_and_nothing_is_known() -> None:
    of = two_cases()
    found = tally(of, {})
    assert (found.counts, found.pending, found.complete) == ((), 4, False)
    numbers = (
        found.with_tokens,
        found.tokens_ratio,
        found.latency_ratio,
        found.with_cost,
        found.counted_cost,
    )
    assert numbers == (None,) * 5


def test_a_suite_of_skips_is_complete() -> None:
    of = two_cases()
    found = tally(of, dict.fromkeys(of.samples, SKIP))
    assert (found.counts, len(found.skips), found.complete) == ((), 4, True)


def test_the_same_reply_in_several_runs_counts_as_one_run_and_is_told() -> None:
    of = two_cases(runs=3)
    outcomes = distinct(of) | named(of, a_with=reply("same"), a_without=reply("no", hit=False))
    found = tally(of, outcomes)
    assert found.counts == (CaseCount("a", 1, 1, 0, 1), CaseCount("b", 3, 3, 0, 3))
    assert found.repeated == ("a",)


def test_as_many_runs_count_in_one_arm_as_in_the_other_the_first_ones() -> None:
    of = gate(suite(case("a")), runs=4)
    found = tally(
        of,
        named(
            of,
            a_with_1=reply("x", hit=False),
            a_with_2=reply("y"),
            a_with_3=reply("x", hit=False),
            a_with_4=reply("z"),
            a_without_1=reply("p"),
            a_without_2=reply("p"),
            a_without_3=reply("q", hit=False),
            a_without_4=reply("q", hit=False),
        ),
    )
    # With: x, y and z are distinct, of which the first two count; without: p and q.
    assert found.counts == (CaseCount("a", 1, 2, 1, 2),)
    assert found.repeated == ("a",)


def test_the_same_reply_in_both_arms_is_no_repetition() -> None:
    of = gate(suite(case("a")))
    found = tally(of, named(of, a_with=reply("same"), a_without=reply("same")))
    assert (found.counts, found.repeated) == ((CaseCount("a", 1, 1, 1, 1),), ())


def test_replies_that_were_cut_off_are_counted_also_in_cases_that_are_not() -> None:
    of = two_cases()
    cut = Outcome(Reply("x", stop_reason="length"), (Score(True),))
    found = tally(of, named(of, a_with=cut, a_without=ERROR, b_with=cut, b_without=reply("y")))
    assert (found.truncated, len(found.counts)) == (2, 1)


def test_tokens_are_means_over_the_cases_that_count() -> None:
    of = two_cases()
    found = tally(
        of,
        named(of, a_with=reply("1", used=30, made=10), a_without=reply("2", used=10, made=10),
              b_with=reply("3", used=9000, made=0), b_without=ERROR),
    )  # fmt: skip
    assert (found.with_tokens, found.without_tokens, found.tokens_ratio) == pytest.approx((40, 20, 2))


def test_ratios_are_geometric_means_over_the_cases() -> None:
    of = two_cases()
    found = tally(
        of,
        named(of, a_with=reply("1", latency=4), a_without=reply("2", latency=1),
              b_with=reply("3", latency=1), b_without=reply("4", latency=4)),
    )  # fmt: skip
    assert found.latency_ratio == pytest.approx(1)
    assert found.tokens_ratio == pytest.approx(1)


def test_a_case_without_usage_or_latency_has_no_ratio_and_spoils_none() -> None:
    of = two_cases()
    unknown = reply("1", used=None, latency=0.0)
    found = tally(
        of,
        named(
            of,
            a_with=unknown,
            a_without=reply("2"),
            b_with=reply("3", used=21, latency=2),
            b_without=reply("4"),
        ),
    )
    assert (found.tokens_ratio, found.latency_ratio) == pytest.approx((2, 2))
    assert (found.with_tokens, found.without_tokens) == (22, 11)
    nothing = tally(of, dict.fromkeys(of.samples, unknown))
    assert (nothing.tokens_ratio, nothing.latency_ratio, nothing.with_tokens) == (None, None, None)


def test_costs_are_dollars_over_the_replies_whoever_made_them() -> None:
    of = two_cases()
    stored = replace(reply("a", cost=0.5), source="store")
    found = tally(of, distinct(of, cost=0.25) | named(of, a_with=stored))
    assert (found.with_cost, found.without_cost, found.counted_cost) == (0.75, 0.5, 0.75)


def test_the_calls_that_count_cost_what_they_cost_whatever_was_paid_beside_them() -> None:
    of = two_cases(runs=2)
    found = tally(of, distinct(of, cost=0.25) | named(of, a_with=reply("same", cost=0.25), b_without_2=ERROR))
    assert (found.with_cost, found.without_cost) == (1.0, 0.75)
    assert found.counts == (CaseCount("a", 1, 1, 0, 1),)
    assert found.counted_cost == 0.25


def test_a_cost_of_which_a_part_is_unknown_is_unknown_and_not_less() -> None:
    of = two_cases(model=replace(MODEL, price=Price(1, 1)))
    found = tally(of, distinct(of, cost=0.25) | named(of, a_with=reply("x")))
    assert (found.with_cost, found.counted_cost, found.without_cost) == (None, None, 0.5)


def test_what_is_free_costs_nothing_and_what_is_unknown_is_not_nothing() -> None:
    of = two_cases()
    assert tally(of, distinct(of)).with_cost is None
    free = tally(of, distinct(of, cost=0.0))
    assert (free.with_cost, free.without_cost, free.counted_cost) == (0, 0, 0)


OUTCOMES = st.one_of(
    st.just(ERROR),
    st.just(SKIP),
    st.builds(
        reply,
        st.sampled_from(["x", "y", "z"]),
        hit=st.booleans(),
        used=st.none() | st.integers(0, 10**6),
        made=st.none() | st.integers(0, 10**6),
        latency=st.just(0.0) | st.floats(1e-3, 1e3),
        cost=st.none() | st.floats(0, 1e3),
    ),
)


@settings(deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.data())
def test_counts_never_exceed_what_was_measured_and_are_always_comparable(
    cases: int, runs: int, data: st.DataObject
) -> None:
    of = gate(suite(*(case(f"case-{n}") for n in range(cases))), MODEL, runs)
    outcomes = {s: o for s in of.samples if (o := data.draw(st.none() | OUTCOMES, label=s.id)) is not None}
    found = tally(of, outcomes)
    measured = [sample for sample, outcome in outcomes.items() if outcome.measured]
    lift = measure(found.counts, deterministic=False)
    for arm, n, hits in (
        ("with_skill", lift.with_n, lift.with_hits),
        ("without_skill", lift.without_n, lift.without_hits),
    ):
        own = [sample for sample in measured if sample.arm == arm]
        assert n <= len(own)
        assert hits <= sum(outcomes[sample].hit for sample in own)
    assert len(found.errors) + len(found.skips) + found.pending + len(measured) == len(of.samples)
    for number in (found.tokens_ratio, found.latency_ratio):
        assert number is None or (number > 0 and math.isfinite(number))
    # The same, in whatever order the samples finished.
    shuffled = list(outcomes.items())
    random.Random(0).shuffle(shuffled)
    assert tally(of, dict(shuffled)) == found
