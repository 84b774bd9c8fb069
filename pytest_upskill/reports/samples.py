"""What results.json says of a sample: what came back, what was made of it."""

from __future__ import annotations

import math
from pathlib import Path

from pytest_upskill.reports.redaction import public_text
from pytest_upskill.reports.stages import stage_data
from pytest_upskill.suite.matrix import Sample
from pytest_upskill.types import JSON, Outcome, Reply


def sample_data(sample: Sample, outcome: Outcome, rootdir: Path) -> dict[str, JSON]:
    """Return what results.json says of a sample."""
    status = "measured" if outcome.measured else "error" if outcome.error is not None else "skipped"
    return {
        "skill": sample.suite.skill.name,
        "case": sample.case.id,
        "model": sample.model.name,
        "arm": sample.arm,
        "run": sample.run,
        "status": status,
        "hit": outcome.hit if outcome.measured else None,
        "scores": [
            {
                "hit": bool(score.hit),
                "evidence": str(score.evidence),
                "expected": str(score.expected),
                "scorer": str(score.scorer),
            }
            for score in outcome.scores
        ],
        "stages": stage_data(outcome.stages),
        "error": public_text(outcome.error, rootdir),
        "skip": outcome.skip,
        "reply": None if outcome.reply is None else _reply(outcome.reply, outcome),
    }


def _reply(reply: Reply, outcome: Outcome) -> dict[str, JSON]:
    usage = reply.usage
    return {
        "text": reply.text,
        "source": outcome.source,
        "model": reply.model,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost": outcome.cost,
        "latency": reply.latency if math.isfinite(reply.latency) else None,
        "stop_reason": reply.stop_reason,
        "truncated": reply.truncated,
    }
