"""The cheapest model at a target: decided by exact bounds that hold over all candidates at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.suite.matrix import Sample, Suite, build
from pytest_upskill.types import NOT_NEEDED, Model, Outcome, Reply, Score, Usage
from pytest_upskill.verdicts.choice import Candidate, Choice, Weighed, cheaper, choose, weigh
from pytest_upskill.verdicts.gate import GateRules
from pytest_upskill.verdicts.intervals import clopper_pearson, lower_bound_reaches
from pytest_upskill.verdicts.result import GateResult
from pytest_upskill.verdicts.stopping import looks
from tests.calls.fakes import MODEL, case, gate, suite
from tests.judged import evaluate

TARGET = Fraction(4, 5)
ALPHA = Fraction(1, 20)


def upper_tail(hits: int, n: int, rate: Fraction) -> Fraction:
    terms = (comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(hits, n + 1))
    return sum(terms, Fraction(0))


# The bound, without rounding.


@settings(deadline=None)
@given(st.integers(1, 200), st.fractions(0, 1, max_denominator=200), st.integers(1, 24), st.data())
def test_the_bound_is_that_of_clopper_and_pearson(
    n: int, target: Fraction, candidates: int, data: st.DataObject
) -> None:
    hits = data.draw(st.integers(0, n))
    alpha = ALPHA / candidates
    low = clopper_pearson(hits, n, confidence=float(1 - 2 * alpha))[0]
    if abs(low - target) > 1e-9:
        assert lower_bound_reaches(hits, n, target, alpha) == (low > target)


@pytest.mark.parametrize("target", [Fraction(1, 2), Fraction(4, 5), Fraction(2, 3), Fraction(19, 20)])
def test_the_bound_is_decided_by_the_exact_tail(target: Fraction) -> None:
    for n in range(1, 31):
        for hits in range(n + 1):
            tail = upper_tail(hits, n, target)
            assert lower_bound_reaches(hits, n, target, ALPHA) == (tail <= ALPHA)
            assert lower_bound_reaches(hits, n, target, tail) == (tail < 1 and hits > n * target)


def test_a_target_of_0_is_reached_by_all_and_one_of_1_is_proven_by_no_number_of_hits() -> None:
    assert lower_bound_reaches(0, 1, Fraction(0), ALPHA)
    assert not lower_bound_reaches(1000, 1000, Fraction(1), ALPHA)


@settings(deadline=None)
@given(st.integers(1, 300), st.fractions(0, 1, max_denominator=1000), st.integers(1, 24), st.data())
def test_one_more_hit_never_takes_a_proof_away(
    n: int, target: Fraction, candidates: int, data: st.DataObject
) -> None:
    hits = data.draw(st.integers(0, n - 1))
    alpha = ALPHA / candidates
    assert lower_bound_reaches(hits + 1, n, target, alpha) or not lower_bound_reaches(hits, n, target, alpha)


# The error over all candidates, enumerated.


def proves(hits: int, n: int, target: Fraction, candidates: int, looks: int = 1) -> bool:
    """Tell whether one of so many candidates would be called proven with these hits."""
    each = Candidate("m", True, hits, n, looks=looks)
    return weigh([each] * candidates, target)[0].reach == "proven"


@pytest.mark.parametrize("candidates", range(2, 13))
@pytest.mark.parametrize("target", [Fraction(1, 2), TARGET, Fraction(9, 10), Fraction(19, 20)])
def test_of_candidates_all_just_below_the_target_one_is_called_proven_in_at_most_one_of_twenty_runs(
    candidates: int, target: Fraction
) -> None:
    for n in (10, 20, 60, 200):
        fewest = next((hits for hits in range(n + 1) if proves(hits, n, target, candidates)), n + 1)
        # A rate that is lower yields so many hits less often than the target itself does.
        wrong = upper_tail(fewest, n, target)
        assert 1 - (1 - wrong) ** candidates <= ALPHA


@pytest.mark.parametrize("target", [Fraction(1, 2), TARGET])
def test_rounds_that_may_end_at_any_look_do_not_add_to_the_error(target: Fraction) -> None:
    cases, candidates, at = 6, 4, looks(5)
    mass, wrong = {0: Fraction(1)}, Fraction(0)
    for rounds in range(1, at[-1] + 1):
        after: dict[int, Fraction] = {}
        for hits, weight in mass.items():
            for more in range(cases + 1):
                share = comb(cases, more) * target**more * (1 - target) ** (cases - more)
                after[hits + more] = after.get(hits + more, Fraction(0)) + weight * share
        if rounds in at:  # the worst that a stopping rule can do is to stop where it is wrong
            stopped = [h for h in after if proves(h, cases * rounds, target, candidates, looks=len(at))]
            wrong += sum(after.pop(hits) for hits in stopped)
        mass = after
    assert 0 < wrong <= ALPHA / candidates


def test_a_model_without_noise_takes_no_share_of_the_error() -> None:
    noisy, exact = Candidate("m", True, 19, 20), Candidate("e", True, 4, 5, exact=True)
    assert weigh([noisy, exact, exact], Fraction(3, 4))[0] == weigh([noisy], Fraction(3, 4))[0]
    assert [each.reach for each in weigh([exact, replace(exact, hits=3)], TARGET)] == ["proven", "missed"]
    assert [each.lower for each in weigh([exact], TARGET)] == [None]


def test_more_candidates_ask_for_more_hits() -> None:
    fewest = [next(hits for hits in range(201) if proves(hits, 200, TARGET, k)) for k in (1, 2, 4, 12)]
    assert fewest == sorted(set(fewest))


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 12), st.data())
def test_nothing_is_proven_both_to_reach_the_target_and_to_miss_it(
    n: int, candidates: int, data: st.DataObject
) -> None:
    each = Candidate("m", True, data.draw(st.integers(0, n)), n)
    found = weigh([each] * candidates, TARGET)[0]
    assert (found.reach == "missed") == (each.rate < TARGET)
    assert not (found.below and found.reach != "missed")
    assert found.lower is not None
    assert found.lower <= each.rate


# The order of candidates.


def one(cost: str | None, tokens: int | None = None, hits: int = 9) -> Weighed:
    known = None if cost is None else Fraction(cost)
    each = Candidate("m", True, hits, 10, known, None if tokens is None else Fraction(tokens))
    return weigh([each], TARGET)[0]


def test_the_lower_cost_comes_first_then_fewer_tokens_then_the_higher_rate() -> None:
    assert cheaper(one("0.1", 900), one("0.2", 100))
    assert cheaper(one("0", 100), one("0", 900))
    assert cheaper(one("0", 100), one("0"))
    assert cheaper(one("0", 100, hits=10), one("0", 100, hits=9))
    assert not cheaper(one("0", 100), one("0", 100))
    assert cheaper(one("5"), one(None))


def test_the_front_holds_what_nothing_beats_in_both_cost_and_rate() -> None:
    rows = [("0.1", 5), ("0.2", 4), ("0.2", 8), ("0.3", 8), ("0.1", 5), (None, 10), ("0.9", 9)]
    found = [Candidate("m", True, hits, 10, None if cost is None else Fraction(cost)) for cost, hits in rows]
    assert [each.front for each in weigh(found, TARGET)] == [True, False, True, False, True, False, True]


# From results to a choice.

COSTS = {"cheap": 0.001, "dear": 0.02}


def suite_of(cases: int) -> Suite:
    return suite(*(case(f"case-{n}") for n in range(1, cases + 1)))


class Bench:
    """Models on one skill, and what a call of each costs."""

    def __init__(self, cases: int = 20) -> None:
        self.suite = suite_of(cases)
        self.results: list[GateResult] = []
        self.outcomes: dict[Sample, Outcome] = {}

    def add(
        self,
        name: str,
        with_: int,
        without: int,
        *,
        runs: int = 1,
        cost: float | None = 0.001,
        provider: str = "fake",
        exact: bool = False,
        selected: bool = True,
        **instead: Outcome,
    ) -> Bench:
        """Add a model that hits so many cases with the skill and without; `instead` is by case."""
        of = gate(self.suite, Model(name, provider, name), runs)
        for sample in of.samples:
            skilled = sample.arm == "with_skill"
            hit = int(sample.case.id.removeprefix("case-")) <= (with_ if skilled else without)
            reply = Reply(sample.id, usage=Usage(1000 + 500 * skilled, 20))
            price = None if cost is None else cost * (1.5 if skilled else 1)
            short = sample.case.id.replace("-", "_")
            self.outcomes[sample] = instead.get(short) or Outcome(reply, (Score(hit),), cost=price)
        self.results.append(evaluate(of, self.outcomes, GateRules(), deterministic=exact, selected=selected))
        return self

    def choice(self, target: Fraction = TARGET) -> Choice:
        found = choose(self.results, self.outcomes, target)
        assert found is not None
        return found


def name(each: Weighed | None) -> tuple[str, bool] | None:
    return None if each is None else (each.candidate.model, each.candidate.skilled)


def test_the_cheapest_that_is_proven_stands_before_a_cheaper_one_that_is_not() -> None:
    found = Bench(40).add("cheap", 34, 10).add("dear", 40, 39, cost=0.02).choice()
    assert name(found.proven) == ("dear", False)
    assert name(found.likely) == ("cheap", True)
    assert found.best is found.proven
    assert (found.cases, found.left_out) == (40, 0)


def test_where_nothing_is_proven_the_cheapest_by_its_rate_is_taken_and_else_none() -> None:
    likely = Bench(10).add("cheap", 9, 0).add("dear", 10, 0, cost=0.02).choice()
    assert (likely.proven, name(likely.best)) == (None, ("cheap", True))
    none = Bench(10).add("cheap", 7, 0).choice()
    assert (none.best, none.proven, none.likely) == (None, None, None)


def test_a_model_alone_is_a_candidate_and_cheaper_than_with_the_skill() -> None:
    assert name(Bench(60).add("cheap", 60, 60).choice().proven) == ("cheap", False)


def test_what_has_no_known_cost_is_weighed_and_never_the_cheapest() -> None:
    found = Bench(60).add("hidden", 60, 60, cost=None).add("dear", 60, 0, cost=0.02).choice()
    assert name(found.proven) == ("dear", True)
    assert [each.reach for each in found.weighed] == ["proven", "proven", "missed", "proven"]
    assert Bench(60).add("hidden", 60, 60, cost=None).choice().best is None


def test_costs_and_tokens_are_means_over_calls_and_exact() -> None:
    found = Bench(3).add("m", 3, 0, runs=2, cost=0.1).choice()
    without, with_ = (each.candidate for each in found.weighed)
    assert (without.cost, without.tokens) == (Fraction(0.1), Fraction(1020))
    assert (with_.cost, with_.tokens) == (Fraction(0.1 * 1.5), Fraction(1520))
    assert (without.hits, with_.hits, with_.n) == (0, 6, 6)


def test_only_cases_that_all_candidates_were_measured_on_are_compared() -> None:
    found = Bench(10).add("cheap", 10, 0).add("dear", 9, 0, case_10=Outcome(skip="no GPU")).choice()
    assert (found.cases, found.left_out) == (9, 1)
    assert {each.candidate.n for each in found.weighed} == {9}
    assert [each.candidate.hits for each in found.weighed] == [0, 9, 0, 9]


def test_incomplete_and_partial_gates_and_the_reader_are_no_candidates() -> None:
    bench = Bench(10).add("broken", 10, 0, case_1=Outcome(error="500"))
    bench.add("partial", 10, 0, selected=False).add("reader", 10, 0, provider="reader", exact=True, cost=0)
    assert choose(bench.results, bench.outcomes, TARGET) is None
    assert {each.candidate.model for each in bench.add("fine", 10, 0).choice().weighed} == {"fine"}
    assert choose([], {}, TARGET) is None


def test_models_without_a_case_in_common_are_not_compared() -> None:
    skip = Outcome(skip="no GPU")
    bench = Bench(2).add("m", 2, 0, case_1=skip).add("n", 2, 0, case_2=skip)
    assert choose(bench.results, bench.outcomes, TARGET) is None


def test_a_gate_that_was_decided_by_rounds_pays_for_its_looks() -> None:
    of = suite_of(20)
    (auto,) = build(of, [MODEL], {"m": 5}, frozenset({"m"})).gates
    outcomes: Mapping[Sample, Outcome] = {
        sample: Outcome(Reply(sample.id), (Score(True),))
        if sample.run <= 3
        else Outcome(skip=f"{NOT_NEEDED}settled")
        for sample in auto.samples
    }
    found = choose([evaluate(auto, outcomes, GateRules(), deterministic=False)], outcomes, TARGET)
    assert found is not None
    assert {(each.candidate.n, each.candidate.looks) for each in found.weighed} == {(60, 4)}


# Advice needs evidence.


def advice(bench: Bench, target: Fraction = TARGET) -> list[tuple[str, str]]:
    return [(each.kind, each.model) for each in bench.choice(target).advice]


def test_a_skill_without_effect_is_to_be_skipped_and_one_that_is_not_settled_is_not() -> None:
    assert advice(Bench(100).add("m", 98, 98, runs=3)) == [("skip the skill", "m")]
    assert advice(Bench(20).add("m", 19, 19)) == []
    assert Bench(100).add("m", 98, 98, runs=3).choice().advice[0].tokens == 500
    assert advice(Bench(10).add("exact", 9, 9, exact=True)) == [("skip the skill", "exact")]


def test_a_skill_lets_a_model_reach_the_target_where_both_sides_of_that_are_proven() -> None:
    assert advice(Bench(60).add("m", 60, 20)) == [("reach", "m")]
    assert advice(Bench(60).add("m", 60, 46)) == []  # alone it may reach it as well
    assert advice(Bench(60).add("m", 50, 10)) == []  # with the skill it may not
    assert advice(Bench(5).add("exact", 5, 3, exact=True)) == [("reach", "exact")]
