"""Models behind Anthropic's messages API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_upskill.providers.anthropic_batch import AnthropicBatches
from pytest_upskill.providers.failures import MalformedError
from pytest_upskill.providers.http import count, plain, refuse_nothing, word
from pytest_upskill.types import JSON, Reply, Request, Usage

if TYPE_CHECKING:
    import anthropic
    import httpx2

DEFAULT_MAX_TOKENS = 2048
_STOP = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length"}
_INPUT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


class Anthropic(AnthropicBatches):
    """Call a model through the anthropic SDK.

    Without `base_url` the SDK decides where to go and with which credentials, from ANTHROPIC_API_KEY,
    ANTHROPIC_AUTH_TOKEN, ANTHROPIC_BASE_URL and its profiles as ever. With `base_url` only the variable
    that `api_key_env` names is sent. The API wants `max_tokens`: 2048 where none is configured.
    """

    version = "anthropic-messages-1"
    sdk = "anthropic"
    path = "/v1/messages"
    key_variable = "ANTHROPIC_API_KEY"

    def _connect(self, http: httpx2.AsyncClient, key: str | None) -> anthropic.AsyncAnthropic:
        import anthropic

        client = anthropic.AsyncAnthropic(
            api_key=key, base_url=self._model.base_url or None, http_client=http, max_retries=0
        )
        if key is not None:
            # Older releases read ANTHROPIC_AUTH_TOKEN even beside an explicit key.
            client.auth_token = None
        elif not _has_credentials(client):
            others = "or ANTHROPIC_AUTH_TOKEN, or choose a profile of the SDK with ANTHROPIC_PROFILE"
            raise self._missing_key("Anthropic", others)
        return client

    def _body(self, request: Request) -> dict[str, JSON]:
        turns: list[JSON] = [{"role": turn.role, "content": turn.content} for turn in request.messages]
        system: dict[str, JSON] = {"system": request.system} if request.system else {}
        limit: dict[str, JSON] = {"max_tokens": DEFAULT_MAX_TOKENS}
        return {**limit, **request.parameters, **system, "model": request.model, "messages": turns}

    def _read(self, body: dict[str, Any], latency: float) -> Reply:
        blocks = _blocks(body)
        text = "".join(block["text"] for block in blocks if _is_text(block))
        stop = word(body.get("stop_reason"))
        # A stop sequence that came first is an answer; so is a tool that was called.
        if stop != "stop_sequence" and not any(block.get("type") == "tool_use" for block in blocks):
            refuse_nothing(text, _STOP.get(stop or "", stop))
        usage = body.get("usage") or {}
        inputs = [tokens for tokens in (count(usage, key) for key in _INPUT) if tokens is not None]
        return Reply(
            text=plain(text),
            model=word(body.get("model")),
            usage=Usage(sum(inputs) if inputs else None, count(usage, "output_tokens")),
            stop_reason=_STOP.get(stop or "", stop),
            latency=latency,
        )


def _has_credentials(client: anthropic.AsyncAnthropic) -> bool:
    if client.api_key or client.auth_token or getattr(client, "credentials", None) is not None:
        return True
    # ANTHROPIC_CUSTOM_HEADERS may carry them.
    names = {name.lower() for name in client.default_headers}
    return bool(names & {"authorization", "x-api-key"})


def _blocks(body: dict[str, Any]) -> list[dict[str, Any]]:
    blocks = body.get("content")
    if "content" not in body or not isinstance(blocks, list | None):
        raise MalformedError("answered without content: is it a messages API?")
    if blocks is None:
        raise MalformedError("answered without content", fault="lost")
    return [block for block in blocks if isinstance(block, dict)]


def _is_text(block: dict[str, Any]) -> bool:
    return block.get("type") == "text" and isinstance(block.get("text"), str)
