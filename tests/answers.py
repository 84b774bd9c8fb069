"""What the loopback server answers: good replies of both chat APIs, and faults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request gets instead of a good reply.

    `then` is what follows the body: `keep` the connection, `close` it, `reset` it, or `hang`. A body that
    ends before `promised` bytes is cut off; `trickle` (seconds) sends it byte by byte.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    then: Literal["keep", "close", "reset", "hang"] = "keep"
    promised: int | None = None
    silent: bool = False
    trickle: float = 0.0


def error(status: int, body: object = "", **headers: str) -> Answer:
    """Answer with a status and a body (JSON unless it is a str); `_` in a header's name becomes `-`."""
    text = body if isinstance(body, str) else json.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, text.encode(), named)


def ok(body: object) -> Answer:
    """Answer 200 with this body: JSON unless it is a str."""
    return error(200, body)


HTML = Answer(200, b"<html><head><title>Sign in</title></head></html>", {"content-type": "text/html"})
EMPTY = Answer(200)
TRUNCATED = Answer(200, b'{"choices": [', promised=500, then="close")
RESET = Answer(then="reset", silent=True)
HANG = Answer(then="hang", silent=True)


def completion(text: object, model: object = "m", used: int = 7, made: int = 3) -> dict[str, Any]:
    """Return a good reply of the chat completions API."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": used, "completion_tokens": made, "total_tokens": used + made}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [choice],
        "usage": usage,
    }


def message(text: str, model: object = "m", used: int = 7, made: int = 3) -> dict[str, Any]:
    """Return a good reply of the messages API."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": used, "output_tokens": made},
    }
