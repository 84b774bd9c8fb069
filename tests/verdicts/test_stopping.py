from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.verdicts.gate import GateRules
from pytest_upskill.verdicts.intervals import lift_interval, upper_bound_below
from pytest_upskill.verdicts.stopping import Look, Standing, claim_confidence, look, looks
from pytest_upskill.verdicts.stratified import Stratum, gate_p
from pytest_upskill.verdicts.verdict import CaseCount

NO_RULES = GateRules(min_pass_rate=None)
Tape = Sequence[Sequence[Sequence[bool]]]


def counts(
    cases: int, runs: int, with_hits: int, without_hits: int, old_hits: int | None = None
) -> list[CaseCount]:
    """Return cases whose hits are spread as evenly as can be, the first ones with more."""

    def of(hits: int, case: int) -> int:
        return hits // cases + (case < hits % cases)

    return [
        CaseCount(
            f"case-{case}",
            of(with_hits, case),
            runs,
            of(without_hits, case),
            runs,
            *(() if old_hits is None else (of(old_hits, case), runs)),
        )
        for case in range(cases)
    ]


def after(
    done: int, found: Sequence[CaseCount], rules: GateRules = NO_RULES, *, most: int = 5, tested: bool = True
) -> Look:
    return look(Standing(done, most, found, rules, tested))


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (1, (1,)),
        (2, (1, 2)),
        (4, (1, 2, 3, 4)),
        (5, (1, 2, 3, 5)),
        (6, (1, 2, 3, 5, 6)),
        (10, (1, 2, 3, 5, 10)),
        (50, (1, 2, 3, 5, 10, 20, 40, 50)),
    ],
)
def test_looks_grow_apart_and_the_last_is_the_most(most: int, expected: tuple[int, ...]) -> None:
    assert looks(most) == expected


def test_one_look_has_the_confidence_of_a_fixed_design_and_more_looks_more() -> None:
    found = [claim_confidence(most) for most in (1, 2, 3, 5, 10, 20, 40, 80, 1000)]
    assert found[0] == 0.95
    assert found == sorted(found)
    assert found[3] == pytest.approx(0.98758, abs=1e-5)


def false_claims(cases: int, most: int, rate: Fraction, confidence: float) -> float:
    """Return how often two arms of one rate are said to differ at any look, exactly, if nothing else ends it."""
    share = float(rate)
    states = {(0, 0): 1.0}
    claimed, before = 0.0, 0
    for done in looks(most):
        new = (done - before) * cases
        mass = [comb(new, k) * share**k * (1.0 - share) ** (new - k) for k in range(new + 1)]
        states = _moved({(y, x): p for (x, y), p in _moved(states, mass).items()}, mass)
        n, before = done * cases, done
        for state in list(states):
            low, high = lift_interval(*(state[0], n), *(state[1], n), confidence=confidence)
            if low > 0.0 or high < 0.0:
                claimed += states.pop(state)
    return claimed


def _moved(states: dict[tuple[int, int], float], mass: Sequence[float]) -> dict[tuple[int, int], float]:
    found: dict[tuple[int, int], float] = {}
    for (x, y), p in states.items():
        for k, chance in enumerate(mass):
            found[x + k, y] = found.get((x + k, y), 0.0) + p * chance
    return found


@pytest.mark.parametrize(("cases", "most"), [(1, 10), (3, 2), (3, 5), (5, 3), (6, 5), (8, 3)])
@pytest.mark.parametrize("rate", [Fraction(1, 5), Fraction(1, 2)])
def test_claims_of_a_lift_are_wrong_in_at_most_1_of_20_over_all_looks(
    cases: int, most: int, rate: Fraction
) -> None:
    assert false_claims(cases, most, rate, claim_confidence(most)) <= 0.05


def test_the_confidence_of_a_fixed_design_at_each_look_would_be_wrong_twice_as_often() -> None:
    assert false_claims(6, 5, Fraction(1, 2), 0.95) > 0.10


def test_nothing_lost_and_no_lift_in_sight_ends_after_one_run() -> None:
    found = after(1, counts(20, 1, 19, 19), GateRules())
    assert found == Look(1, "decided after 1 of at most 5 runs: no sign of harm; lift not settled", 1)


def test_a_clear_lift_ends_after_one_run() -> None:
    assert after(1, counts(20, 1, 18, 5), GateRules()) == Look(
        1, "decided after 1 of at most 5 runs: helps", 1
    )


def test_against_an_old_skill_the_reason_speaks_of_both() -> None:
    found = after(1, counts(20, 1, 18, 5, 18), GateRules())
    assert found.reason == "decided after 1 of at most 5 runs: no sign of a regression; helps"


def test_a_lift_in_sight_goes_on_while_the_gate_is_decided_already() -> None:
    found = after(1, counts(20, 1, 17, 12), GateRules())
    assert found == Look(2, "", 1)
    later = look(Standing(2, 5, counts(20, 2, 38, 22), GateRules(), tested=True, decided=found.decided))
    assert later == Look(2, "decided after 2 of at most 5 runs: helps", 1)


