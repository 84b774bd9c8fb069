"""A reply is found by what determines it, and by nothing else."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from pytest_upskill.calls.store import reply_key, request_digest
from pytest_upskill.types import Message, Model, Price, Request
from tests.calls.fakes import Fake

MODEL = Model("name", "openai", "model-1", {"max_tokens": 5, "stop": ["a"], "top": {"k": 1, "p": 2}})
REQUEST = Request("model-1", "system", (Message("user", "hello"),), MODEL.parameters)


def key(model: Model = MODEL, request: Request = REQUEST, version: str = "1", run: int = 1) -> bytes:
    return reply_key(request_digest(model, Fake(version=version), request), run)


DIFFERENT = {
    "provider": key(replace(MODEL, provider="anthropic")),
    "version": key(version="2"),
    "base_url": key(replace(MODEL, base_url="http://localhost/v1")),
    "no base_url and one called None": key(replace(MODEL, base_url="None")),
    "model": key(request=replace(REQUEST, model="model-2")),
    "a parameter": key(request=replace(REQUEST, parameters={**MODEL.parameters, "max_tokens": 6})),
    "a number that is a text": key(
        request=replace(REQUEST, parameters={**MODEL.parameters, "max_tokens": "5"})
    ),
    "a parameter inside": key(request=replace(REQUEST, parameters={**MODEL.parameters, "top": {"k": 1}})),
    "one parameter more": key(request=replace(REQUEST, parameters={**MODEL.parameters, "x": None})),
    "no parameters": key(request=replace(REQUEST, parameters={})),
    "system": key(request=replace(REQUEST, system="system ")),
    "text": key(request=replace(REQUEST, messages=(Message("user", "Hello"),))),
    "role": key(request=replace(REQUEST, messages=(Message("assistant", "hello"),))),
    "messages": key(request=replace(REQUEST, messages=(*REQUEST.messages, Message("assistant", "x")))),
    "system and text": key(request=replace(REQUEST, system="systemhello", messages=(Message("user", ""),))),
    "run": key(run=2),
    "run of two digits": key(run=11),
}


def test_everything_that_determines_a_reply_changes_its_key() -> None:
    assert len({key(), *DIFFERENT.values()}) == len(DIFFERENT) + 1


@pytest.mark.parametrize(
    "model",
    [
        replace(MODEL, name="other"),
        replace(MODEL, timeout=1.0),
        replace(MODEL, concurrency=1),
        replace(MODEL, price=Price(1, 2)),
        replace(MODEL, api_key_env="SOME_KEY"),
    ],
    ids=["name", "timeout", "concurrency", "price", "api_key_env"],
)
def test_what_does_not_determine_a_reply_does_not_change_its_key(model: Model) -> None:
    assert key(model) == key()


@pytest.mark.parametrize(
    "parameters",
    [
        dict(reversed(list(MODEL.parameters.items()))),
        MappingProxyType(dict(MODEL.parameters)),
        {**MODEL.parameters, "top": {"p": 2, "k": 1}},
    ],
    ids=["order", "mapping", "order inside"],
)
def test_the_order_of_parameters_does_not_change_the_key(parameters: Any) -> None:
    assert key(request=replace(REQUEST, parameters=parameters)) == key()


def test_the_key_of_a_request_stays_what_it_was() -> None:
    # If this fails, every reply that people have paid for is lost to them: raise a provider's version instead.
    assert key().hex() == "49e3cb59c092c8a7acd7dcc7a95c2e6d9c2a58e73e256b6ad38f320fa853aaa8"


def test_texts_that_no_encoding_takes_have_a_key() -> None:
    keys = {key(request=replace(REQUEST, system=text)) for text in ("\ud800", "\udc80", "\0", "")}
    assert len(keys) == 4
