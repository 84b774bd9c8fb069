"""Prices: what is configured counts, what is listed is known, and what is unknown is never nothing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.calls.prices import Prices, in_dollars
from pytest_upskill.config import ALIASES
from pytest_upskill.types import Model, Price, Usage

genai_prices = pytest.importorskip("genai_prices")
HAIKU = Model("haiku", "anthropic", "claude-haiku-4-5")
TIERED = Model("tiered", "anthropic", "claude-sonnet-4-5")  # dearer above 200,000 tokens of input
OPEN_ROUTER = "https://openrouter.ai/api/v1"


@pytest.fixture(autouse=True)
def _own_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def listed(model: str, provider: str, inputs: int, outputs: int) -> float:
    usage = genai_prices.Usage(input_tokens=inputs, output_tokens=outputs)
    return float(genai_prices.calc_price(usage, model, provider_id=provider).total_price)


def test_a_configured_price_counts_whatever_is_listed() -> None:
    prices, own = Prices(), replace(HAIKU, price=Price(3.0, 15.0))
    assert prices.of(own) == Price(3.0, 15.0)
    assert prices.cost(own, Usage(10, 1)) == (10 * 3.0 + 1 * 15.0) / 1e6
    assert prices.cost(replace(HAIKU, price=Price(0, 0)), Usage(10, 1)) == 0


def test_what_is_not_configured_is_looked_up() -> None:
    prices = Prices()
    assert prices.of(HAIKU) == Price(1.0, 5.0)
    assert prices.cost(HAIKU, Usage(2000, 300)) == pytest.approx(0.0035)


@pytest.mark.parametrize("name", [name for name in ALIASES if name not in ("reader", "glm")])
def test_every_built_in_model_of_a_provider_has_a_price(name: str) -> None:
    model = ALIASES[name]
    found = Prices().cost(model, Usage(1000, 100))
    assert found
    assert found == pytest.approx(listed(model.model, model.provider, 1000, 100))


@settings(deadline=None)
@given(st.integers(0, 10**6) | st.sampled_from([200_000, 200_001]), st.integers(0, 10**5))
def test_a_price_that_rises_with_the_prompt_is_that_of_genai_prices(inputs: int, outputs: int) -> None:
    expected = listed(TIERED.model, "anthropic", inputs, outputs)
    assert Prices().cost(TIERED, Usage(inputs, outputs)) == pytest.approx(expected)


def test_what_a_call_costs_beside_its_tokens_is_counted() -> None:
    sonar = Model("sonar", "openai", "sonar", base_url="https://api.perplexity.ai")
    found = Prices().cost(sonar, Usage(1000, 100))
    assert found == pytest.approx(listed("sonar", "perplexity", 1000, 100))
    assert listed("sonar", "perplexity", 0, 0) > 0


def test_a_server_has_its_own_prices() -> None:
    there = Model("x", "openai", "openai/gpt-5", base_url=OPEN_ROUTER)
    assert Prices().cost(there, Usage(1000, 100)) == pytest.approx(
        listed("openai/gpt-5", "openrouter", 1000, 100)
    )


@pytest.mark.parametrize(
    "model",
    [
        ALIASES["glm"],
        replace(HAIKU, base_url="http://127.0.0.1:9/v1"),
        replace(HAIKU, base_url="https://proxy.example.org"),
        replace(HAIKU, base_url="http://[broken"),
        replace(HAIKU, model="claude-of-the-future"),
        replace(HAIKU, model="no such model"),
        replace(HAIKU, provider="script"),
        Model("embedding", "openai", "text-embedding-3-small"),
        Model("copilot", "openai", "gpt-4o", base_url="https://api.githubcopilot.com"),
    ],
    ids=["localhost", "loopback", "proxy", "broken", "newer", "nobody", "other", "no-output", "no-prices"],
)
def test_an_unknown_price_is_none_and_not_nothing(model: Model) -> None:
    prices = Prices()
    assert prices.of(model) is None
    assert prices.cost(model, Usage(1000, 100)) is None
    assert prices.mend(model) == "give it a price in upskill.yaml"
    assert prices.mend(model, HAIKU) == "give them prices in upskill.yaml"


@pytest.mark.parametrize("usage", [Usage(), Usage(10, None), Usage(None, 1)])
def test_without_a_count_no_cost_is_known(usage: Usage) -> None:
    assert Prices().cost(HAIKU, usage) is None


def test_the_server_that_the_sdk_is_told_of_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    assert Prices().of(HAIKU) is None
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://api.anthropic.com")
    assert Prices().of(HAIKU) == Price(1.0, 5.0)


def test_the_reader_is_free() -> None:
    prices = Prices()
    for model in (ALIASES["reader"], Model("mine", "reader", "any")):
        assert prices.of(model) == Price(0, 0)
        assert prices.cost(model, Usage(10**6, 10**6)) == 0


WITHOUT_PACKAGE = """
import sys
sys.modules["genai_prices"] = None
import importlib.util
importlib.util.find_spec = lambda name: None
from pytest_upskill.calls.prices import Prices
from pytest_upskill.types import Model, Price, Usage
model = Model("haiku", "anthropic", "claude-haiku-4-5")
there = Model("haiku", "anthropic", "claude-haiku-4-5", base_url="http://127.0.0.1:9")
prices = Prices()
print(prices.of(model), prices.cost(model, Usage(1, 1)), prices.mend(model), sep="; ")
print(prices.mend(there), prices.mend(there, model), sep="; ")
"""
LAZY = """
import socket, sys
def refuse(*_): raise AssertionError("a connection")
socket.socket.connect = refuse
from pytest_upskill.calls.prices import Prices
from pytest_upskill.types import Model, Price, Usage
prices = Prices()
prices.cost(Model("a", "anthropic", "x", price=Price(1, 1)), Usage(1, 1))
prices.cost(Model("b", "reader", "x"), Usage(1, 1))
prices.cost(Model("c", "script", "x"), Usage(1, 1))
for server in ("localhost:8080", "127.0.0.1:8080", "10.1.2.3", "vllm:8000", "[::1]:8080"):
    prices.cost(Model("d", "openai", "gpt-5.5", base_url=f"http://{server}/v1"), Usage(1, 1))