def test_a_lift_out_of_sight_is_given_up() -> None:
    standing = Standing(2, 5, counts(20, 2, 28, 27), GateRules(), tested=True, decided=1)
    assert look(standing) == Look(2, "decided after 2 of at most 5 runs: lift not settled", 1)


def test_a_round_of_three_arms_takes_a_lift_that_is_nearer() -> None:
    assert after(1, counts(20, 1, 11, 10)).go_on == 2
    assert after(1, counts(20, 1, 11, 10, 11)).go_on == 1
    assert after(1, counts(20, 1, 13, 10, 13)).go_on == 2


def test_what_rounds_for_the_lift_bring_is_no_second_trial_of_the_gate() -> None:
    first = after(1, counts(20, 1, 17, 12), GateRules())
    assert (first.go_on, first.decided) == (2, 1)
    assert look(Standing(2, 5, counts(20, 2, 17, 32), GateRules(), tested=True, decided=1)).decided == 1
    assert look(Standing(2, 5, counts(20, 2, 17, 32), GateRules(), tested=True)).decided == 2


@pytest.mark.parametrize(("now", "go_on"), [(20, 1), (19, 2), (18, 2), (0, 2)])
def test_a_sign_of_a_regression_goes_on_and_is_never_proof_before_the_last_round(
    now: int, go_on: int
) -> None:
    # Of 20 cases that hit before: p = 1.25 * 0.5 ** (lost + 1).
    assert after(1, counts(20, 1, now, 0 if now else 20, 20)).go_on == go_on


def test_what_is_not_tested_is_no_open_question() -> None:
    found = after(1, counts(20, 1, 15, 20), tested=False)
    assert found == Look(1, "decided after 1 of at most 5 runs: lift not settled", 1)
    assert after(1, counts(20, 1, 15, 20)) == Look(2, "", None)


def test_the_last_round_decides_whatever_is_open() -> None:
    found = after(5, counts(20, 5, 60, 90), GateRules())
    assert (found.go_on, found.decided) == (5, 5)


@pytest.mark.parametrize(
    ("hits", "doubt", "go_on"),
    # Of 20 at a target of 0.8, so few or fewer: 15 in 37 %, 14 in 20 %, 10 in 0.3 %, 9 in 0.06 % of runs.
    [(16, "pass", 1), (15, "pass", 1), (14, "pass", 2), (10, "pass", 2), (9, "pass", 1), (16, "fail", 1)],
)
def test_a_rate_below_its_target_goes_on_while_proof_is_near_and_not_there(
    hits: int, doubt: str, go_on: int
) -> None:
    rules = GateRules(on_inconclusive="fail" if doubt == "fail" else "pass", equivalence=Fraction(99, 100))
    assert after(1, counts(20, 1, hits, hits), rules).go_on == go_on


def test_where_doubt_fails_a_rate_below_its_target_is_no_end() -> None:
    rules = GateRules(on_inconclusive="fail", equivalence=Fraction(99, 100))
    assert after(1, counts(20, 1, 15, 15), rules).go_on == 2


def test_a_hopeless_rate_ends_with_its_reason() -> None:
    found = after(1, counts(20, 1, 5, 5), GateRules())
    assert (
        found.reason == "decided after 1 of at most 5 runs: a rule of the gate is not met; lift not settled"
    )


def test_a_target_that_can_no_longer_be_met_is_not_asked_for() -> None:
    rules = GateRules(min_pass_rate=Fraction(7, 10), on_inconclusive="fail", equivalence=Fraction(99, 100))
    # Two runs are left of five: 3 of 5 is the most that 1 of 3 can become, 4 of 5 what 2 of 3 can.
    assert after(3, counts(1, 3, 1, 1), rules).decided == 3
    assert after(3, counts(1, 3, 2, 2), rules).decided is None


def test_a_drop_that_can_no_longer_be_proven_is_not_asked_for() -> None:
    # 1 of 2 against 2 of 2, and at worst 1 of 3 against 3 of 3: p = 0.125 and more than 1 in 20.
    assert after(2, counts(1, 2, 1, 2), most=3).decided == 2
    assert after(2, counts(3, 2, 3, 6), most=5).decided is None


def test_a_lift_below_min_lift_goes_on_while_proof_is_near() -> None:
    rules = replace(NO_RULES, min_lift=Fraction(1, 5))
    assert after(1, counts(20, 1, 14, 10), rules).decided == 1
    assert after(1, counts(20, 1, 13, 10), rules).decided == 1
    assert after(1, counts(20, 1, 11, 10), rules).decided is None
    assert after(1, counts(20, 1, 1, 19), rules, tested=False).decided == 1


def test_strict_needs_no_further_run_after_a_miss() -> None:
    found = after(1, counts(20, 1, 19, 19), replace(NO_RULES, mode="strict"))
    assert (
        found.reason == "decided after 1 of at most 5 runs: a rule of the gate is not met; lift not settled"
    )


