from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.errors import CallError
from pytest_upskill.protocols import Provider
from pytest_upskill.providers.passages import estimate
from pytest_upskill.providers.reader import MAX_TOKENS, NO_MATCH, NO_QUESTION, NOTHING_TO_READ, Reader
from pytest_upskill.suite import prompt
from pytest_upskill.types import JSON, WITH, WITHOUT, Arm, Case, Message, Model, Reply, Request, Skill

BODY = """\
# Pots

## Shapes

- A jug has one handle.
- A bowl has no handle.

Fire a pot like this:

```sh
kiln --degrees 1060

kiln --cool
```

## Glazes

- Celadon is green.
- Tenmoku is brown, for a jug too.
"""


def reader(**parameters: JSON) -> Reader:
    return Reader(Model("reader", "reader", "reader-1", parameters))


def ask(
    question: str, body: str = BODY, arm: Arm = WITH, files: dict[str, str] | None = None, **parameters: JSON
) -> Reply:
    case = Case("case", question, (), files=files or {})
    built = prompt.build(case, arm, prompt.skill_block(Skill("pots", Path(), body)))
    request = Request("reader-1", built.system, (Message("user", built.user),), parameters)
    return asyncio.run(reader().complete(request, 1.0))


def test_the_reader_is_a_deterministic_provider() -> None:
    provider: Provider = reader()
    assert provider.deterministic
    assert ask("Which glaze is green?").text == ask("Which glaze is green?").text


def test_the_answer_is_the_passage_under_its_heading() -> None:
    assert ask("What is green?").text == "## Glazes\n\n- Celadon is green."


def test_passages_come_in_the_order_of_the_text() -> None:
    assert ask("brown jug").text == (
        "## Shapes\n\n- A jug has one handle.\n\n## Glazes\n\n- Tenmoku is brown, for a jug too."
    )


def test_a_block_stays_whole_with_the_sentence_before_it() -> None:
    block = "Fire a pot like this:\n\n```sh\nkiln --degrees 1060\n\nkiln --cool\n```"
    assert block in ask("At how many degrees do I fire it?").text


def test_without_a_skill_there_is_nothing_to_read() -> None:
    assert ask("Which glaze is green?", arm=WITHOUT).text == NOTHING_TO_READ


def test_our_own_preamble_is_not_read() -> None:
    assert ask("Where do I put the fenced code block of a file?", body="# Pots").text == NO_MATCH


def test_a_question_that_nothing_matches_gets_no_passage() -> None:
    assert ask("zebra").text == NO_MATCH


def test_an_empty_question_is_told_so() -> None:
    assert ask(" \n").text == NO_QUESTION


def test_the_files_of_a_case_are_read_in_both_arms() -> None:
    files = {"notes.txt": "Rim first.\n\nFoot last.", "a/deep.md": "## Clay\n\n```\nStoneware\n```\n"}
    assert ask("What is done last with the foot?", arm=WITHOUT, files=files).text == "Foot last."
    assert ask("Which clay?", arm=WITHOUT, files=files).text == "## Clay\n\n```\nStoneware\n```"


def test_the_question_is_what_stands_outside_the_files() -> None:
    assert ask("zebra", files={"notes.txt": "Celadon is green."}).text == NO_MATCH
    assert ask("", files={"notes.txt": "Celadon is green."}).text == NO_QUESTION


def test_an_unnamed_block_of_the_question_is_not_a_file() -> None:
    assert ask("Explain:\n\n```\nceladon\n```", arm=WITHOUT).text == NOTHING_TO_READ
    assert "Celadon" in ask("Explain:\n\n```\nceladon\n```").text


def test_the_last_message_asks() -> None:
    messages = (Message("user", "green"), Message("assistant", "Celadon."), Message("user", "bowl"))
    reply = asyncio.run(reader().complete(Request("reader-1", BODY, messages), 1.0))
    assert reply.text == "## Shapes\n\n- A bowl has no handle."


def test_the_default_answer_is_short() -> None:
    body = "\n".join(f"- fact {number} about pots" for number in range(200))
    reply = ask("fact pots", body=body)
    assert 0.9 * MAX_TOKENS < estimate(reply.text) <= MAX_TOKENS
    assert not reply.truncated


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=60), st.sampled_from(["jug", "fire degrees", "green brown handle"]))
def test_no_answer_is_longer_than_max_tokens(budget: int, question: str) -> None:
    assert estimate(ask(question, max_tokens=budget).text) <= budget


def test_a_best_passage_over_the_budget_is_cut_and_said_to_be() -> None:
    reply = ask("At how many degrees do I fire it?", max_tokens=6)
    assert reply.truncated
    assert reply.text.startswith("## Shapes\n\nFire")


def test_usage_is_estimated_and_the_model_named() -> None:
    reply = ask("Which glaze is green?")
    assert reply.usage.output_tokens == estimate(reply.text)
    assert (reply.usage.input_tokens or 0) > estimate(BODY)
    assert (reply.model, reply.stop_reason) == ("reader-1", "stop")


@pytest.mark.parametrize("value", [0, -1, 1.5, "100", True, None])
def test_a_bad_max_tokens_is_refused_at_open(value: JSON) -> None:
    with pytest.raises(CallError, match="max_tokens must be a whole number above 0") as caught:
        asyncio.run(reader(max_tokens=value).open())
    assert caught.value.fatal


def test_an_unknown_parameter_is_refused_with_the_known_one() -> None:
    with pytest.raises(
        CallError, match=r"no parameter 'max_token' \(did you mean 'max_tokens'\?\)"
    ) as caught:
        asyncio.run(reader(max_token=100).open())
    assert caught.value.fatal
    with pytest.raises(CallError, match="no parameter 'temperature'"):
        ask("jug", temperature=0)


def test_the_models_own_max_tokens_holds() -> None:
    request = Request("reader-1", BODY, (Message("user", "jug bowl handle"),))
    reply = asyncio.run(reader(max_tokens=9).complete(request, 1.0))
    assert estimate(reply.text) <= 9


def test_a_closed_reader_can_be_opened_again() -> None:
    async def twice() -> list[str]:
        subject = reader()
        request = Request("reader-1", BODY, (Message("user", "celadon"),))
        answers = []
        for _ in range(2):
            await subject.open()
            answers.append((await subject.complete(request, 1.0)).text)
            await subject.close()
        return answers

    assert asyncio.run(twice()) == ["## Glazes\n\n- Celadon is green."] * 2


@settings(deadline=None)
@given(st.text(max_size=300), st.text(max_size=50))
def test_any_text_and_question_get_an_answer(text: str, question: str) -> None:
    reply = asyncio.run(reader().complete(Request("reader-1", text, (Message("user", question),)), 1.0))
    assert reply.text
