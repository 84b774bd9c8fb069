"""The plan line: what a run will measure, before it does."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import fsum

from pytest_upskill.calls.estimate import Estimate
from pytest_upskill.calls.prices import in_dollars
from pytest_upskill.reports.words import counted
from pytest_upskill.suite.matrix import Gate, Sample
from pytest_upskill.types import WITH
from pytest_upskill.verdicts.intervals import smallest_lift
from pytest_upskill.verdicts.stopping import claim_confidence
from pytest_upskill.verdicts.wording import points

_NARROWEST = 40


@dataclass(frozen=True, slots=True)
class Load:
    """What of a skill on a model is there, and what must be called for.

    `recorded`, `stored` and those to call count distinct requests: one that stands in several rows is counted in
    the first. `batched` are those in batches that an earlier run has handed in.
    """

    skill: str
    model: str
    samples: int
    recorded: int
    stored: int
    rest: Estimate
    batched: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """Counts of what is to be measured.

    `calls` tells that the rest will be called for, and not only be missed (--upskill-cache=replay); `reads` that
    what is there is used (not with `refresh` and `off`).
    `rounds` are calls beyond those, at most, of rounds that are made until a gate is decided.
    `further` are calls beyond those, at most, that gates may take to confirm or settle what they suspect.
    `seconds` is how long that takes; None where it is not known. `smallest` holds for each number of samples an arm,
    of models with noise, the smallest lift that it shows.
    """

    skills: int
    cases: int
    models: int
    arms: int
    runs: int
    samples: int
    loads: tuple[Load, ...]
    smallest: tuple[tuple[int, float | None], ...] = ()
    seconds: float | None = None
    calls: bool = True
    reads: bool = True
    further: int = 0
    rounds: int = 0

    @property
    def recorded(self) -> int:
        return sum(load.recorded for load in self.loads)

    @property
    def stored(self) -> int:
        return sum(load.stored for load in self.loads)

    @property
    def batched(self) -> int:
        return sum(load.batched for load in self.loads)

    @property
    def rest(self) -> int:
        """How many replies are nowhere."""
        return sum(load.rest.calls for load in self.loads)

    @property
    def cost(self) -> float:
        """What the calls will cost, in US dollars, those of `unpriced` models left out."""
        return fsum(load.rest.cost for load in self.loads if load.rest.cost is not None)

    @property
    def unpriced(self) -> tuple[str, ...]:
        """The models that will be called, and whose price is unknown."""
        return tuple(dict.fromkeys(load.model for load in self.loads if load.rest.cost is None))


def make_plan(
    wanted: Sequence[Sample],
    gates: Sequence[Gate],
    loads: Iterable[Load],
    deterministic: Callable[[str], bool],
    *,
    seconds: float | None = None,
    calls: bool = True,
    reads: bool = True,
    further: int = 0,
) -> Plan:
    """Count what is wanted. Gates of deterministic models have no smallest lift: their rates are exact."""
    sizes = {
        (_samples_an_arm(gate), claim_confidence(gate.runs) if gate.auto else 0.95)
        for gate in gates
        if not deterministic(gate.model.name)
    }
    return Plan(
        skills=len({sample.suite for sample in wanted}),
        cases=len({sample.case for sample in wanted}),
        models=len({sample.model.name for sample in wanted}),
        arms=len({sample.arm for sample in wanted}),
        runs=len({sample.run for sample in wanted}),
        samples=len(wanted),
        loads=tuple(loads),
        smallest=tuple(
            (size, smallest_lift(size, confidence=confidence)) for size, confidence in sorted(sizes) if size
        ),
        seconds=seconds,
        calls=calls,
        reads=reads,
        further=further,
    )


def _samples_an_arm(gate: Gate) -> int:
    return sum(not sample.case.skip and sample.arm == WITH for sample in gate.samples)


def plan_lines(plan: Plan, width: int) -> list[str]:
    """Return the plan as a sentence, wrapped to `width` columns."""
    text = f"upskill: {counted(plan.skills, 'skill')}, {_size(plan)}; {_replies(plan)}"
    if plan.smallest:
        text += "; " + _smallest(plan.smallest)
    return textwrap.wrap(
        text,
        max(width, _NARROWEST),
        subsequent_indent="         ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def _replies(plan: Plan) -> str:
    parts = [f"{plan.recorded} recorded"] if plan.recorded else []
    # That nothing is in the store is news only where nothing is recorded.
    if plan.stored or (plan.reads and not plan.recorded):
        parts.append(f"{plan.stored} in the store")
    if plan.batched:
        parts.append(f"{plan.batched} in open batches")
    if not plan.calls:
        return ", ".join([*parts, f"{plan.rest} missing"])
    text = ", ".join([*parts, counted(plan.rest, "call"), *_toll(plan)])
    if plan.rounds:
        text += f"; up to {counted(plan.rounds, 'more call')} until the gates are decided"
    return (
        f"{text}; up to {counted(plan.further, 'more call')} where a gate suspects a fall"
        if plan.further
        else text
    )


def _toll(plan: Plan) -> list[str]:
    """Return what the calls take: money, time, and whose price is unknown; nothing for what is free and quick."""
    toll = []
    if plan.cost:
        toll.append(in_dollars(plan.cost) + _batches(plan))
    if plan.rest and plan.seconds is not None and plan.seconds >= 1:
        toll.append(in_time(plan.seconds))
    if toll and not toll[0].startswith("<"):
        toll[0] = f"about {toll[0]}"
    if plan.unpriced:
        toll.append(f"cost of {some_names(plan.unpriced)} unknown")
    return toll


def _batches(plan: Plan) -> str:
    paid = [load.rest.batched for load in plan.loads if load.rest.cost]
    if not any(paid):
        return ""
    return " in batches" if all(paid) else ", partly in batches"


def some_names(names: Sequence[str]) -> str:
    """Return the names of models as one thing: `glm`, `glm and qwen`, `4 models`."""
    return " and ".join(names) if len(names) <= 2 else counted(len(names), "model")


def in_time(seconds: float) -> str:
    """Return about how long something takes, in one unit."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


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
