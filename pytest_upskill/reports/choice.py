"""Which model to take for a skill, in words and as data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction

from pytest_upskill.calls.prices import in_dollars
from pytest_upskill.errors import one_line
from pytest_upskill.reports.table import Line
from pytest_upskill.reports.words import counted
from pytest_upskill.suite.matrix import Suite
from pytest_upskill.types import JSON
from pytest_upskill.verdicts.choice import Advice, Candidate, Choice, Weighed, cheaper
from pytest_upskill.verdicts.wording import counted_points, percents


def choice_lines(choices: Mapping[Suite, Choice], *, verbose: bool = False) -> Iterator[Line]:
    """Yield a line for each skill on the cheapest model that reaches its target, then the advice.

    Args:
        choices: by skill.
        verbose: add what each dollar buys.
    """
    for suite, choice in choices.items():
        texts = [cheapest(choice), *(advised(each, choice) for each in choice.advice)]
        if verbose:
            texts.append(_front(choice))
        yield from (Line(one_line(f"{suite.skill.name}: {text}")) for text in texts if text)


def cheapest(choice: Choice) -> str:
    """Return what is known of the cheapest model, in a phrase; nothing where there is nothing to choose from."""
    priced = [each for each in choice.weighed if each.candidate.cost is not None]
    unpriced = list(
        dict.fromkeys(each.candidate.model for each in choice.weighed if each.candidate.cost is None)
    )
    if len(priced) < 2 and len(unpriced) < 2:
        return ""
    (target,) = percents(choice.target)
    head = f"cheapest model at {target}"
    if choice.left_out:
        head += f" of the {counted(choice.cases, 'case')} that all models ran"
    if not priced:
        return f"{head}: not known, as the cost of {', '.join(unpriced)} is unknown"
    without_cost = f"; the cost of {', '.join(unpriced)} is unknown" if unpriced else ""
    return f"{head}: {_found(choice, priced)}{without_cost}"


def _found(choice: Choice, priced: list[Weighed]) -> str:
    best, likely = choice.best, choice.likely
    if best is None:
        nearest = max(priced, key=lambda each: each.candidate.rate)
        none = "none" if len(priced) == len(choice.weighed) else "none of known cost"
        return f"{none}; nearest is {_shown(nearest, choice.target)}"
    text = _shown(best, choice.target)
    if likely is not None and likely is not best and cheaper(likely, best):
        text += f"; cheaper: {_shown(likely, choice.target)}"
    return text


def _shown(each: Weighed, target: Fraction) -> str:
    candidate = each.candidate
    count = f"{candidate.hits}/{candidate.n}"
    if each.lower is None:
        return f"{_name(candidate)} ({count}, exact)"
    least = percents(_floored(each, target))[0]
    said = {"proven": ", proven", "not proven": ", not proven", "missed": ""}[each.reach]
    return f"{_name(candidate)} ({count}{said}: at least {least})"


def _floored(each: Weighed, target: Fraction) -> Fraction:
    # Rounded down: more than that is not known. What reaches the target is not said to end below it.
    whole = Fraction(math.floor((each.lower or 0) * 100), 100)
    return max(whole, target) if each.reach == "proven" else whole


def _name(candidate: Candidate) -> str:
    return f"{candidate.model} {'+ skill' if candidate.skilled else 'alone'}"


def advised(advice: Advice, choice: Choice) -> str:
    """Return a piece of advice as a phrase."""
    if advice.kind == "skip the skill":
        beyond = counted_points(advice.result.rules.equivalence).removeprefix("+")
        effect = "no effect" if advice.result.lift.deterministic else f"no effect beyond {beyond}"
        tokens = "" if advice.tokens is None else f", +{float(advice.tokens):.0f} tokens a call"
        return f"skip the skill on {advice.model}: {effect}{tokens}"
    without, with_ = (
        next(
            each.candidate
            for each in choice.weighed
            if each.candidate.model == advice.model and each.candidate.skilled == skilled
        )
        for skilled in (False, True)
    )
    (target,) = percents(choice.target)
    counts = f"{without.hits}/{without.n} -> {with_.hits}/{with_.n}"
    return f"the skill lets {advice.model} reach {target} ({counts})"


def _front(choice: Choice) -> str:
    """Return what no other candidate beats in both rate and cost, the cheapest first."""
    front = sorted((each for each in choice.weighed if each.front), key=lambda each: each.candidate.cost or 0)
    if len(front) < 2:
        return ""
    rates = percents(*(each.candidate.rate for each in front))
    parts = (
        f"{_name(each.candidate)} {rate} at {in_dollars(float(each.candidate.cost or 0))}"
        for each, rate in zip(front, rates, strict=True)
    )
    return f"most hits for the cost of a call: {', '.join(parts)}"


def choice_data(choice: Choice | None) -> JSON:
    """Return what results.json says of a choice."""
    if choice is None:
        return None
    return {
        "target": float(choice.target),
        "cases": choice.cases,
        "left_out": choice.left_out,
        "proven": _reference(choice.proven),
        "not_proven": _reference(choice.likely),
        "candidates": [_candidate(each) for each in choice.weighed],
        "advice": [
            {"model": each.model, "kind": each.kind, "text": advised(each, choice)} for each in choice.advice
        ],
    }


def _reference(each: Weighed | None) -> JSON:
    return None if each is None else {"model": each.candidate.model, "with_skill": each.candidate.skilled}


def _candidate(each: Weighed) -> JSON:
    candidate = each.candidate
    return {
        "model": candidate.model,
        "with_skill": candidate.skilled,
        "hits": candidate.hits,
        "samples": candidate.n,
        "rate": float(candidate.rate),
        "lower_bound": each.lower,
        "reaches": each.reach,
        "cost_per_call": _number(candidate.cost),
        "tokens_per_call": _number(candidate.tokens),
        "on_front": each.front,
    }


def _number(value: Fraction | None) -> float | None:
    return None if value is None else float(value)
