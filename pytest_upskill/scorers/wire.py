"""What crosses the border to a scoring process: one line of ASCII JSON each way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_upskill.errors import ScorerError
from pytest_upskill.types import Case, Check, Reply, Score, ScoringContext, Stage, Usage


@dataclass(frozen=True, slots=True)
class Job:
    """One check of one reply; `scorer` names the scorer's class as `module:Class`."""

    scorer: str
    reply: Reply
    check: Check
    context: ScoringContext


def pack_job(job: Job) -> bytes:
    reply, case = job.reply, job.context.case
    return _line(
        {
            "scorer": job.scorer,
            "reply": _fields(reply) | {"usage": _fields(reply.usage)},
            "check": _fields(job.check),
            "root": str(job.context.root),
            "run": job.context.run,
            "case": _fields(case) | {"checks": [_fields(check) for check in case.checks]},
        }
    )


def unpack_job(line: bytes) -> Job:
    data = json.loads(line)
    reply = Reply(**data["reply"] | {"usage": Usage(**data["reply"]["usage"])})
    case = data["case"] | {key: tuple(data["case"][key]) for key in ("tags", "models", "marks")}
    case["checks"] = tuple(Check(**check) for check in case["checks"])
    context = ScoringContext(Path(data["root"]), Case(**case), data["run"])
    return Job(data["scorer"], reply, Check(**data["check"]), context)


def pack_scores(scores: list[Score]) -> bytes:
    return _line({"scores": [asdict(score) for score in scores]})


def pack_error(sentence: str) -> bytes:
    return _line({"error": sentence})


def unpack_scores(line: bytes) -> list[Score]:
    """Return the scores of an answer. Raises `ScorerError` where the answer is an error."""
    data = json.loads(line)
    if "error" in data:
        raise ScorerError(data["error"])
    return [
        Score(**score | {"stages": tuple(Stage(**stage) for stage in score["stages"])})
        for score in data["scores"]
    ]


def _fields(record: Any) -> dict[str, Any]:  # noqa: ANN401 - any of our own dataclasses
    # Not asdict(): it copies deeply, which a read-only mapping refuses.
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def _line(data: object) -> bytes:
    return json.dumps(data, default=_plain).encode("ascii") + b"\n"


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)
