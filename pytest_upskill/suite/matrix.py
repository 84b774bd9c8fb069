"""The matrix of a skill: its samples and gates, with ids that stay the same from run to run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_upskill.types import OLD, WITH, WITHOUT, Arm, Case, CaseFile, Model, Skill

ARMS: tuple[Arm, ...] = (WITH, WITHOUT)


@dataclass(frozen=True, slots=True, eq=False)
class OldSkill:
    """The skill as it stood at the base.

    Attributes:
        ref: the base, as it was named.
        skill: what stood there; None where there was none, and the skill is new.
        block: how a model got it; empty where there was none.
        unchanged: a model gets the same today.
        origin: the folder that it was moved from, relative to the repository; empty where it was not.
    """

    ref: str
    skill: Skill | None
    block: str = ""
    unchanged: bool = False
    origin: str = ""

    @property
    def measured(self) -> bool:
        """Tell whether it has an arm of its own."""
        return self.skill is not None and not self.unchanged


@dataclass(frozen=True, slots=True, eq=False)
class Suite:
    """A skill and its case files. What holds for the whole skill is what the first file says of it.

    `old` is None where there is no base to compare with.
    """

    skill: Skill
    files: tuple[CaseFile, ...]
    old: OldSkill | None = None

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms that are measured."""
        return (*ARMS, OLD) if self.old is not None and self.old.measured else ARMS

    @property
    def first(self) -> CaseFile:
        return self.files[0]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One run: skill x case x model x arm x run (1-based)."""

    suite: Suite
    case: Case
    model: Model
    arm: Arm
    run: int

    @property
    def id(self) -> str:
        return f"{self.case.id}[{self.model.name}-{self.arm}-run{self.run}]"


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """What decides over a skill on a model, from all of its declared samples.

    With `auto` its `runs` are the most that are made: fewer where it is decided before.
    """

    suite: Suite
    model: Model
    runs: int
    samples: tuple[Sample, ...]
    auto: bool = False

    @property
    def id(self) -> str:
        return f"gate[{self.model.name}]"


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """All samples of a suite in the order of its cases, and its gates in the order of the models."""

    suite: Suite
    samples: tuple[Sample, ...]
    gates: tuple[Gate, ...]


def build(
    suite: Suite,
    models: Sequence[Model],
    runs: Mapping[str, int],
    auto: Collection[str] = (),
    arms: Sequence[Arm] = (),
) -> Matrix:
    """Return the matrix of a suite; `runs` gives the number of runs by the model's name, the most for those of `auto`.

    The arms of one run stand side by side, so that a run that is cut short still holds pairs. Whole rounds follow one
    another where some model is of `auto`. Without `arms` they are those of the suite.
    """
    samples = tuple(_samples(suite, models, runs, arms or suite.arms))
    if auto:
        # Whoever goes through them in their order never waits for a round that is behind.
        samples = tuple(sorted(samples, key=lambda sample: sample.run))
    gates = []
    for model in models:
        own = tuple(sample for sample in samples if sample.model is model)
        if own:
            gates.append(Gate(suite, model, runs[model.name], own, model.name in auto))
    return Matrix(suite, samples, tuple(gates))


def applies(case: Case, model: Model) -> bool:
    """Tell whether a case runs on a model: named in `models`, or not excluded there by `!name`."""
    wanted = [name for name in case.models if not name.startswith("!")]
    return f"!{model.name}" not in case.models and (not wanted or model.name in wanted)


def _samples(
    suite: Suite, models: Sequence[Model], runs: Mapping[str, int], arms: Sequence[Arm]
) -> Iterator[Sample]:
    for file in suite.files:
        for case in file.cases:
            for model in models:
                if applies(case, model):
                    for run in range(1, runs[model.name] + 1):
                        for arm in arms:
                            yield Sample(suite, case, model, arm, run)
