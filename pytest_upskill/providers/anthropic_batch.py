"""Anthropic's Message Batches API: requests go up in one body, results come down as lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pytest_upskill.protocols import BatchState
from pytest_upskill.providers.batch_http import AnsweredError, BatchHTTP, details, number
from pytest_upskill.providers.failures import MalformedError
from pytest_upskill.types import JSON, Request

_COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class AnthropicBatches(BatchHTTP):
    """Batches of messages."""

    # https://platform.claude.com/docs/en/build-with-claude/batch-processing: 100,000 requests or 256 MB
    batch_limit = 100_000
    batches = "/v1/messages/batches"

    async def _hand_in(self, requests: Mapping[str, Request]) -> dict[str, Any]:
        rows: list[JSON] = [
            {"custom_id": name, "params": self._body(request)} for name, request in requests.items()
        ]
        with self._where_batches_are():
            return await self._send(self.batches, {"requests": rows})

    def _state(self, body: dict[str, Any]) -> BatchState:
        counts = body.get("request_counts")
        total = sum(number(counts, key) for key in _COUNTS)
        return BatchState(
            total - number(counts, "processing"), total, body.get("processing_status") == "ended"
        )

    async def _files(self, batch: str) -> list[str]:
        body = await self._get(f"{self.batches}/{batch}")
        url = body.get("results_url")
        if not isinstance(url, str) or not url:
            when = "they have been archived" if body.get("archived_at") else "no address is given for them"
            raise MalformedError(f"has no results of it: {when}", "batch failed")
        # The key goes where it went before, and nowhere else.
        here = urlsplit(str(self._api.base_url))
        there = urlsplit(url)
        same = (there.scheme, there.netloc) == (here.scheme, here.netloc)
        return [url if same else f"{self.batches}/{batch}/results"]

    def _outcome(self, line: dict[str, Any]) -> dict[str, Any]:
        result = line.get("result") or {}
        kind, message = result.get("type"), result.get("message")
        if kind == "succeeded" and isinstance(message, dict):
            return message
        error = result.get("error") or {}
        inner = error.get("error") or error
        if kind == "errored" and isinstance(inner, dict):
            raise AnsweredError(_STATUS.get(str(inner.get("type")), 500), error)
        said = f"{kind}" if kind in ("expired", "canceled") else details(inner)
        raise MalformedError(f"did not answer a request of a batch: {said}", "not answered in the batch")
