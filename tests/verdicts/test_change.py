"""A family of comparisons, decided in stages: what is asked for, what is proven, and what never turns."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from pytest_upskill.verdicts.change import Comparison, Finding, Needs, conclude, exact_loss, needs
from pytest_upskill.verdicts.family import LEVEL, holm
from pytest_upskill.verdicts.stratified import Stratum, gate_p, suite_p
from tests.verdicts.staged import RUNS, Played, played, settled


def suite(cases: int, broken: int = 0, runs: int = 3) -> tuple[Stratum, ...]:
    """Return cases that were all hit, and with the new arm those that did not break."""
    return tuple(Stratum(f"c{i}", runs, runs, 0 if i < broken else runs, runs) for i in range(cases))


def regressed(strata: tuple[Stratum, ...], **more: Any) -> Comparison:
    return Comparison("regressed", strata, **more)


def found(comparison: Comparison) -> Finding:
    return conclude({"only": comparison})["only"]


def flat(rate: bool) -> list[bool]:
    return [rate] * RUNS


def broken_case(rounds: int, **more: Any) -> Played:
    """Return 20 cases of which c7 broke and c8 healed, so that the suite as a whole did not fall."""
    names = [f"c{i}" for i in range(20)]
    old = {name: flat(name != "c8") for name in names}
    return Played(old, {name: flat(name != "c7") for name in names}, rounds, **more)


# What is proven.


def test_a_suite_that_fell_is_proven_without_further_runs() -> None:
    comparison = regressed(suite(20, broken=7), extra=True)
    assert needs({"only": comparison}) == {}
    finding = found(comparison)
    assert (finding.proven, finding.path, finding.unsettled) == (True, "suite", ())
    assert finding.p == Fraction(5, 4) * finding.suite_p


def test_a_suite_that_did_not_change_needs_nothing_and_proves_nothing() -> None:
    comparison = regressed(suite(20), extra=True, stored=True)
    assert needs({"only": comparison}) == {}
    finding = found(comparison)
    assert (finding.proven, finding.path, finding.unsettled) == (False, None, ())
    assert finding.p == 1


@pytest.mark.parametrize("rounds", [1, 2, 3, 5, 12])
def test_a_broken_case_among_20_is_found(rounds: int) -> None:
    finding = played({"only": broken_case(rounds)})["only"]
    assert (finding.proven, finding.path, finding.case) == (True, "case", "c7")
    assert finding.case_p == Fraction(1, 2_704_156)


def test_a_broken_case_is_run_in_stages() -> None:
    family = {"only": broken_case(1)}
    comparison = family["only"].begun()
    asked = []
    while wanted := needs({"only": comparison}):
        asked.append(wanted["only"])
        comparison = family["only"].measured(comparison, wanted["only"])
    assert asked == [Needs({"c7": 3}, 0), Needs({"c7": 12}, 0)]


def test_further_runs_of_suspicious_cases_are_no_part_of_the_suite() -> None:
    comparison = settled({"only": broken_case(3)})["only"]
    assert comparison.topped
    assert found(comparison).suite_p == suite_p(comparison.strata)


def test_a_case_that_recovers_with_more_runs_is_not_held_against_the_skill() -> None:
    recovering = broken_case(1)
    new = {**recovering.new, "c7": [False, *flat(True)]}
    comparison = settled({"only": replace(recovering, new=new)})["only"]
    assert dict(comparison.topped) == {"c7": Stratum("c7", 3, 3, 2, 3)}
    finding = found(comparison)
    assert (finding.proven, finding.unsettled, finding.case) == (False, (), None)


def test_a_family_asks_for_more_than_one_comparison_does() -> None:
    borderline = regressed(suite(8, broken=5, runs=1))
    assert found(borderline).proven
    assert found(borderline).p == Fraction(5, 4) * Fraction(1, 64)
    family = {key: borderline if key == 0 else regressed(suite(8)) for key in range(3)}
    finding = conclude(family)[0]
    assert (finding.proven, finding.p) == (False, 3 * Fraction(5, 4) * Fraction(1, 64))


def test_without_further_runs_the_p_is_that_of_the_gate() -> None:
    strata = (Stratum("a", 8, 8, 0, 8), *(Stratum(f"b{i}", 4, 8, 4, 8) for i in range(30)))
    finding = found(regressed(strata))
    assert finding.p == gate_p(strata) == 5 * 31 * Fraction(1, 12_870)
    assert finding.path == "case"


# Against stored runs.


def stored(**more: Any) -> Comparison:
    return regressed(suite(20, broken=3), stored=True, **more)


def against_fresh(hits: int) -> tuple[Stratum, ...]:
    return tuple(Stratum(each.case, hits, 5, each.new_hits, each.new_runs) for each in suite(20, broken=3))


def lucky() -> dict[str, Stratum]:
    """Return what further runs said of the cases that fell: that it was luck."""
    return {f"c{i}": Stratum(f"c{i}", 12, 12, 9, 12) for i in range(3)}


def test_a_fall_against_stored_runs_is_confirmed_after_its_cases_were_run_further() -> None:
    assert needs({"only": stored(extra=True)}) == {"only": Needs({"c0": 12, "c1": 12, "c2": 12}, 0)}
    assert needs({"only": stored(extra=True, topped=lucky())}) == {"only": Needs({}, 5)}


def test_fresh_runs_confirm_or_refute_it() -> None:
    for hits, proven in ((5, True), (0, False)):
        comparison = stored(extra=True, topped=lucky(), fresh=against_fresh(hits))
        assert needs({"only": comparison}) == {}
        finding = found(comparison)
        assert (finding.proven, finding.unsettled) == (proven, ())
        assert finding.p == min(1, Fraction(5, 4) * max(finding.suite_p, finding.fresh_p or 0))


def test_a_fall_that_a_broken_case_explains_needs_no_confirmation() -> None:
    topped = {**lucky(), "c0": Stratum("c0", 12, 12, 0, 12)}
    comparison = stored(extra=True, topped=topped)
    assert needs({"only": comparison}) == {}
    assert found(comparison).path == "case"


def test_a_fall_that_only_a_case_proves_is_not_said_of_the_suite() -> None:
    topped = {f"c{i}": Stratum(f"c{i}", 12, 12, 9 if i else 0, 12) for i in range(7)}
    finding = found(regressed(suite(20, broken=7), stored=True, extra=True, topped=topped))
    assert (finding.path, finding.case) == ("case", "c0")
    assert finding.p == 100 * finding.case_p > finding.suite_p


def test_a_fall_against_stored_runs_that_proves_nothing_has_the_p_of_its_counts() -> None:
    finding = found(regressed(suite(8, broken=2, runs=1), stored=True))
    assert not finding.proven
    assert finding.p == Fraction(5, 4) * finding.suite_p == Fraction(5, 32)


def test_what_the_family_does_not_prove_is_not_confirmed() -> None:
    family = {
        key: stored(extra=True, topped=lucky()) if key == 0 else regressed(suite(9)) for key in range(900)
    }
    assert holm({key: each_p(each) for key, each in family.items()}) == frozenset()
    assert needs(family) == {}


def each_p(comparison: Comparison) -> Fraction:
    return min(Fraction(1), Fraction(5, 4) * suite_p(comparison.strata))


# Where no further runs may be had.


def test_without_further_runs_a_fall_against_stored_ones_is_not_settled() -> None:
    assert needs({"only": stored()}) == {}
    finding = found(stored())
    assert (finding.proven, finding.path) == (False, None)
    assert finding.p > LEVEL
    assert finding.unsettled == (
        "Not settled: 60/60 -> 51/60 hits on the same cases are a fall (p = 6e-5), but against stored replies and not "
        "confirmed by fresh runs of the old skill: the provider may have changed since.",
        "Not settled: 3 cases fell by half or more, and they were not run often enough to tell luck from loss: "
        "c0 3/3 -> 0/3, c1 3/3 -> 0/3, c2 3/3 -> 0/3.",
    )


def test_without_further_runs_a_suspicious_case_is_not_settled() -> None:
    finding = found(regressed(suite(20, broken=1, runs=2)))
    assert not finding.proven
    assert finding.unsettled == (
        "Not settled: 1 case fell by half or more, and it was not run often enough to tell luck from loss: "
        "c0 2/2 -> 0/2.",
    )


def test_what_was_asked_for_and_not_measured_is_not_settled() -> None:
    comparison = stored(extra=True, topped=lucky())
    assert needs({"only": comparison})
    assert [sentence[:11] for sentence in found(comparison).unsettled] == ["Not settled"]


def test_a_p_without_a_confirmation_does_not_help_the_others_of_the_family() -> None:
    """Holm asks less of the others for each that is proven, and this one is not."""
    other = regressed(suite(8, broken=5, runs=1))
    assert conclude({"stored": stored(), "other": other})["other"].proven
    weak = regressed(suite(8, broken=4, runs=1))
    assert found(weak).proven
    assert not conclude({"stored": stored(), "weak": weak})["weak"].proven
    confirmed = stored(fresh=against_fresh(5))
    assert conclude({"stored": confirmed, "weak": weak})["weak"].proven


# What is said.


def test_the_sentence_of_a_suite_has_its_counts_and_the_cases_that_fell_most() -> None:
    strata = (Stratum("z", 3, 3, 2, 3), *suite(20, broken=6))
    assert found(regressed(strata)).reason == (
        "Regressed: 63/63 -> 44/63 hits on the same cases (p = 5e-9, exact stratified test); most changed: "
        "c0 3/3 -> 0/3, c1 3/3 -> 0/3, c2 3/3 -> 0/3, c3 3/3 -> 0/3, c4 3/3 -> 0/3."
    )


def test_the_sentence_names_the_confirmation() -> None:
    assert found(stored(fresh=against_fresh(5), topped=lucky())).reason == (
        "Regressed: 60/60 -> 51/60 hits on the same cases (p = 8e-5, exact stratified test; 5 fresh runs of the old "
        "skill confirm it, p = 3e-6); most changed: c0 12/12 -> 9/12, c1 12/12 -> 9/12, c2 12/12 -> 9/12."
    )
    assert found(stored(fresh=against_fresh(0), topped=lucky())).reason == (
        "No regression is proven: 60/60 -> 51/60 hits on the same cases (p = 1, exact stratified test; against stored "
        "replies p = 6e-5, against 5 fresh runs of the old skill p = 1)."
    )


def test_the_sentence_of_a_case_names_it_with_all_of_its_runs() -> None:
    family = {
        key: broken_case(3) if key == 0 else replace(broken_case(3), new=broken_case(3).old)
        for key in range(4)
    }
    assert played(family)[0].reason == (
        "Regressed: c7 12/12 -> 0/12 hits, on this one of 20 cases (p = 0.0001, exact test of each case over 4 "
        "comparisons); all cases together 57/60 -> 57/60."
    )


def test_harm_is_said_of_the_skill_against_none() -> None:
    harm = Comparison("hurts", suite(20, broken=6), stored=True, fresh=None)
    assert found(replace(harm, stored=False)).reason.startswith(
        "Hurts: 60/60 -> 42/60 hits, without the skill -> with it, on the same cases (p = "
    )
    assert (
        found(harm)
        .unsettled[0]
        .endswith("not confirmed by fresh runs without the skill: the provider may have changed since.")
    )
    assert found(harm).reason.startswith(
        "No harm is proven: 60/60 -> 42/60 hits, without the skill -> with it, "
    )


def test_the_cases_that_fell_most_come_first_and_those_that_did_not_fall_not_at_all() -> None:
    strata = (
        Stratum("won", 0, 3, 3, 3),
        Stratum("b", 3, 3, 1, 3),
        Stratum("c", 3, 3, 0, 3),
        Stratum("a", 2, 3, 0, 3),
    )
    assert [each.case for each in found(regressed(strata)).worst] == ["c", "a", "b"]


def test_a_case_without_runs_in_one_arm_is_in_no_count() -> None:
    lonely = Stratum("new", 0, 0, 0, 3), Stratum("gone", 3, 3, 0, 0)
    for known in (suite(20, broken=7), (Stratum("a", 12, 12, 0, 12), *suite(3), Stratum("b", 0, 3, 3, 3))):
        assert found(regressed((*known, *lonely))) == found(regressed(known))
    assert found(regressed(known)).path == "case"


def test_without_noise_each_case_whose_rate_fell_is_a_loss() -> None:
    lost, kept, won = Stratum("a", 1, 1, 0, 1), Stratum("b", 3, 3, 1, 1), Stratum("c", 0, 1, 1, 1)
    assert exact_loss((lost, kept, won, Stratum("new", 0, 0, 0, 1))) == (lost,)