def test_where_doubt_fails_harm_must_be_ruled_out() -> None:
    rules = replace(NO_RULES, on_inconclusive="fail")
    assert after(1, counts(20, 1, 10, 10), rules, tested=False).decided is None
    assert after(1, counts(20, 1, 18, 10), rules, tested=False).decided == 1


def test_nothing_measured_ends_at_once() -> None:
    found = after(1, [], GateRules())
    assert found == Look(1, "decided after 1 of at most 5 runs: not measured", 1)


@pytest.mark.parametrize("target", [Fraction(1, 2), Fraction(4, 5), Fraction(19, 20)])
@pytest.mark.parametrize(("cases", "most"), [(3, 5), (10, 5), (20, 3), (5, 10)])
def test_a_skill_that_just_meets_its_target_fails_in_at_most_1_of_20_gates(
    target: Fraction, cases: int, most: int
) -> None:
    states, failed, before = {0: Fraction(1)}, Fraction(0), 0
    for done in looks(most):
        new, found = (done - before) * cases, dict[int, Fraction]()
        for hits, p in states.items():
            for k in range(new + 1):
                chance = comb(new, k) * target**k * (1 - target) ** (new - k)
                found[hits + k] = found.get(hits + k, Fraction(0)) + p * chance
        states, before = {}, done
        for hits, p in found.items():
            rules = GateRules(min_pass_rate=target)
            if after(done, counts(cases, done, hits, 0), rules, most=most, tested=False).decided is None:
                states[hits] = p
            elif upper_bound_below(hits, done * cases, target):
                failed += p
    assert not states
    assert failed <= Fraction(1, 20)


def played(tape: Tape, rules: GateRules) -> bool:
    """Run a tape (arm, case, run) to its end and return whether its gate passes, judged where it was decided."""
    most = len(tape[0][0])
    done, decided = looks(most)[0], None
    while True:
        found = look(Standing(done, most, cut(tape, done), rules, tested=True, decided=decided))
        decided = found.decided
        if found.go_on == done:
            assert decided is not None
            return passes(cut(tape, decided), rules)
        assert found.go_on in looks(most)
        done = found.go_on


def cut(tape: Tape, rounds: int) -> list[CaseCount]:
    hits = [[sum(runs[:rounds]) for runs in arm] for arm in tape]
    return [
        CaseCount(f"case-{i}", new, rounds, none, rounds, old, rounds)
        for i, (new, none, old) in enumerate(zip(*hits, strict=True))
    ]


def passes(found: Sequence[CaseCount], rules: GateRules) -> bool:
    hits, n = sum(case.with_hits for case in found), sum(case.with_runs for case in found)
    low, high = lift_interval(hits, n, sum(case.without_hits for case in found), n, confidence=0.90)
    if rules.min_pass_rate is not None and upper_bound_below(hits, n, rules.min_pass_rate):
        return False
    if rules.min_lift is not None and high < rules.min_lift:
        return False
    missed = rules.min_pass_rate is not None and hits < n * rules.min_pass_rate
    if rules.on_inconclusive == "fail" and (missed or low <= -rules.equivalence):
        return False
    olds = [Stratum(c.case, c.old_hits, c.old_runs, c.with_hits, c.with_runs) for c in found]
    nones = [Stratum(c.case, c.without_hits, c.without_runs, c.with_hits, c.with_runs) for c in found]
    return min(gate_p(olds, rules.min_drop), gate_p(nones, rules.min_drop)) > Fraction(1, 20)


@st.composite
def tapes(draw: st.DrawFn) -> list[list[list[bool]]]:
    cases, most = draw(st.integers(1, 6)), draw(st.sampled_from([1, 2, 3, 5]))
    # Rates that change from run to run: what looked well may turn out badly.
    shares = [[draw(st.sampled_from([0, 3, 7, 10])) for _ in range(most)] for _ in range(3)]
    chance = draw(st.randoms(use_true_random=False))
    return [[[chance.randrange(10) < share for share in arm] for _ in range(cases)] for arm in shares]


RULES = (
    GateRules(),
    NO_RULES,
    GateRules(min_lift=Fraction(1, 5)),
    GateRules(min_pass_rate=Fraction(1, 2), on_inconclusive="fail", equivalence=Fraction(3, 5)),
)


@settings(max_examples=300, deadline=None)
@given(tapes(), st.sampled_from(RULES), st.data())
def test_one_more_hit_with_the_skill_never_turns_a_pass_into_a_failure(
    tape: list[list[list[bool]]], rules: GateRules, data: st.DataObject
) -> None:
    places = [(i, j) for i, runs in enumerate(tape[0]) for j, hit in enumerate(runs) if not hit]
    if not places:
        return
    case, run = data.draw(st.sampled_from(places))
    better = [[[*runs] for runs in arm] for arm in tape]
    better[0][case][run] = True
    assert played(better, rules) >= played(tape, rules)
