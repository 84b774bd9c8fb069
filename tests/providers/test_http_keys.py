"""Which key is sent where, and that none is shown."""

from __future__ import annotations

import asyncio
from importlib.metadata import version

import pytest

from pytest_upskill.errors import CallError
from pytest_upskill.providers.anthropic import Anthropic
from pytest_upskill.providers.openai import OpenAI
from pytest_upskill.types import Model
from tests.answers import Answer, error, ok
from tests.loopback import Server
from tests.providers.api import Kind, ask, base, both, clean, failure, model

__all__ = ["clean"]
KEY = "sk-test-0123456789abcdef"


@both
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_named_key_that_is_not_set_is_fatal(
    kind: Kind, value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is not None:
        monkeypatch.setenv("GLM_API_KEY", value)
    with Server() as server:
        assert failure(kind, model(kind, server.url, api_key_env="GLM_API_KEY")) == (
            "glm: the environment variable GLM_API_KEY (its api_key_env) is not set",
            "GLM_API_KEY is not set",
            True,
        )
    assert server.requests == []


@both
def test_a_named_key_is_sent_and_the_sdks_own_is_not(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLM_API_KEY", "named-key\n")
    monkeypatch.setenv(kind.key_variable, KEY)
    with Server() as server:
        ask(kind, model(kind, server.url, api_key_env="GLM_API_KEY"))
    (received,) = server.requests
    assert "named-key" in str(received.headers)
    assert KEY not in str(received)


@both
def test_a_custom_server_never_gets_the_sdks_own_credentials(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.setenv(name, KEY)
    with Server() as server:
        ask(kind, server.url)
    (received,) = server.requests
    assert KEY not in str(received)
    assert "no-key-needed" in str(received.headers)


@both
def test_the_sdks_own_variables_go_together(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as server:
        monkeypatch.setenv(kind.key_variable, KEY)
        monkeypatch.setenv(f"{kind.sdk.upper()}_BASE_URL", base(kind, server.url))
        assert ask(kind, None).text == "pong"
    assert KEY in str(server.requests[0].headers)


@both
@pytest.mark.parametrize("named", [True, False])
def test_no_key_stands_in_a_message(kind: Kind, named: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLM_API_KEY", KEY)
    monkeypatch.setenv(kind.key_variable, KEY)
    long = "x" * 290 + KEY
    echoes: list[Answer] = [
        error(401, {"error": {"message": f"Incorrect API key provided: {KEY}."}}),
        error(400, {"error": {"message": long}}),
        error(500, f"<html><title>{KEY}</title>"),
        error(500, f"<html><title>{'x' * 70}{KEY}</title>"),
        error(400, {"headers": {"authorization": f"Bearer {KEY}"}}),
        ok(f"not json {KEY}"),
        ok({"error": {"message": KEY}}),
        ok([KEY]),
    ]
    for echo in echoes:
        with Server(script=[echo]) as server:
            monkeypatch.setenv(f"{kind.sdk.upper()}_BASE_URL", base(kind, server.url))
            target = model(kind, server.url, api_key_env="GLM_API_KEY") if named else model(kind, None)
            with pytest.raises(CallError) as caught:
                ask(kind, target)
        told = str(caught.value) + caught.value.short
        assert KEY[:8] not in told
        assert "***" in told or long[:200] in told
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


@both
def test_a_refused_key_is_named_by_its_variable(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLM_API_KEY", KEY)
    with Server(script=[error(401, {"error": {"message": f"bad key {KEY}"}})]) as server:
        assert failure(kind, model(kind, server.url, api_key_env="GLM_API_KEY")) == (
            f"glm: {base(kind, server.url)} refused the key in GLM_API_KEY (401): bad key ***",
            "key refused (401)",
            True,
        )


def opened_secrets(kind: Kind, of: Model) -> tuple[str, ...]:
    async def go() -> tuple[str, ...]:
        provider = kind(of)
        assert provider.secrets == ()
        await provider.open()
        await provider.close()
        return provider.secrets

    return asyncio.run(go())


@both
def test_the_key_in_use_is_known_as_a_secret(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLM_API_KEY", f" {KEY}\n")
    monkeypatch.setenv(kind.key_variable, "sk-test-the-sdks-own")
    assert opened_secrets(kind, model(kind, "http://127.0.0.1:1", api_key_env="GLM_API_KEY")) == (KEY,)
    assert opened_secrets(kind, model(kind, None)) == ("sk-test-the-sdks-own",)


@both
def test_a_placeholder_and_a_short_word_are_no_secrets(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLM_API_KEY", "short")
    assert opened_secrets(kind, model(kind, "http://127.0.0.1:1")) == ()
    assert opened_secrets(kind, model(kind, "http://127.0.0.1:1", api_key_env="GLM_API_KEY")) == ()


def test_a_token_is_a_secret_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token-123456")
    assert opened_secrets(Anthropic, model(Anthropic, None)) == ("token-123456",)


@pytest.mark.parametrize("name", ["Authorization: Bearer", "x-api-key:"])
def test_so_is_one_in_custom_headers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"{name} gateway-key")
    found = opened_secrets(OpenAI, model(OpenAI, None))
    if int(version("openai").partition(".")[0]) >= 3:  # older releases know no such variable
        assert set(found) == {KEY, "gateway-key"}
