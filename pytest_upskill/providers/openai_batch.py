"""OpenAI's Batch API: a file of requests goes up, files of replies and of errors come down."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from pytest_upskill.protocols import BatchState
from pytest_upskill.providers.batch_http import AnsweredError, BatchHTTP, details, number
from pytest_upskill.providers.failures import MalformedError
from pytest_upskill.types import Request

_ENDPOINT = "/v1/chat/completions"
_TAG = "pytest-upskill"
_ENDED = ("completed", "failed", "expired", "cancelled")
_LISTED = 100
_SKEW = 300  # seconds by which two clocks may differ


class OpenAIBatches(BatchHTTP):
    """Batches of chat completions.

    A batch carries a digest of the ids of its requests, by which it is found again when its own id was lost.
    """

    # https://platform.openai.com/docs/guides/batch: 50,000 requests and 200 MB a file
    batch_limit = 50_000
    batches = "/batches"

    async def find(self, ids: Collection[str], since: float) -> str | None:
        """Return the newest batch of just these requests that was made since then (seconds since 1970), or None.

        Raises `CallError`.
        """
        with self._in_words():
            page = await self._get(f"{self.batches}?limit={_LISTED}")
        tag = _tag(ids)
        for batch in page.get("data") or ():
            same = (batch.get("metadata") or {}).get(_TAG) == tag
            if same and batch.get("created_at", 0) >= since - _SKEW:
                return str(batch["id"])
        return None

    async def _hand_in(self, requests: Mapping[str, Request]) -> dict[str, Any]:
        lines = b"".join(self._line(name, request) for name, request in requests.items())
        with self._where_batches_are():
            file = await self._api.files.create(
                file=("requests.jsonl", lines, "application/jsonl"), purpose="batch", **self._options()
            )
            return await self._send(
                self.batches,
                {
                    "input_file_id": file.id,
                    "endpoint": _ENDPOINT,
                    "completion_window": "24h",
                    "metadata": {_TAG: _tag(requests)},
                },
            )

    def _line(self, name: str, request: Request) -> bytes:
        row = {"custom_id": name, "method": "POST", "url": _ENDPOINT, "body": self._body(request)}
        return json.dumps(row, separators=(",", ":"), allow_nan=False).encode() + b"\n"

    def _state(self, body: dict[str, Any]) -> BatchState:
        counts = body.get("request_counts")
        done = number(counts, "completed") + number(counts, "failed")
        return BatchState(done, number(counts, "total"), body.get("status") in _ENDED)

    async def _files(self, batch: str) -> list[str]:
        body = await self._get(f"{self.batches}/{batch}")
        files = [body.get(key) for key in ("output_file_id", "error_file_id")]
        found = [f"/files/{file}/content" for file in files if isinstance(file, str) and file]
        if not found:
            said = [details(error) for error in (body.get("errors") or {}).get("data") or ()]
            why = "; ".join(said[:3]) or "no details"
            raise MalformedError(
                f"has no results of it, which is {body.get('status')}: {why}", "batch failed"
            )
        return found

    def _outcome(self, line: dict[str, Any]) -> dict[str, Any]:
        response = line.get("response") or {}
        status, body = response.get("status_code"), response.get("body")
        if isinstance(status, int) and status >= 400:
            raise AnsweredError(status, body)
        if status != 200 or not isinstance(body, dict):
            said = details(line.get("error"))
            raise MalformedError(f"did not answer a request of a batch: {said}", "not answered in the batch")
        return body


def _tag(ids: Collection[str]) -> str:
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()
