"""The zoo of kernels on a real device: no cheat gets through, no honest kernel is rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.gpu_common import Part, Place, judged
from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.spec import KernelSpec

if TYPE_CHECKING:
    from tests.kernels.zoo import Cheat, Honest

DTYPES = ("f32", "f16", "bf16")


def check(place: Place) -> Part:
    """Try every cheat once, and every honest kernel in each type with several seeds, at the sizes for a device."""
    from tests.kernels.zoo import CHEATS, HONEST

    lines: list[str] = []
    figures: dict[str, str] = {}
    wrong = 0
    for cheat in CHEATS:
        stopped, evidence = _stopped(place, cheat.reply, cheat.spec(shapes=cheat.task.large), cheat.name, 0)
        fine = _stopped_as_it_should(cheat, stopped)
        wrong += not fine
        figures[cheat.name] = stopped
        lines.append(
            f"{'ok ' if fine else 'BAD'} {cheat.name}: {stopped} (expected {cheat.expected}) {evidence}"[:160]
        )
    for honest in HONEST:
        rejected = _rejected(place, honest)
        wrong += bool(rejected)
        figures[honest.name] = "; ".join(rejected) or "accepted"
        lines.append(f"{'BAD' if rejected else 'ok '} {honest.name}: {figures[honest.name]}"[:160])
    lines.append(
        f"{len(CHEATS)} cheats, {len(HONEST)} honest kernels x {len(DTYPES)} types x {place.seeds} seeds"
    )
    return judged("zoo", wrong, lines, figures)


def _stopped_as_it_should(cheat: Cheat, stopped: str) -> bool:
    # Where it is stopped may differ from the emulation; that it is must not.
    return stopped != "nowhere" or cheat.expected == "harmless"


def _rejected(place: Place, honest: Honest) -> list[str]:
    found = []
    for dtype in DTYPES:
        for seed in range(place.seeds):
            spec = honest.task.spec((dtype,), honest.task.large)
            stopped, evidence = _stopped(place, honest.reply, spec, honest.name, seed)
            if stopped != "nowhere":
                found.append(f"{dtype} seed {seed}: {stopped}: {evidence}")
    return found


def _stopped(place: Place, reply: str, spec: KernelSpec, name: str, seed: int) -> tuple[str, str]:
    """Return the stage that stopped a reply, `task` where it could not be judged, and the evidence."""
    try:
        tried = place.bench.try_answer(reply, spec, f"zoo/{name}", f"gpu check {name} {seed}".encode())
    except ScorerError as error:
        return "task", str(error)
    return ("nowhere", "") if tried.hit else (tried.telling.name, tried.telling.evidence)
