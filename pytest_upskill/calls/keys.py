"""What a reply is found by: digests of everything that determines it, and the endpoint in words."""

from __future__ import annotations

import hashlib
import json
from urllib.parse import urlsplit

from pytest_upskill.protocols import Provider
from pytest_upskill.types import Model, Request


def request_digest(model: Model, provider: Provider, request: Request) -> bytes:
    """Return the digest of a request: the same for all of its runs."""
    parts = [
        model.provider,
        provider.version,
        model.base_url,
        request.model,
        request.parameters,
        request.system,
        [[message.role, message.content] for message in request.messages],
    ]
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=dict)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def reply_key(digest: bytes, run: int) -> bytes:
    """Return the key of one run of a request."""
    return hashlib.sha256(b"%s %d" % (digest, run)).digest()


def endpoint_of(model: Model) -> str:
    """Return who answers, to be read by people: `openai:gpt-5.5@http://localhost:8080/v1`.

    What stands in an address beside server and path may be a secret, and is left out.
    """
    name = f"{model.provider}:{model.model}"
    address = _public(model.base_url) if model.base_url else ""
    return f"{name}@{address}" if address else name


def _public(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # such as half an IPv6 address: no part of it can be told from a password
        return ""
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}".rstrip("/")
