"""Models behind the chat completions API: OpenAI's own and every server that speaks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_upskill.providers.failures import MalformedError
from pytest_upskill.providers.http import count, plain, refuse_nothing, word
from pytest_upskill.providers.openai_batch import OpenAIBatches
from pytest_upskill.types import JSON, Reply, Request, Usage

if TYPE_CHECKING:
    import httpx2
    import openai

_STOP = {"max_tokens": "length"}


class OpenAI(OpenAIBatches):
    """Call a model through the openai SDK.

    Without `base_url` the SDK decides where to go and with which key, from OPENAI_API_KEY, OPENAI_BASE_URL,
    OPENAI_ORG_ID and OPENAI_PROJECT_ID as ever: whoever set both the key and the URL meant them for each
    other. With `base_url` only the variable that `api_key_env` names is sent.
    """

    version = "openai-chat-1"
    sdk = "openai"
    path = "/chat/completions"
    key_variable = "OPENAI_API_KEY"

    def _connect(self, http: httpx2.AsyncClient, key: str | None) -> openai.AsyncOpenAI:
        import openai

        try:
            return openai.AsyncOpenAI(
                api_key=key, base_url=self._model.base_url or None, http_client=http, max_retries=0
            )
        except openai.OpenAIError as err:
            if "credentials" in str(err) or "api_key" in str(err):
                raise self._missing_key("OpenAI", "or name another variable in api_key_env") from None
            raise

    def _body(self, request: Request) -> dict[str, JSON]:
        system: list[JSON] = [{"role": "system", "content": request.system}] if request.system else []
        turns: list[JSON] = [{"role": turn.role, "content": turn.content} for turn in request.messages]
        return {**request.parameters, "model": request.model, "messages": system + turns}

    def _read(self, body: dict[str, Any], latency: float) -> Reply:
        choice = _first_choice(body)
        text, stop = _text(choice)
        if not _acts(choice["message"]):
            refuse_nothing(text, stop)
        usage = body.get("usage") or {}
        return Reply(
            text=plain(text),
            model=word(body.get("model")),
            usage=Usage(count(usage, "prompt_tokens"), count(usage, "completion_tokens")),
            stop_reason=stop,
            latency=latency,
        )


def _first_choice(body: dict[str, Any]) -> dict[str, Any]:
    choices = body.get("choices")
    if "choices" not in body or not isinstance(choices, list | None):
        raise MalformedError("answered without choices: is it a chat completions API?")
    if not choices:
        raise MalformedError("answered without a choice", fault="lost")
    choice = choices[0]
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        raise MalformedError("answered with a choice that has no message", fault="lost")
    return choice


def _text(choice: dict[str, Any]) -> tuple[str, str | None]:
    message, stop = choice["message"], word(choice.get("finish_reason"))
    content = message.get("content")
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict) and part.get("type", "text") == "text"]
        content = "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
    if not content and isinstance(message.get("refusal"), str):
        return message["refusal"], "refusal"
    if content is not None and not isinstance(content, str):
        raise MalformedError("answered with content that is not text", fault="lost")
    # No content can be an answer too: all tokens went into reasoning, or the model called a tool.
    return content or "", _STOP.get(stop or "", stop)


def _acts(message: dict[str, Any]) -> bool:
    return bool(message.get("tool_calls") or message.get("function_call"))
