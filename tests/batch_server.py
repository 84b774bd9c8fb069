"""A loopback server that also takes batches, as both APIs do: made to order, slow to order, wrong to order."""

from __future__ import annotations

import email.parser
import email.policy
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.answers import Answer
from tests.loopback import Received, Reply, Server, _good

# What becomes of one request: `ok`, `expired`, `canceled`, or the status and the message of an error.
Fate = str | tuple[int, str]
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    429: "rate_limit_error",
    500: "api_error",
}


@dataclass(slots=True)
class Batch:
    """One batch as the server keeps it: `polls` counts the questions after it."""

    id: str
    requests: dict[str, dict[str, Any]]
    metadata: dict[str, str] = field(default_factory=dict)
    created: float = field(default_factory=time.time)
    polls: int = 0


class BatchServer(Server):
    """Serve calls and batches while the `with` block runs.

    Args:
        reply: as of `Server`; requests in batches get it as well.
        polls: how often a batch must be asked after until it has ended.
        fate: what becomes of a request in a batch, by its body.
        status: how OpenAI's batches end.
    """

    def __init__(
        self,
        reply: Reply = "pong",
        *,
        polls: int = 1,
        fate: Callable[[dict[str, Any]], Fate] = lambda _: "ok",
        status: str = "completed",
    ) -> None:
        super().__init__(reply)
        self.polls = polls
        self.fate = fate
        self.status = status
        self.batches: dict[str, Batch] = {}
        self.files: dict[str, bytes] = {}
        self.steps: list[str] = []
        self.keys: list[str] = []
        # What the next requests of a step get instead: upload, create, list, state, results.
        self.faults: dict[str, list[Answer | None]] = {}
        # The same, after the step was taken all the same: its answer is lost.
        self.losses: dict[str, list[Answer | None]] = {}
        self.more_lines: list[str] = []
        self.errors: list[dict[str, Any]] = []
        self.elsewhere_url: str | None = None

    def elsewhere(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer | None:
        """Answer what is not a call."""
        parts = urlsplit(path).path.strip("/").split("/")[1:]
        step = _step(method, parts)
        if step is None:
            return None
        self.steps.append(step)
        self.keys.append(headers.get("authorization") or headers.get("x-api-key") or "")
        fault = _next(self.faults, step)
        if fault is not None:
            return fault
        answer = self._taken(step, parts, headers, body)
        return _next(self.losses, step) or answer

    def _taken(self, step: str, parts: Sequence[str], headers: dict[str, str], body: bytes) -> Answer:
        anthropic = parts[0] == "messages"
        if step == "upload":
            return _json(self._upload(headers, body))
        if step == "create":
            return _json(self._create(json.loads(body), anthropic=anthropic))
        if step == "list":
            newest = sorted(self.batches.values(), key=lambda batch: -batch.created)
            return _json({"object": "list", "data": [self._openai(batch) for batch in newest]})
        if parts[0] == "files":
            return Answer(200, self.files[parts[1]])
        batch = self.batches.get(parts[2 if anthropic else 1])
        if batch is None:
            return _json({"error": {"type": "not_found_error", "message": "no such batch"}}, 404)
        if step == "results":
            return Answer(200, self._lines(batch, _anthropic_line))
        batch.polls += 1
        return _json(self._anthropic(batch) if anthropic else self._openai(batch))

    def _upload(self, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        head = f"content-type: {headers['content-type']}\r\n\r\n".encode()
        form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
        parts = {part.get_param("name", header="content-disposition"): part for part in form.iter_parts()}
        if parts["purpose"].get_content().strip() != "batch":
            raise ValueError("a file for batches has the purpose 'batch'")
        content = parts["file"].get_payload(decode=True)
        name = f"file-{len(self.files)}"
        self.files[name] = content if isinstance(content, bytes) else b""
        return {"id": name, "object": "file", "purpose": "batch", "bytes": len(self.files[name])}

    def _create(self, body: dict[str, Any], *, anthropic: bool) -> dict[str, Any]:
        if anthropic:
            rows = {row["custom_id"]: row["params"] for row in body["requests"]}
        else:
            lines = self.files[body["input_file_id"]].splitlines()
            rows = {row["custom_id"]: row["body"] for row in map(json.loads, lines)}
            urls = {row["url"] for row in map(json.loads, lines)}
            if urls != {body["endpoint"]} or body["completion_window"] != "24h":
                raise ValueError("the lines and the batch do not agree")
        if any(len(name) > 64 for name in rows):
            raise ValueError("a custom_id has 64 letters at most")
        batch = Batch(f"batch_{len(self.batches)}", rows, body.get("metadata") or {})
        self.batches[batch.id] = batch
        return self._anthropic(batch) if anthropic else self._openai(batch)

    def _ended(self, batch: Batch) -> bool:
        return batch.polls >= self.polls

    def _openai(self, batch: Batch) -> dict[str, Any]:
        ended, total = self._ended(batch), len(batch.requests)
        done = total if ended else min(batch.polls, total)
        made: dict[str, str | None] = {"output_file_id": None, "error_file_id": None}
        if ended and not self.errors:
            made = self._output(batch)
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "created_at": int(batch.created),
            "metadata": batch.metadata,
            "status": self.status if ended else "in_progress",
            "request_counts": {"total": total, "completed": done, "failed": 0},
            "errors": {"object": "list", "data": self.errors} if ended and self.errors else None,
            **made,
        }

    def _output(self, batch: Batch) -> dict[str, str | None]:
        good, bad = f"out-{batch.id}", f"err-{batch.id}"
        lines = [_openai_line(self, *row) for row in batch.requests.items()]
        self.files[good] = _joined([*(line for line in lines if line["good"]), *self.more_lines])
        self.files[bad] = _joined([line for line in lines if not line["good"]])
        return {
            "output_file_id": good if self.files[good] else None,
            "error_file_id": bad if self.files[bad] else None,
        }

    def _anthropic(self, batch: Batch) -> dict[str, Any]:
        ended, total = self._ended(batch), len(batch.requests)
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        counts["succeeded" if ended else "processing"] = total
        url = f"{self.elsewhere_url or self.url}/v1/messages/batches/{batch.id}/results"
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": counts,
            "results_url": url if ended and not self.errors else None,
            "archived_at": "2026-01-01T00:00:00Z" if self.errors else None,
        }

    def _lines(
        self, batch: Batch, shape: Callable[[BatchServer, str, dict[str, Any]], dict[str, Any]]
    ) -> bytes:
        # In another order than they were asked: nothing may depend on it.
        rows = [shape(self, *row) for row in reversed(batch.requests.items())]
        return _joined([*rows, *self.more_lines])

    def results(self, batch: str) -> bytes:
        """Return what a batch that has ended is answered when its results are asked for."""
        return self.files.get(f"out-{batch}") or self._lines(self.batches[batch], _anthropic_line)

    def good(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return what a call with this body is answered."""
        answer: dict[str, Any] = json.loads(_good(Received(path, {}, body), self.reply).body)
        return answer


def _step(method: str, parts: Sequence[str]) -> str | None:
    if parts[:1] == ["messages"]:
        parts = parts[1:]
    match method, parts:
        case "POST", ["files"]:
            return "upload"
        case "POST", ["batches"]:
            return "create"
        case "GET", ["batches"]:
            return "list"
        case "GET", ["batches", _]:
            return "state"
        case "GET", ["batches", _, "results"] | ["files", _, "content"]:
            return "results"
    return None


def _next(answers: dict[str, list[Answer | None]], step: str) -> Answer | None:
    left = answers.get(step)
    return left.pop(0) if left else None


def _openai_line(server: BatchServer, name: str, body: dict[str, Any]) -> dict[str, Any]:
    fate = server.fate(body)
    row: dict[str, Any] = {"id": f"batch_req_{name[:6]}", "custom_id": name, "response": None, "error": None}
    if fate == "ok":
        row["response"] = {"status_code": 200, "body": server.good("/v1/chat/completions", body)}
    elif isinstance(fate, str):
        row["error"] = {"code": f"batch_{fate}", "message": "This request could not be executed in time."}
    else:
        row["response"] = {"status_code": fate[0], "body": {"error": {"message": fate[1]}}}
    return {**row, "good": fate == "ok"}


def _anthropic_line(server: BatchServer, name: str, body: dict[str, Any]) -> dict[str, Any]:
    fate = server.fate(body)
    if fate == "ok":
        result = {"type": "succeeded", "message": server.good("/v1/messages", body)}
    elif isinstance(fate, str):
        result = {"type": fate}
    else:
        inner = {"type": _TYPES.get(fate[0], "api_error"), "message": fate[1]}
        result = {"type": "errored", "error": {"type": "error", "error": inner}}
    return {"custom_id": name, "result": result}


def _joined(lines: Sequence[str | dict[str, Any]]) -> bytes:
    texts = (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    return "".join(f"{text}\n" for text in texts).encode()


def _json(body: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(body).encode())
