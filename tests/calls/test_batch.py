"""Batches: handed in once, followed to their end, read into the store, resumed by a later run."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from pytest_upskill.calls.batch import Wanted
from pytest_upskill.calls.budget import Budget
from pytest_upskill.calls.store import Store
from pytest_upskill.errors import CallError
from pytest_upskill.protocols import BatchProvider, BatchState
from pytest_upskill.types import Message, Reply, Request
from tests.calls.batches import (
    ENDPOINT,
    Batches,
    Findable,
    Run,
    failed,
    key,
    open_batches,
    reply,
    request,
    run,
    wanted,
)


def texts(replies: list[Reply | None]) -> list[str | None]:
    return [None if found is None else found.text for found in replies]


def answers(*numbers: int) -> list[str]:
    return [f"answer to question {number}" for number in numbers]


def test_the_provider_of_these_tests_is_one_of_batches() -> None:
    assert isinstance(Batches(), BatchProvider)


def test_all_requests_of_a_model_go_into_one_batch_and_each_gets_its_reply(tmp_path: Path) -> None:
    provider = Batches()
    made, replies = run(provider, range(5), tmp_path)
    assert texts(replies) == answers(*range(5))
    assert provider.asked == ["submit", "state", "results"]
    assert provider.requests == []
    assert made.notices == []
    assert made.batcher.brought(key(3)) == replies[3]
    assert made.batcher.brought(key(9)) is None


def test_replies_are_in_the_store_and_the_batch_is_not_any_more(tmp_path: Path) -> None:
    run(Batches(), range(3), tmp_path)
    store = Store(tmp_path)
    assert [store.get(key(number)) for number in range(3)] == [reply(f"question {n}") for n in range(3)]
    assert open_batches(tmp_path) == []


def test_a_batch_is_in_the_store_before_it_is_asked_after(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    class Looking(Batches):
        async def state(self, batch: str) -> BatchState:
            seen.append(open_batches(tmp_path))
            return await super().state(batch)

    run(Looking(), range(3), tmp_path)
    assert seen == [["batch-0"]]


def test_without_a_store_batches_work_all_the_same() -> None:
    _, replies = run(Batches(), range(3))
    assert texts(replies) == answers(0, 1, 2)


def test_a_request_that_is_in_no_batch_is_looked_up_once_more_and_then_left_to_a_call(tmp_path: Path) -> None:
    async def go() -> list[Reply | None]:
        store = Store(tmp_path)
        await store.put(key(8), reply("another process"), ENDPOINT)
        made = Run(Batches(), wanted(1, 2), store)
        try:
            return await made.ask(1, 8, 9)
        finally:
            await made.close()

    assert texts(asyncio.run(go())) == ["answer to question 1", "answer to another process", None]


def test_what_is_more_than_a_batch_may_hold_goes_into_several(tmp_path: Path) -> None:
    provider = Batches()
    provider.batch_limit = 2
    _, replies = run(provider, range(5), tmp_path)
    assert texts(replies) == answers(*range(5))
    assert [len(batch) for batch in provider.kept.values()] == [2, 2, 1]


def test_long_requests_go_into_several_batches_before_a_file_is_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pytest_upskill.calls.batch_submit._MOST_BYTES", 3 * len("question 0"))
    provider = Batches()
    run(provider, range(5))
    assert [len(batch) for batch in provider.kept.values()] == [3, 2]


def test_a_request_that_cannot_be_made_or_written_is_left_to_a_call() -> None:
    def broken() -> Request:
        raise CallError("the prompt could not be made")

    def half() -> Request:
        return Request("fake-1", "", (Message("user", "\ud800"),))

    async def go() -> list[Reply | None]:
        made = Run(provider, [*wanted(1), Wanted(key(2), broken), Wanted(key(3), half)])
        try:
            return await made.ask(1, 2, 3)
        finally:
            await made.close()

    provider = Batches()
    assert texts(asyncio.run(go())) == ["answer to question 1", None, None]
    assert len(provider.kept["batch-0"]) == 1


def test_nothing_is_handed_in_where_nothing_is_wanted(tmp_path: Path) -> None:
    async def go() -> list[Reply | None]:
        made = Run(provider, [], Store(tmp_path))
        try:
            return await made.ask(1)
        finally:
            await made.close()

    provider = Batches()
    assert asyncio.run(go()) == [None]
    assert provider.asked == []


def test_the_words_say_how_far_each_batch_is(tmp_path: Path) -> None:
    words: list[str] = []

    class Watched(Run):
        async def _sleep(self, seconds: float) -> None:
            words.append(self.batcher.words())
            await super()._sleep(seconds)

    async def go() -> None:
        made = Watched(provider, wanted(*range(3)), Store(tmp_path))
        assert made.batcher.words() == ""
        await made.ask(0)
        await made.close()
        assert made.batcher.words() == ""

    provider = Batches()
    provider.states = [BatchState(0, 0, ended=False), BatchState(2, 3, ended=False)]
    asyncio.run(go())
    assert words == ["batch batch-0: 0/3", "batch batch-0: 2/3"]


def test_a_batch_is_asked_after_less_and_less_often() -> None:
    provider = Batches()
    provider.states = [BatchState(0, 3, ended=False)] * 13
    made, _ = run(provider, range(3))
    assert made.pauses[:6] == [1.0, 1.5, 2.25, 3.375, 5.0625, 7.59375]
    assert made.pauses[-2:] == [60.0, 60.0]


# Resuming.


def interrupted(provider: Batches, folder: Path, *numbers: int) -> Run:
    """Begin a run, and end it while its batch is under way."""

    async def go() -> Run:
        made = Run(provider, wanted(*numbers), Store(folder))
        task = asyncio.ensure_future(made.ask(*numbers))
        while made.pauses == []:
            await asyncio.sleep(0.001)
        task.cancel()
        await made.close()
        return made

    provider.states = [BatchState(1, len(numbers), ended=False)] * 100_000
    made = asyncio.run(go())
    provider.states = []
    return made


def test_a_run_that_ends_leaves_its_batch_and_says_how_to_resume(tmp_path: Path) -> None:
    made = interrupted(Batches(), tmp_path, 1, 2, 3)
    assert made.notices == [
        "m: the batch batch-0 goes on at the provider and is paid for: run the same command again to read its replies"
    ]
    assert open_batches(tmp_path) == ["batch-0"]


def test_a_later_run_reads_the_batch_and_hands_in_only_the_rest(tmp_path: Path) -> None:
    provider = Batches()
    interrupted(provider, tmp_path, 1, 2, 3)
    made, replies = run(provider, [2, 3, 4], tmp_path)
    assert texts(replies) == answers(2, 3, 4)
    assert [len(batch) for batch in provider.kept.values()] == [3, 1]
    assert made.notices == []
    # Paid for as well, though this run did not ask for it.
    assert Store(tmp_path).get(key(1)) == reply("question 1")
    assert open_batches(tmp_path) == []


def test_a_batch_without_a_wanted_request_is_left_alone_until_nobody_keeps_it_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = Batches()
    interrupted(provider, tmp_path, 1)
    run(provider, [5], tmp_path)
    assert open_batches(tmp_path) == ["batch-0"]
    now = time.time()
    monkeypatch.setattr("pytest_upskill.calls.batch.time.time", lambda: now + 31 * 86400)
    run(provider, [1], tmp_path)
    assert open_batches(tmp_path) == []
    assert len(provider.kept) == 3


@pytest.mark.parametrize("meanwhile", ["under way", "read"])
def test_two_runs_at_once_with_one_store_hand_in_one_batch(tmp_path: Path, meanwhile: str) -> None:
    class Patient(Batches):
        async def state(self, batch: str) -> BatchState:
            if meanwhile == "under way" and not all(each.batcher.words() for each in runs):
                await asyncio.sleep(0.001)
                return BatchState(0, 4, ended=False)
            return await super().state(batch)

    async def go() -> list[list[Reply | None]]:
        runs.extend(Run(provider, wanted(*range(4)), Store(tmp_path)) for _ in range(2))
        try:
            return list(await asyncio.gather(*(each.ask(*range(4)) for each in runs)))
        finally:
            for each in runs:
                await each.close()

    runs: list[Run] = []
    provider = Patient()
    first, second = asyncio.run(go())
    assert texts(first) == texts(second) == answers(*range(4))
    assert provider.asked.count("submit") == 1
    assert provider.asked.count("results") == (2 if meanwhile == "under way" else 1)


def test_without_a_store_the_end_of_a_run_says_that_a_batch_is_lost_to_later_ones() -> None:
    async def go() -> Run:
        made = Run(provider, wanted(1))
        task = asyncio.ensure_future(made.ask(1))
        while made.pauses == []:
            await asyncio.sleep(0.001)
        task.cancel()
        await made.close()
        return made

    provider = Batches()
    provider.states = [BatchState(0, 1, ended=False)] * 100_000
    assert asyncio.run(go()).notices == [
        "m: the batch batch-0 goes on at the provider and is paid for: no later run reads it, as --upskill-cache=off "
        "keeps no store"
    ]


# Handing in.


def test_a_server_without_batches_is_said_once_and_everything_is_called(tmp_path: Path) -> None:
    provider = Batches()
    provider.submits = [failed("final", "takes no batches (404)")]
    made, replies = run(provider, range(3), tmp_path)
    assert replies == [None, None, None]
    assert made.notices == ["m: takes no batches (404): 3 requests are called one by one"]
    assert provider.asked == ["submit"]


def test_what_holds_for_every_call_is_left_to_the_calls_to_say() -> None:
    provider = Batches()
    provider.submits = [failed("final", "refused the key", fatal=True)]
    made, replies = run(provider, range(3))
    assert (replies, made.notices) == ([None] * 3, [])


def test_a_hand_in_that_was_not_served_is_tried_again(tmp_path: Path) -> None:
    provider = Findable()
    limited = failed("limited")
    limited.retry_after = 7.0
    provider.submits = [failed("failed"), failed("unreachable"), limited]
    made, replies = run(provider, range(3), tmp_path)
    assert texts(replies) == answers(0, 1, 2)
    assert made.pauses == [1.0, 1.5, 7.0]
    assert provider.asked == ["submit"] * 4 + ["state", "results"]


def test_a_hand_in_is_not_tried_for_ever() -> None:
    provider = Batches()
    provider.submits = [failed("failed", "out of order")] * 9
    made, replies = run(provider, range(2))
    assert replies == [None, None]
    assert provider.asked == ["submit"] * 5
    assert made.notices == ["m: out of order: 2 requests are called one by one"]


def test_a_batch_whose_id_was_lost_is_found_again_and_not_handed_in_twice(tmp_path: Path) -> None:
    provider = Findable()
    provider.submits = [failed("lost")]
    provider.finds = [failed("failed")]
    _, replies = run(provider, range(3), tmp_path)
    assert texts(replies) == answers(0, 1, 2)
    assert provider.asked == ["submit", "find", "find", "state", "results"]
    assert len(provider.kept) == 1


def test_a_batch_that_may_have_been_handed_in_is_not_handed_in_again_where_nobody_can_tell() -> None:
    provider = Batches()
    provider.submits = [failed("lost", "dropped the connection")]
    made, replies = run(provider, [1])
    assert replies == [None]
    assert provider.asked == ["submit"]
    assert made.notices == [
        "m: dropped the connection; the batch may be there all the same: 1 request is called by itself"
    ]


def killed_while_handing_in(provider: Findable, folder: Path) -> None:
    """Leave the store as a process leaves it that dies between the hand-in and its note of the id."""

    async def go() -> None:
        store = Store(folder)
        await store.add_batch("intended-0123", ENDPOINT, [key(1), key(2)])
        await store.close()

    asyncio.run(go())


def test_a_batch_is_found_again_though_its_process_died_before_it_noted_the_id(tmp_path: Path) -> None:
    provider = Findable()
    provider.kept["batch-0"] = {key(n).hex(): request(n) for n in (1, 2)}
    killed_while_handing_in(provider, tmp_path)
    _, replies = run(provider, [1, 2], tmp_path)
    assert texts(replies) == answers(1, 2)
    assert provider.asked == ["find", "state", "results"]
    assert open_batches(tmp_path) == []


@pytest.mark.parametrize("fault", [None, failed("final", "lists nothing")])
def test_a_batch_that_was_only_intended_is_handed_in(tmp_path: Path, fault: CallError | None) -> None:
    provider = Findable()
    provider.finds = [fault] if fault else []
    killed_while_handing_in(provider, tmp_path)
    _, replies = run(provider, [1, 2], tmp_path)
    assert texts(replies) == answers(1, 2)
    assert provider.asked == ["find", "submit", "state", "results"]
    assert open_batches(tmp_path) == []


def test_nothing_is_handed_in_while_nobody_can_tell_whether_it_was_before(tmp_path: Path) -> None:
    provider = Findable()
    provider.finds = [failed("failed", "out of order")]
    killed_while_handing_in(provider, tmp_path)
    with pytest.raises(CallError, match=r"^m: out of order$"):
        run(provider, [1, 2], tmp_path)
    assert provider.asked == ["find"]
    assert open_batches(tmp_path) == ["intended-0123"]


def test_a_run_that_ends_while_a_batch_is_handed_in_still_notes_its_id(tmp_path: Path) -> None:
    async def go() -> None:
        provider.gate = asyncio.Event()
        made = Run(provider, wanted(1, 2), Store(tmp_path))
        task = asyncio.ensure_future(made.ask(1, 2))
        while provider.asked == []:
            await asyncio.sleep(0.001)
        task.cancel()
        asyncio.get_running_loop().call_later(0.05, provider.gate.set)
        await made.close()

    provider = Batches()
    provider.states = [BatchState(0, 2, ended=False)] * 100_000
    asyncio.run(go())
    assert open_batches(tmp_path) == ["batch-0"]


# The budget.


def test_what_a_batch_costs_counts_at_its_price(tmp_path: Path) -> None:
    async def go() -> float:
        made = Run(Batches(), wanted(*range(4)), Store(tmp_path), budget, cost=0.2, paid=0.3)
        task = asyncio.ensure_future(made.ask(*range(4)))
        await task
        await made.close()
        return budget.spent

    budget = Budget(1.0)
    assert asyncio.run(go()) == pytest.approx(4 * 0.15)
    assert budget.calls == 4


def test_what_the_budget_refuses_is_left_out_of_the_batch() -> None:
    provider = Batches()
    _, replies = run(provider, range(5), budget=Budget(calls=3))
    assert texts(replies) == [*answers(0, 1, 2), None, None]
    assert len(provider.kept["batch-0"]) == 3


@pytest.mark.parametrize(("fault", "calls"), [("final", 0), ("lost", 2)])
def test_a_batch_that_was_not_taken_costs_nothing_unless_it_may_be_there(fault: str, calls: int) -> None:
    provider = Batches()
    provider.submits = [failed(fault)]  # type: ignore[arg-type]
    budget = Budget(calls=9)
    run(provider, range(2), budget=budget)
    assert budget.calls == calls


def test_requests_that_failed_in_a_batch_cost_nothing_and_those_that_are_missing_may() -> None:
    fates: dict[str, Reply | Exception | None] = {"question 0": failed("final"), "question 1": None}
    budget = Budget(calls=9)
    run(Batches(lambda text: fates.get(text, reply(text))), range(4), budget=budget)
    assert budget.calls == 3  # two replies, and the one that is missing


def test_a_batch_that_is_resumed_was_counted_by_the_run_that_handed_it_in(tmp_path: Path) -> None:
    provider = Batches()
    interrupted(provider, tmp_path, 1, 2)
    budget = Budget(calls=0)
    _, replies = run(provider, [1, 2], tmp_path, budget)
    assert texts(replies) == answers(1, 2)
    assert budget.calls == 0


def test_a_run_that_ends_counts_what_its_batch_will_cost(tmp_path: Path) -> None:
    made = interrupted(Batches(), tmp_path, 1, 2, 3)
    assert made.budget.calls == 3


def test_another_run_that_hands_in_and_never_ends_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_upskill.calls.batch._OTHERS", 0.01)
    monkeypatch.setattr("pytest_upskill.calls.batch._LONGEST_OTHERS", 0.05)

    async def go() -> None:
        stuck = Batches()
        stuck.gate = asyncio.Event()
        first, second = (Run(provider, wanted(1), Store(tmp_path)) for provider in (stuck, Batches()))
        handing_in = asyncio.ensure_future(first.ask(1))
        while not stuck.asked:
            await asyncio.sleep(0.001)
        with pytest.raises(CallError) as caught:
            await asyncio.wait_for(second.ask(1), 5)
        assert str(caught.value) == (
            "another run that shares the store has been handing in a batch to fake:fake-1 for 0 s: end it, or run "
            "again without --upskill-batch"
        )
        assert second.provider.asked == []
        stuck.gate.set()
        assert len(await handing_in) == 1
        await first.close()
        await second.close()

    asyncio.run(go())
