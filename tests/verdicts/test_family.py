from __future__ import annotations

import random
from fractions import Fraction
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.verdicts.family import LEVEL, adjusted, holm

P = st.integers(0, 400).map(lambda parts: Fraction(parts, 400))
Family = dict[int, Fraction]


def families(most: int = 8) -> st.SearchStrategy[Family]:
    return st.lists(P, max_size=most).map(lambda ps: dict(enumerate(ps)))


def closed(ps: Family, level: Fraction) -> frozenset[int]:
    """Return what the closed test rejects: every set of questions that holds one must be rejected (Bonferroni)."""
    sets = [set(some) for size in range(1, len(ps) + 1) for some in combinations(ps, size)]
    passed = [some for some in sets if len(some) * min(ps[key] for key in some) > level]
    return frozenset(key for key in ps if not any(key in some for some in passed))


def test_a_worked_example() -> None:
    ps = {"a": Fraction(1, 100), "b": Fraction(4, 100), "c": Fraction(3, 100), "d": Fraction(5, 1000)}
    assert adjusted(ps) == {
        "a": Fraction(3, 100),
        "b": Fraction(6, 100),
        "c": Fraction(6, 100),
        "d": Fraction(2, 100),
    }
    assert holm(ps) == {"a", "d"}
    assert holm(ps, Fraction(6, 100)) == {"a", "b", "c", "d"}


def test_a_family_of_one_is_tested_at_the_level_itself() -> None:
    assert holm({"a": LEVEL}) == {"a"}
    assert holm({"a": LEVEL + Fraction(1, 10**30)}) == frozenset()


def test_an_empty_family_rejects_nothing() -> None:
    assert (holm({}), adjusted({})) == (frozenset(), {})


@settings(deadline=None, max_examples=60)
@given(families(4), st.fractions(0, Fraction(99, 100), max_denominator=400))
def test_it_is_the_closed_test_of_bonferroni(ps: Family, level: Fraction) -> None:
    assert holm(ps, level) == closed(ps, level)


@settings(deadline=None)
@given(families(), st.data())
def test_a_larger_p_lowers_no_other_and_proves_nothing(ps: Family, data: st.DataObject) -> None:
    larger = {key: data.draw(st.just(p) | st.fractions(p, 1)) for key, p in ps.items()}
    before, after = adjusted(ps), adjusted(larger)
    assert all(after[key] >= before[key] for key in ps)
    assert holm(larger) <= holm(ps)


@settings(deadline=None)
@given(families(), st.randoms(use_true_random=False))
def test_the_order_does_not_matter(ps: Family, rng: random.Random) -> None:
    other = dict(rng.sample(list(ps.items()), len(ps)))
    assert adjusted(other) == adjusted(ps)
    assert list(adjusted(other)) == list(other)


@settings(deadline=None)
@given(families())
def test_an_adjusted_p_keeps_the_order_and_lies_between_its_p_and_one(ps: Family) -> None:
    found = adjusted(ps)
    assert all(p <= found[key] <= 1 for key, p in ps.items())
    assert all(found[a] <= found[b] for a in ps for b in ps if ps[a] <= ps[b])
