"""What becomes of a sample: measured, refused, or an error in words; nothing that a plugin raises escapes."""

from __future__ import annotations

import asyncio
import logging
import warnings
from dataclasses import replace
from typing import cast

import pytest

from pytest_upskill.calls.quiet import Quiet
from pytest_upskill.errors import CallError, ScorerError, SuiteError
from pytest_upskill.suite.matrix import Suite
from pytest_upskill.suite.prompt import Prompt
from pytest_upskill.types import Arm, Case, Check, Model, Reply, Request, Score, Scorer, ScoringContext
from pytest_upskill.verdicts.gate import GateRules
from pytest_upskill.verdicts.result import evaluate
from tests.calls.fakes import MODEL, Fake, Has, case, gate, measurer, outcome, outcomes, prompt_of, suite, yes

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


def test_a_reply_is_scored() -> None:
    found = outcome(measurer(Fake()), WITH_SKILL)
    assert found.reply == asyncio.run(yes(Request("", "", ())))
    assert found.hit
    assert found.scores == (Score(True, "yes", "has yes", "has"),)
    assert (found.error, found.skip, found.cached, found.log) == (None, None, False, ())


def test_a_case_that_is_skipped_is_not_called() -> None:
    provider = Fake()
    of = suite(case("a", skip="no judge is configured"))
    found = outcome(measurer(provider), gate(of).samples[0])
    assert (found.skip, found.reply, found.error) == ("no judge is configured", None, None)
    assert provider.requests == []


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


def leaky(of: Suite, case: Case, arm: Arm) -> Prompt:
    if arm == "without_skill" and case.id == "b":
        return Prompt(f"Be brief. \n  {of.skill.body} \n", case.input)
    return prompt_of(of, case, arm)


def test_a_prompt_that_leaks_the_skill_is_refused_and_its_case_counts_in_neither_arm() -> None:
    provider = Fake()
    leaking = gate(suite(case("a"), case("b"), case("c")))
    found = outcomes(measurer(provider, prompt=leaky), *leaking.samples)
    said = "contaminated: the prompt without the skill holds a line of it: 'Always answer with a yes.'"
    assert [one.error for one in found] == [None, None, None, said, None, None]
    assert len(provider.requests) == 5
    result = evaluate(
        leaking, dict(zip(leaking.samples, found, strict=True)), GateRules(), deterministic=False
    )
    assert [count.case for count in result.tally.counts] == ["a", "c"]
    assert (result.lift.with_n, result.lift.without_n) == (2, 2)
    assert result.decision is not None
    assert result.decision.word == "incomplete"
    assert said.rstrip(".") in result.decision.reasons[0]


def test_each_error_of_a_call_is_said_in_whole_unless_it_holds_for_the_model() -> None:
    single = raising(CallError("m: 500: out of order", short="server error (500)"))
    assert [one.error for one in outcomes(measurer(single), *PAIR)] == ["m: 500: out of order"] * 2
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


def test_an_error_is_one_printable_line() -> None:
    found = outcome(
        measurer(raising(CallError("m: \x1b[31mred\x1b[0m\nand \udc80 more " + "x" * 5000))), WITH_SKILL
    )
    assert found.error is not None
    assert found.error.isprintable()
    assert len(found.error) <= 1000
    found.error.encode()


def test_what_is_logged_and_warned_of_stands_with_the_sample_that_made_the_call() -> None:
    async def answer(request: Request) -> Reply:
        await asyncio.to_thread(warnings.warn, "from a thread", stacklevel=1)
        logging.getLogger("sdk").info("not worth a note")
        return Reply("yes" if "<skill" in request.system else "no")

    quiet = Quiet()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet.hush_warnings()
        first, second = outcomes(measurer(Fake(answer)), *PAIR)
        quiet.restore()
    assert (first.error, second.error) == (None, None)
    assert first.log == second.log == ("WARNING from a thread",)


def test_isolated_scorers_run_elsewhere() -> None:
    class Isolated(Has):
        isolated = True

    found = outcome(measurer(Fake(), scorers={"has": cast("Scorer", Isolated())}), WITH_SKILL)
    assert found.error == "has: the scorer failed: AssertionError: nothing is isolated here"


def test_the_prompt_is_made_once_for_the_keys_of_all_runs_and_models() -> None:
    made: list[tuple[str, Arm]] = []

    def prompt(of: Suite, case: Case, arm: Arm) -> Prompt:
        made.append((case.id, arm))
        return prompt_of(of, case, arm)

    provider = Fake()
    found = measurer(provider, prompt=prompt)
    outcomes(found, *gate(runs=5).samples)
    # For each arm once for the key and once for each call; without the skill once more, to look for leaks.
    assert made.count(("a", "with_skill")) == 1 + 5
    assert made.count(("a", "without_skill")) == 1 + 1 + 5


def test_models_differ_in_nothing_but_their_name() -> None:
    provider = Fake()
    other = Model("other", "fake", "fake-1")
    first, second = gate().samples[0], gate(model=other).samples[0]
    outcomes(measurer({"m": provider, "other": provider}), first, second)
    assert len(provider.requests) == 1
