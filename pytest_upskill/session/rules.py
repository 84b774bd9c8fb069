"""The rules of a gate, from all the places that may set them."""

from __future__ import annotations

from dataclasses import fields
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from pytest_upskill.suite.matrix import Gate, Suite
from pytest_upskill.types import GateConfig
from pytest_upskill.verdicts.gate import GateRules

if TYPE_CHECKING:
    from pytest_upskill.config import Config
    from pytest_upskill.settings import GateFlags


def rules_for(gate: Gate, config: Config, flags: GateFlags) -> GateRules:
    """Return a gate's rules.

    Precedence, last wins: upskill.yaml's default, the case file, upskill.yaml for the model, upskill.yaml for the
    skill, the command line.
    """
    return _rules(gate.suite, config, flags, config.gates.get(gate.model.name))


def target_for(suite: Suite, config: Config, flags: GateFlags) -> Fraction | None:
    """Return the hit rate that is asked for of a skill, whichever the model: what is said of one model is left out."""
    return _rules(suite, config, flags, None).min_pass_rate


def _rules(suite: Suite, config: Config, flags: GateFlags, of_model: GateConfig | None) -> GateRules:
    places = [
        config.gates.get("default"),
        suite.first.gate,
        of_model,
        config.gates.get(suite.skill.name),
        flags.rules,
    ]
    values: dict[str, Any] = {}
    for place in places:
        values.update(_said(place))
    return GateRules(**values, mode=flags.mode)


def _said(place: GateConfig | None) -> dict[str, Any]:
    if place is None:
        return {}
    said = {field.name: getattr(place, field.name) for field in fields(place)}
    return {name: _exact(value) for name, value in said.items() if value is not None}


def _exact(value: float | str) -> Fraction | str:
    # The decimal that was written, 0.8, and not the binary number nearest to it.
    return value if isinstance(value, str) else Fraction(str(value))
