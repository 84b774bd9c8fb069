"""What an item learns of its sample or gate, in builtins alone, as it crosses from the controller to a worker."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

Properties = tuple[tuple[str, str], ...]
Place = tuple[str, str]  # a skill's absolute folder, and the id of a sample or gate of it


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an item.

    `word` is HIT or MISS for a sample and the decision's word for a gate; `failure` is the whole text of a gate
    that failed; `seconds` the latency of a call that was made in this run.
    """

    word: str = ""
    error: str | None = None
    skip: str | None = None
    failure: str | None = None
    seconds: float = 0.0
    properties: Properties = ()
    log: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def from_dict(data: dict[str, Any]) -> Answer:
    properties = tuple((str(name), str(value)) for name, value in data["properties"])
    return Answer(**{**data, "properties": properties, "log": tuple(data["log"])})


class Source(Protocol):
    """Where items get their answers: the controller itself, or in a worker the way to it."""

    def sample(self, place: Place) -> Answer:
        """Wait for a sample."""

    def gate(self, place: Place) -> Answer:
        """Wait for a gate."""
