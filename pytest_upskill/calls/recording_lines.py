"""One recorded reply as a line of JSON, and a line of JSON as a recorded reply or a mistake in words."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard, get_args

from pytest_upskill.suite import MOST_RUNS
from pytest_upskill.suite.documents import Mistake, load_json
from pytest_upskill.types import JSON, Arm, Reply, Usage

VERSION = 1
_FORMAT = "pytest-upskill recordings"
_ENTRY = ("case", "arm", "run", "key", "reply")
_REPLY = ("text", "model", "usage", "stop_reason", "latency")
_USAGE = ("input_tokens", "output_tokens")
_KEY = re.compile(r"[0-9a-f]{64}")
_CONFLICT = re.compile(r"(<{7}|={7}|>{7}|\|{7})( |$)")
_MOST_SECONDS = 1e9


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded reply: its key in the store, and the first sample of the matrix that it answers."""

    case: str
    arm: Arm
    run: int
    key: bytes
    reply: Reply


def header() -> str:
    """Return the first line of a file."""
    return json.dumps({"format": _FORMAT, "version": VERSION})


def check_header(line: str) -> None:
    """Refuse what is no first line of a file of this version.

    Raises:
        Mistake: in words.
    """
    row = _loaded(line)
    if not isinstance(row, dict) or row.get("format") != _FORMAT:
        raise Mistake(f"the first line must be {header()}")
    if row.get("version") != VERSION:
        other = json.dumps(row.get("version"))
        raise Mistake(
            f"written by another version of pytest-upskill (format {other}, this one reads {VERSION})"
        )


def encoded(entry: Recorded) -> str:
    """Return the line of a recorded reply, its keys always in the same order."""
    reply = entry.reply
    counts = {name: getattr(reply.usage, name) for name in _USAGE}
    row = {
        "case": entry.case,
        "arm": entry.arm,
        "run": entry.run,
        "key": entry.key.hex(),
        "reply": {
            "text": reply.text,
            "model": reply.model,
            "usage": {name: count if _is_count(count) else None for name, count in counts.items()},
            "stop_reason": reply.stop_reason,
            "latency": reply.latency if _is_time(reply.latency) else 0.0,
        },
    }
    line = json.dumps(row, ensure_ascii=False)
    if line.isprintable():
        return line
    # What does not print could end the line for some tools, or show another text to who reads the diff.
    whole = line.encode("utf-8", "replace").decode("utf-8")
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in whole)


def entry_of(line: str) -> Recorded:
    """Return the recorded reply of a line.

    Raises:
        Mistake: in words.
    """
    fields = _fields(_loaded(line), _ENTRY)
    case, arm, run, key = (fields[name] for name in _ENTRY[:4])
    if not isinstance(case, str):
        raise Mistake("'case' must be a text")
    if not _is_arm(arm):
        raise Mistake(f"'arm' must be one of {', '.join(get_args(Arm))}")
    if not _is_count(run) or not 1 <= run <= MOST_RUNS:
        raise Mistake(f"'run' must be a whole number from 1 to {MOST_RUNS}")
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise Mistake("'key' must be 64 hexadecimal digits in small letters")
    return Recorded(case, arm, run, bytes.fromhex(key), _reply(fields["reply"]))


def _loaded(line: str) -> JSON:
    if _CONFLICT.match(line):
        raise Mistake("a merge conflict was not resolved")
    return load_json(line)


def _reply(row: JSON) -> Reply:
    fields = _fields(row, _REPLY, "reply")
    text, model, usage, stop_reason, latency = (fields[name] for name in _REPLY)
    if not isinstance(text, str):
        raise Mistake("'reply.text' must be a text")
    if not (model is None or isinstance(model, str)):
        raise Mistake("'reply.model' must be a text or null")
    if not (stop_reason is None or isinstance(stop_reason, str)):
        raise Mistake("'reply.stop_reason' must be a text or null")
    if not _is_time(latency):
        raise Mistake("'reply.latency' must be a number of seconds")
    return Reply(text, model, _usage(usage), stop_reason, float(latency))


def _usage(row: JSON) -> Usage:
    fields = _fields(row, _USAGE, "reply.usage")
    counts: list[int | None] = []
    for name in _USAGE:
        count = fields[name]
        if not (count is None or _is_count(count)):
            raise Mistake(f"'reply.usage.{name}' must be a whole number or null")
        counts.append(count)
    return Usage(*counts)


def _fields(row: JSON, names: Sequence[str], place: str = "") -> dict[str, JSON]:
    if not isinstance(row, dict):
        what = f"'{place}'" if place else "the line"
        raise Mistake(f"{what} must be an object of JSON")
    inner = f"{place}." if place else ""
    for name in names:
        if name not in row:
            raise Mistake(f"'{inner}{name}' is missing")
    for name in row:
        if name not in names:
            raise Mistake(f"'{inner}{name}' is unknown")
    return row


def _is_arm(value: object) -> TypeGuard[Arm]:
    return value in get_args(Arm)


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST_SECONDS
