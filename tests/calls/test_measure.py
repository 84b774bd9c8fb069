"""What becomes of a sample: it is measured, skipped or refused, and keeps its own notes."""

from __future__ import annotations

import asyncio
import logging
import warnings
from typing import cast

from pytest_upskill.calls.quiet import Quiet
from pytest_upskill.protocols import Scorer
from pytest_upskill.suite.matrix import Suite
from pytest_upskill.suite.prompt import Prompt
from pytest_upskill.types import Arm, Case, Model, Reply, Request, Score
from pytest_upskill.verdicts.gate import GateRules
from tests.calls.fakes import Fake, Has, case, gate, measurer, outcome, outcomes, prompt_of, suite, yes
from tests.judged import evaluate

PAIR = gate().samples
WITH_SKILL, WITHOUT_SKILL = PAIR


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
    # At most once for each call, which the key and the look for leaks share with it.
    assert 1 <= made.count(("a", "with_skill")) <= 5
    assert 1 <= made.count(("a", "without_skill")) <= 5


def test_models_differ_in_nothing_but_their_name() -> None:
    provider = Fake()
    other = Model("other", "fake", "fake-1")
    first, second = gate().samples[0], gate(model=other).samples[0]
    outcomes(measurer({"m": provider, "other": provider}), first, second)
    assert len(provider.requests) == 1
