"""The rules of a gate, from all the places that may set them."""

from __future__ import annotations

from dataclasses import fields
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from pytest_upskill.suite.matrix import Gate
from pytest_upskill.types import GateConfig, GateMode
from pytest_upskill.verdicts.gate import GateRules

if TYPE_CHECKING:
    from pytest_upskill.config import Config


def rules_for(gate: Gate, config: Config, mode: GateMode) -> GateRules:
    """Return a gate's rules.

    Precedence, last wins: upskill.yaml's default, the case file, upskill.yaml for the model, upskill.yaml for the
    skill, the command line.
    """
    places = [
        config.gates.get("default"),
        gate.suite.first.gate,
        config.gates.get(gate.model.name),
        config.gates.get(gate.suite.skill.name),
    ]
    values: dict[str, Any] = {}
    for place in places:
        values.update(_said(place))
    return GateRules(**values, mode=mode)


def _said(place: GateConfig | None) -> dict[str, Any]:
    if place is None:
        return {}
    said = {field.name: getattr(place, field.name) for field in fields(place)}
    return {name: _exact(value) for name, value in said.items() if value is not None}


def _exact(value: float | str) -> Fraction | str:
    # The decimal that was written, 0.8, and not the binary number nearest to it.
    return value if isinstance(value, str) else Fraction(str(value))
