"""Samples that are held back, and let go or spared while the others are measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_upskill.suite.matrix import Sample
from pytest_upskill.types import Outcome


@dataclass(frozen=True, slots=True)
class Further:
    """What follows from what is known by now.

    Attributes:
        samples: selected ones, which may be begun from now on.
        urgent: those of them that somebody waits for.
        outcomes: what became of samples that are not measured at all.
    """

    samples: Sequence[Sample] = ()
    urgent: Sequence[Sample] = ()
    outcomes: Mapping[Sample, Outcome] = field(default_factory=dict)


class Follower:
    """Holds samples back and lets them go, on the engine's loop; this one holds none."""

    def free(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        """Return those samples that may be begun."""
        return samples

    def hurried(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        """Return what must be measured soon, as somebody waits for these samples."""
        return samples

    async def finished(self, sample: Sample) -> Further | None:
        """Hear that the outcome of a sample is known."""
        return None
