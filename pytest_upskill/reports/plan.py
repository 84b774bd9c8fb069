"""The plan line: what a run will measure, before it does."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_upskill.suite.matrix import Gate, Sample
from pytest_upskill.verdicts.intervals import smallest_lift


@dataclass(frozen=True, slots=True)
class Plan:
    """Counts of what is to be measured; `replies` are distinct requests, of which `stored` need no call.

    `smallest` holds for each number of samples an arm, of models with noise, the smallest lift that it shows.
    """

    skills: int
    cases: int
    models: int
    arms: int
    samples: int
    replies: int
    stored: int
    smallest: tuple[tuple[int, float | None], ...]


def make_plan(
    wanted: Sequence[Sample],
    gates: Sequence[Gate],
    replies: int,
    stored: int,
    deterministic: Callable[[str], bool],
) -> Plan:
    """Count what is wanted. Gates of deterministic models have no smallest lift: their rates are exact."""
    sizes = {len(gate.samples) // 2 for gate in gates if not deterministic(gate.model.name)}
    return Plan(
        skills=len({sample.suite for sample in wanted}),
        cases=len({sample.case for sample in wanted}),
        models=len({sample.model.name for sample in wanted}),
        arms=len({sample.arm for sample in wanted}),
        samples=len(wanted),
        replies=replies,
        stored=stored,
        smallest=tuple((size, smallest_lift(size)) for size in sorted(sizes)),
    )


def plan_lines(plan: Plan, width: int) -> list[str]:
    """Return the plan as a sentence, wrapped to `width` columns."""
    text = (
        f"upskill: {counted(plan.skills, 'skill')}, {counted(plan.cases, 'case')} x {counted(plan.models, 'model')} x "
        f"{counted(plan.arms, 'arm')} = {counted(plan.samples, 'sample')}; "
        f"{plan.stored} in the store, {counted(plan.replies - plan.stored, 'call')}"
    )
    if plan.smallest:
        text += "; " + _smallest(plan.smallest)
    return textwrap.wrap(text, max(width, 40), subsequent_indent="         ", break_on_hyphens=False)


def counted(count: int, noun: str) -> str:
    """Return `1 case`, `2 cases`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _smallest(sizes: Sequence[tuple[int, float | None]]) -> str:
    few, many = sizes[0], sizes[-1]
    parts = [few] if few == many else [few, many]
    return "; ".join(
        f"{counted(size, 'sample')} an arm reliably show lifts above {lift * 100:.0f} points"
        if lift is not None
        else f"{counted(size, 'sample')} an arm can show no lift reliably"
        for size, lift in parts
    )
