"""A family that is played to its end: what never turns with one more hit, and that stages change no answer."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.verdicts.change import Comparison, Needs, conclude, needs
from pytest_upskill.verdicts.family import LEVEL
from tests.verdicts.staged import RUNS, Played, played


@st.composite
def tapes(draw: st.DrawFn) -> dict[int, Played]:
    """Return a small family in which much is suspicious, and little is far from the line."""
    family = {}
    for key in range(draw(st.integers(1, 3))):
        rounds = draw(st.sampled_from([1, 3, 5]))
        cases = [f"c{i}" for i in range(draw(st.integers(1, 6)))]
        misses = {case: draw(st.sets(st.integers(0, RUNS - 1), max_size=4)) for case in cases}
        begins = {case: draw(st.sampled_from([0, 0, 1, 2, 4, RUNS])) for case in cases}
        old = {case: [run not in misses[case] for run in range(RUNS)] for case in cases}
        new = {case: [run < begins[case] or run in misses[case] for run in range(RUNS)] for case in cases}
        family[key] = Played(
            old,
            new,
            rounds,
            stored=draw(st.booleans()),
            extra=draw(st.sampled_from([True, True, True, False])),
        )
    return family


def flips(family: dict[int, Played]) -> list[tuple[int, str, int]]:
    return [
        (key, case, run)
        for key, each in family.items()
        for case, hits in each.new.items()
        for run, hit in enumerate(hits[:12])
        if not hit
    ]


@settings(deadline=None, max_examples=150)
@given(tapes(), st.data())
def test_one_more_new_hit_never_proves_a_fall_or_leaves_one_unsettled(
    family: dict[int, Played], data: st.DataObject
) -> None:
    places = flips(family)
    if not places:
        return
    before = played(family)
    key, case, run = data.draw(st.sampled_from(places))
    hits = list(family[key].new[case])
    hits[run] = True
    better = {**family, key: replace(family[key], new={**family[key].new, case: hits})}
    for other, finding in played(better).items():
        clear = not before[other].proven and not before[other].unsettled
        assert not finding.proven or before[other].proven
        assert not (clear and finding.unsettled)


def in_full(each: Played) -> Comparison:
    """Return a comparison of which all is known that could ever be asked for, stage by stage."""
    comparison = each.begun()
    if not each.extra:
        return comparison
    alone = {"only": replace(each, stored=False)}
    # A drop that none reaches closes the suite's path, so that every suspicious case is run to its end.
    stages = replace(comparison, min_drop=Fraction(2), stored=False)
    while wanted := needs({"only": stages}):
        if wanted["only"].runs == {}:
            break
        stages = alone["only"].measured(stages, wanted["only"])
    comparison = replace(comparison, topped=stages.topped)
    return each.measured(comparison, Needs({}, 5)) if each.stored else comparison


@settings(deadline=None, max_examples=100)
@given(tapes())
def test_stages_prove_what_all_replies_would_prove(family: dict[int, Played]) -> None:
    staged = {key for key, finding in played(family).items() if finding.proven}
    full = conclude({key: in_full(each) for key, each in family.items()})
    assert staged == {key for key, finding in full.items() if finding.proven}


@settings(deadline=None, max_examples=60)
@given(tapes())
def test_a_finding_is_proven_where_its_p_is_at_most_the_level(family: dict[int, Played]) -> None:
    for finding in played(family).values():
        assert finding.proven == (finding.p <= LEVEL)
        assert (finding.path is None) != finding.proven


@settings(deadline=None, max_examples=60)
@given(tapes())
def test_the_order_of_the_family_does_not_matter(family: dict[int, Played]) -> None:
    backwards = dict(reversed(family.items()))
    assert played(backwards) == played(family)
