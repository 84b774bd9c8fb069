"""The plan line: what a run will measure, before it does."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_upskill.reports.words import counted
from pytest_upskill.suite.matrix import Gate, Sample
from pytest_upskill.verdicts.intervals import smallest_lift
from pytest_upskill.verdicts.wording import points

_NARROWEST = 40


@dataclass(frozen=True, slots=True)
class Plan:
    """Counts of what is to be measured; `replies` are distinct requests, of which `stored` need no call.

    `calls` tells that the rest will be called for, and not only be missed (--upskill-cache=replay).
    `smallest` holds for each number of samples an arm, of models with noise, the smallest lift that it shows.
    """

    skills: int
    cases: int
    models: int
    arms: int
    runs: int
    samples: int
    replies: int
    stored: int
    smallest: tuple[tuple[int, float | None], ...]
    calls: bool = True


def make_plan(
    wanted: Sequence[Sample],
    gates: Sequence[Gate],
    replies: int,
    stored: int,
    deterministic: Callable[[str], bool],
    *,
    calls: bool = True,
) -> Plan:
    """Count what is wanted. Gates of deterministic models have no smallest lift: their rates are exact."""
    sizes = {_samples_an_arm(gate) for gate in gates if not deterministic(gate.model.name)}
    return Plan(
        skills=len({sample.suite for sample in wanted}),
        cases=len({sample.case for sample in wanted}),
        models=len({sample.model.name for sample in wanted}),
        arms=len({sample.arm for sample in wanted}),
        runs=len({sample.run for sample in wanted}),
        samples=len(wanted),
        replies=replies,
        stored=stored,
        smallest=tuple((size, smallest_lift(size)) for size in sorted(sizes) if size),
        calls=calls,
    )


def _samples_an_arm(gate: Gate) -> int:
    return sum(not sample.case.skip for sample in gate.samples) // 2


def plan_lines(plan: Plan, width: int) -> list[str]:
    """Return the plan as a sentence, wrapped to `width` columns."""
    text = (
        f"upskill: {counted(plan.skills, 'skill')}, {_size(plan)}; {plan.stored} in the store, {_rest(plan)}"
    )
    if plan.smallest:
        text += "; " + _smallest(plan.smallest)
    return textwrap.wrap(
        text,
        max(width, _NARROWEST),
        subsequent_indent="         ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def _rest(plan: Plan) -> str:
    rest = plan.replies - plan.stored
    return counted(rest, "call") if plan.calls else f"{rest} missing"


def _size(plan: Plan) -> str:
    factors = [counted(plan.cases, "case"), counted(plan.models, "model"), counted(plan.arms, "arm")]
    if plan.runs > 1:
        factors.append(counted(plan.runs, "run"))
    samples = counted(plan.samples, "sample")
    if plan.cases * plan.models * plan.arms * plan.runs == plan.samples:
        return f"{' x '.join(factors)} = {samples}"
    # Not every case runs on every model, or only a part was selected.
    return f"{', '.join(factors)}: {samples}"


def _smallest(sizes: Sequence[tuple[int, float | None]]) -> str:
    few, many = sizes[0], sizes[-1]
    parts = [few] if few == many else [few, many]
    return "; ".join(
        f"{counted(size, 'sample')} an arm reliably show lifts above {points(lift).removeprefix('+')} points"
        if lift is not None
        else f"{counted(size, 'sample')} an arm can show no lift reliably"
        for size, lift in parts
    )
