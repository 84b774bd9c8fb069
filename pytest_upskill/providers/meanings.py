"""What a refusal means, by its status and by what its body says: whether asking again may help."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pytest_upskill.types import Fault

_FATAL = {401, 402, 403, 404}
_CONTEXT = "context too long"
_REFUSED = "content refused"
_SPENT = "quota spent"
# What vendors call it: OpenAI, Azure OpenAI, llama.cpp, Anthropic; at any status.
_NAMES = {
    "context_length_exceeded": _CONTEXT,
    "exceed_context_size_error": _CONTEXT,
    "content_filter": _REFUSED,
    "content_policy_violation": _REFUSED,
    "responsibleaipolicyviolation": _REFUSED,
    "invalid_prompt": _REFUSED,
    "insufficient_quota": _SPENT,
    "exceeded_current_quota_error": _SPENT,
    "billing_hard_limit_reached": _SPENT,
    "billing_not_active": _SPENT,
    "billing_error": _SPENT,
}
# Where there is no such name: Anthropic, vLLM, older llama.cpp, OpenRouter; at the statuses of a bad request.
_PHRASES = (
    (
        re.compile(r"prompt is too long|maximum context length|available context size", re.IGNORECASE),
        _CONTEXT,
    ),
    (re.compile(r"content (filtering|management) policy|input was flagged", re.IGNORECASE), _REFUSED),
    (
        re.compile(
            r"credit balance is too low|insufficient (balance|credits)|api usage limits", re.IGNORECASE
        ),
        _SPENT,
    ),
)
_BAD_REQUEST = {400, 403, 413, 422}
_WORDS = {
    _CONTEXT: " says that the context is too long",
    _REFUSED: " refused the content",
    _SPENT: " says that the quota is spent",
}


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a refusal means.

    `short` and `words` (what follows the server's address in a sentence) are empty where the status says it all.
    """

    fault: Fault
    fatal: bool = False
    short: str = ""
    words: str = ""


def meaning(status: int, body: object) -> Meaning:
    """Return what an answer with this status (400 and above) and this body, parsed where it is JSON, means."""
    said = _said(status, body)
    if said:
        return Meaning("final", fatal=said == _SPENT, short=said, words=_WORDS[said])
    return Meaning(fault_of(status), fatal=status in _FATAL)


def error_in(body: dict[str, Any]) -> Meaning:
    """Return what an error means that came with status 200. Some routers put the real status into its `code`."""
    error = body.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    if type(code) is int and 400 <= code < 600:
        return meaning(code, body)
    said = _said(400, body)
    return Meaning("final", fatal=said == _SPENT, short=said) if said else Meaning("lost")


def fault_of(status: int) -> Fault:
    """Return whether asking again may help, as far as the status alone tells."""
    if status in (429, 529):
        return "limited"
    return "failed" if status in (408, 409) or status >= 500 else "final"


def _said(status: int, body: object) -> str:
    error = body.get("error", body) if isinstance(body, dict) else body
    for name in _names(error):
        if name.lower() in _NAMES:
            return _NAMES[name.lower()]
    if status in _BAD_REQUEST:
        text = _text(error)
        for phrase, kind in _PHRASES:
            if phrase.search(text):
                return kind
    return ""


def _names(error: object) -> Iterator[str]:
    while isinstance(error, dict):
        for key in ("code", "type"):
            if isinstance(error.get(key), str):
                yield error[key]
        error = error.get("innererror")


def _text(error: object) -> str:
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail")
    return error if isinstance(error, str) else ""