print("genai_prices" in sys.modules)
prices.cost(Model("d", "anthropic", "claude-haiku-4-5"), Usage(1, 1))
print("genai_prices" in sys.modules, "openai" in sys.modules, "anthropic" in sys.modules)
"""


def printed(script: str) -> list[str]:
    command = [sys.executable, "-W", "error", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()


def test_without_the_package_a_price_is_unknown_and_the_mend_names_it() -> None:
    assert printed(WITHOUT_PACKAGE) == [
        "None; None; give it a price in upskill.yaml, or pip install genai-prices",
        "give it a price in upskill.yaml; give them prices in upskill.yaml, or pip install genai-prices",
    ]


def test_the_package_is_imported_for_a_price_that_only_it_knows_and_calls_nobody() -> None:
    assert printed(LAZY) == ["False", "True False False"]


def test_a_model_is_looked_up_once_however_often_its_cost_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    lookups: list[object] = []
    find = genai_prices.data_snapshot.DataSnapshot.find_provider_model

    def counted(*arguments: object) -> object:
        lookups.append(arguments)
        return find(*arguments)

    monkeypatch.setattr(genai_prices.data_snapshot.DataSnapshot, "find_provider_model", counted)
    prices = Prices()
    costs = {prices.cost(TIERED, Usage(1234, 56)) for _ in range(100)}
    assert (len(lookups), len(costs)) == (1, 1)
    assert costs != {None}


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (0, "$0.00"),
        (2.5, "$2.50"),
        (0.31, "$0.31"),
        (0.1, "$0.10"),
        (0.031, "$0.031"),
        (0.0021, "$0.0021"),
        (0.00017, "$0.00017"),
        (0.00003, "<$0.0001"),
        (12345.678, "$12,345.68"),
    ],
)
def test_money_is_shown_with_two_digits_that_say_something(amount: float, shown: str) -> None:
    assert in_dollars(amount) == shown
