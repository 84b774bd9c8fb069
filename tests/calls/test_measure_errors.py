"""Nothing that a plugin raises escapes: it becomes an error in words, and no key stands in it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import cast

import pytest

from pytest_upskill.calls.quiet import Quiet
from pytest_upskill.errors import CallError, ScorerError, SuiteError
from pytest_upskill.suite.matrix import Suite
from pytest_upskill.suite.prompt import Prompt
from pytest_upskill.types import Arm, Case, Check, Reply, Request, Score, ScoringContext
from tests.calls.fakes import MODEL, Fake, Has, case, gate, measurer, outcome, outcomes, suite

PAIR = gate().samples
WITH_SKILL, WITHOUT_SKILL = PAIR


class Odd(BaseException):
    """Not an `Exception`."""


RAISED = [
    ValueError("lost"),
    Odd("lost"),
    SystemExit("lost"),
    KeyboardInterrupt("lost"),
    pytest.fail.Exception("lost"),
    asyncio.CancelledError("lost"),
]


def raising(error: BaseException) -> Fake:
    async def answer(request: Request) -> Reply:
        raise error

    return Fake(answer)


class Scripted(Has):
    """A scorer that does what a test says."""

    def __init__(self, said: object) -> None:
        self.said = said

    def score(self, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        if isinstance(self.said, BaseException):
            raise self.said
        return cast("list[Score]", self.said)


@pytest.mark.parametrize("error", RAISED, ids=type)
def test_whatever_a_provider_raises_is_an_error_in_words(error: BaseException) -> None:
    found, again = outcomes(measurer(raising(error)), WITH_SKILL, WITHOUT_SKILL)
    word = "it was cancelled from within" if isinstance(error, asyncio.CancelledError) else "lost"
    for one in (found, again):
        assert one.error is not None
        assert one.error.startswith("m: the provider failed: ")
        assert one.error.endswith(word)


@pytest.mark.parametrize("error", RAISED, ids=type)
def test_whatever_a_provider_raises_when_it_is_opened_is_said_and_nothing_is_called(
    error: BaseException,
) -> None:
    class Broken(Fake):
        async def open(self) -> None:
            await super().open()
            raise error

    provider = Broken()
    made = measurer(provider)
    found = outcomes(made, WITH_SKILL, WITHOUT_SKILL)
    assert all(str(one.error).startswith("m: the provider could not be opened: ") for one in found)
    assert (provider.opened, provider.requests) == (1, [])
    assert list(made.down) == ["m"]


@pytest.mark.parametrize("error", RAISED, ids=type)
def test_whatever_a_scorer_raises_is_an_error_that_keeps_the_reply(error: BaseException) -> None:
    found = outcome(measurer(Fake(), scorers={"has": Scripted(error)}), WITH_SKILL)
    assert found.error is not None
    assert found.error.startswith("has: the scorer failed: ")
    assert found.reply is not None
    assert found.reply.text == "yes"
    assert not found.measured


def test_a_reply_that_cannot_be_judged_is_an_error_and_keeps_the_reply() -> None:
    said = ScorerError("regex: took longer than 1 s")
    found = outcome(measurer(Fake(), scorers={"has": Scripted(said)}), WITH_SKILL)
    assert found.error == "regex: took longer than 1 s"
    assert found.reply is not None


@pytest.mark.parametrize("said", [[], None, Score(True), [True], ["yes"]], ids=str)
def test_a_scorer_that_returns_no_scores_never_makes_a_hit(said: object) -> None:
    found = outcome(measurer(Fake(), scorers={"has": Scripted(said)}), WITH_SKILL)
    assert found.error is not None
    assert found.error.startswith("has: the scorer ")
    assert not found.hit


def test_an_unknown_scorer_is_an_error_in_words() -> None:
    found = outcome(measurer(Fake()), gate(suite(case("a", scorer="gone"))).samples[0])
    assert found.error == "m: a[m-with_skill-run1] could not be measured: KeyError: 'gone'"


@pytest.mark.parametrize("returned", [None, "yes", Reply(cast("str", None))], ids=["None", "str", "no text"])
def test_a_provider_that_returns_no_reply_is_an_error(returned: object) -> None:
    async def answer(request: Request) -> Reply:
        return cast("Reply", returned)

    found = outcome(measurer(Fake(answer)), WITH_SKILL)
    assert found.error == f"m: the provider returned {type(returned).__name__}, not a Reply with a text"


def test_lone_surrogates_which_no_file_takes_are_replaced() -> None:
    async def answer(request: Request) -> Reply:
        return Reply("yes \udc80 \ud83d", model="\udc80", stop_reason="\udc80")

    reply = outcome(measurer(Fake(answer)), WITH_SKILL).reply
    assert reply is not None
    assert (reply.text, reply.model, reply.stop_reason) == ("yes ? ?", "?", "?")


@pytest.mark.parametrize("error", [ValueError("no template"), Odd("no template")], ids=type)
def test_a_prompt_that_cannot_be_made_is_an_error(error: BaseException) -> None:
    def prompt(of: Suite, case: Case, arm: Arm) -> Prompt:
        raise error

    found = outcome(measurer(Fake(), prompt=prompt), WITH_SKILL)
    assert found.error == f"the prompt of a could not be made: {type(error).__name__}: no template"


def test_a_mistake_in_the_skill_is_said_as_it_is() -> None:
    def prompt(of: Suite, case: Case, arm: Arm) -> Prompt:
        raise SuiteError("skills/demo/references/a.md: cannot be read: Permission denied")

    found = outcome(measurer(Fake(), prompt=prompt), WITH_SKILL)
    assert found.error == "skills/demo/references/a.md: cannot be read: Permission denied"


def test_an_error_of_calls_is_said_in_whole_once_and_at_the_end_if_it_holds_for_the_model() -> None:
    single = raising(CallError("m: 400: no such parameter", short="bad request (400)"))
    found = [one.error for one in outcomes(measurer(single), *PAIR)]
    assert found == ["m: 400: no such parameter", "bad request (400)"]
    made = measurer(raising(CallError("m: set KEY", short="no key", fatal=True)))
    assert [one.error for one in outcomes(made, *PAIR)] == ["no key"] * 2
    assert {name: str(error) for name, error in made.down.items()} == {"m": "m: set KEY"}


def test_a_key_never_reaches_an_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_OWN_VARIABLE", "very-secret-value")
    monkeypatch.setenv("SOME_API_KEY", "sk-another-secret")
    monkeypatch.setenv("CI_TOKEN", "x")  # too short to be one: every x would be masked

    async def answer(request: Request) -> Reply:
        logging.getLogger("sdk").warning("sent %s", "very-secret-value")
        raise ValueError("Illegal header b'Bearer very-secret-value', next sk-another-secret")

    quiet = Quiet()
    quiet.hush_logging()
    model = replace(MODEL, api_key_env="MY_OWN_VARIABLE")
    sample = gate(model=model).samples[0]
    try:
        found = outcome(measurer(Fake(answer)), sample)
    finally:
        quiet.restore()
    assert found.error == "m: the provider failed: ValueError: Illegal header b'Bearer ***', next ***"
    assert found.log == ("WARNING sdk: sent ***",)


@pytest.mark.parametrize("fatal", [True, False])
def test_a_key_never_reaches_what_is_said_of_a_model(fatal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-very-secret")
    error = CallError("m: sk-very-secret was refused", short="sk-very-secret refused", fatal=fatal)

    class Broken(Fake):
        async def open(self) -> None:
            raise error

    for provider in (raising(error), Broken()):
        made = measurer(provider)
        found = outcomes(made, *PAIR)
        first = "*** refused" if fatal or isinstance(provider, Broken) else "m: *** was refused"
        assert [one.error for one in found] == [first, "*** refused"]
        assert set(map(str, made.down.values())) <= {"m: *** was refused"}


def test_an_error_is_one_printable_line() -> None:
    found = outcome(
        measurer(raising(CallError("m: \x1b[31mred\x1b[0m\nand \udc80 more " + "x" * 5000))), WITH_SKILL
    )
    assert found.error is not None
    assert found.error.isprintable()
    assert len(found.error) <= 1000
    found.error.encode()
