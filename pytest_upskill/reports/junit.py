"""JUnit: the properties of samples and gates, and those of the whole suite."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import pytest

from pytest_upskill.errors import one_line
from pytest_upskill.reports.stages import stage_properties
from pytest_upskill.suite.matrix import Sample
from pytest_upskill.types import Outcome
from pytest_upskill.verdicts.result import GateResult

Properties = tuple[tuple[str, str], ...]
_LONGEST = 200


def sample_properties(sample: Sample, outcome: Outcome) -> Properties:
    """Return what stands in a sample's testcase. Small: transcripts belong into results.json."""
    rows: list[tuple[str, object]] = [
        ("skill", sample.suite.skill.name),
        ("case", sample.case.id),
        ("model", sample.model.name),
        ("arm", sample.arm),
        ("run", sample.run),
    ]
    rows += stage_properties(outcome.stages)
    if outcome.measured:
        rows += [("hit", outcome.hit), ("source", outcome.source)]
    reply = outcome.reply
    if reply is not None:
        rows += [
            ("latency", f"{reply.latency:.3f}"),
            ("input_tokens", reply.usage.input_tokens),
            ("output_tokens", reply.usage.output_tokens),
            ("cost", _dollars(outcome.cost)),
            ("reported_model", reply.model),
        ]
        if reply.truncated:
            rows.append(("truncated", True))
    return _named(rows)


def gate_properties(result: GateResult) -> Properties:
    """Return what stands in a gate's testcase."""
    gate = result.gate
    return _named([("skill", gate.suite.skill.name), ("model", gate.model.name), *_summary(result)])


def add_suite_properties(config: pytest.Config, results: Iterable[GateResult]) -> None:
    """Add a property for each skill x model and number to the suite, where a JUnit file is written.

    `record_testsuite_property` is lost in xdist workers (pytest#7767), so this asks the writer itself, which
    has no public name.
    """
    try:
        from _pytest.junitxml import xml_key
    except ImportError:
        return
    xml = config.stash.get(xml_key, None)
    if xml is None:
        return
    for result in results:
        place = _text(f"upskill.{result.gate.suite.skill.name}.{result.gate.model.name}")
        for name, value in _summary(result):
            if value is not None:
                xml.add_global_property(f"{place}.{name}", _text(value))


def _summary(result: GateResult) -> list[tuple[str, object]]:
    lift, verdict, decision = result.lift, result.verdict, result.decision
    rows: list[tuple[str, object]] = [
        ("with_hits", lift.with_hits),
        ("with_samples", lift.with_n),
        ("without_hits", lift.without_hits),
        ("without_samples", lift.without_n),
        ("with_rate", lift.with_rate),
        ("without_rate", lift.without_rate),
        ("lift", lift.lift),
    ]
    if lift.interval is not None:
        rows.append(("lift_interval", f"{lift.interval[0]:.4f} {lift.interval[1]:.4f}"))
    cost, hits = result.tally.counted_cost, lift.with_hits
    rows += [
        ("with_cost", _dollars(result.tally.with_cost)),
        ("without_cost", _dollars(result.tally.without_cost)),
        ("cost_per_hit", _dollars(cost / hits if cost is not None and hits else None)),
    ]
    if verdict is not None:
        rows.append(("verdict", verdict.word))
    if result.change.against is not None:
        rows.append(("against", f"{result.change.against.name} ({result.change.against.state})"))
    rows += [(f"p_{finding.question}", f"{float(finding.p):.4g}") for finding in result.change.findings]
    rows.append(("gate", decision.word if decision is not None else "partial"))
    return rows


def _dollars(amount: float | None) -> str | None:
    # Not with an exponent, and not so short that a cent's fraction looks like nothing.
    return None if amount is None else f"{amount:.9f}".rstrip("0").rstrip(".")


def _named(rows: Iterable[tuple[str, object]]) -> Properties:
    return tuple((f"upskill.{name}", _text(value)) for name, value in rows if value is not None)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    # What a server says of itself may be long, and hold what neither XML nor a worker's channel can carry.
    return f"{float(value):.4f}" if isinstance(value, Fraction) else one_line(str(value)[:_LONGEST])
