"""What a batch's server says of it, good and bad, and what becomes of the samples that wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pytest_upskill.calls.store import Store, StoreError
from pytest_upskill.errors import CallError
from pytest_upskill.protocols import BatchState
from pytest_upskill.types import Reply, Usage
from tests.calls.batches import MODEL, Batches, Run, failed, key, open_batches, reply, run, wanted

KEPT = "the batch batch-0 is kept in the store: run the same command again to read its replies"


def fates(**fates: Reply | Exception | None) -> Batches:
    """Return a provider that answers `question 1` with `q1`."""
    return Batches(lambda text: fates.get(f"q{text[-1]}", reply(text)))


def errors(
    provider: Batches, folder: Path | None, *numbers: int, patience: float = 1800.0
) -> list[CallError]:
    """Return what requests that are asked for at the same time end in."""

    async def go() -> list[CallError]:
        made = Run(provider, wanted(*numbers), Store(folder) if folder else None, patience=patience)
        asked = [made.batcher.reply(MODEL, provider, key(number)) for number in numbers]
        try:
            found = await asyncio.gather(*asked, return_exceptions=True)
        finally:
            await made.close()
        return [error for error in found if isinstance(error, CallError)]

    return asyncio.run(go())


def test_what_a_batch_failed_on_is_left_to_calls_with_one_notice(tmp_path: Path) -> None:
    provider = fates(q1=failed("final", "answered 400"), q3=failed("failed", "answered 500"))
    made, replies = run(provider, range(5), tmp_path)
    assert [found is None for found in replies] == [False, True, False, True, False]
    assert made.notices == [
        "m: the batch batch-0 has no reply to 2 of 5 requests (such as: m: answered 400): 2 requests are called one "
        "by one"
    ]
    assert open_batches(tmp_path) == []
    assert provider.asked == ["submit", "state", "results"]


def test_what_somebody_else_put_into_a_batch_is_nobodys_reply(tmp_path: Path) -> None:
    class Strange(Batches):
        async def results(self, batch: str) -> AsyncIterator[tuple[str, Reply | Exception]]:
            for name in ("no key", "ff" * 32, "", None):
                yield name, Reply("stranger")  # type: ignore[misc]
            async for row in super().results(batch):
                yield row

    made, replies = run(Strange(), [1], tmp_path)
    assert [found and found.text for found in replies] == ["answer to question 1"]
    assert (made.notices, len(made.batcher._desk.brought)) == ([], 1)


def test_results_that_break_off_are_read_again_and_none_is_written_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_upskill.calls.batch_follow._TOGETHER", 3)
    written: list[bytes] = []
    put = Store.put

    async def counted(self: Store, key: bytes, *rest: Any) -> None:
        written.append(key)
        await put(self, key, *rest)

    monkeypatch.setattr(Store, "put", counted)
    provider = Batches()
    provider.readings = [4, 8]
    made, replies = run(provider, range(10), tmp_path)
    assert [found and found.text for found in replies] == [f"answer to question {n}" for n in range(10)]
    assert sorted(written) == sorted(key(n) for n in range(10))
    assert provider.asked.count("results") == 3
    assert made.notices == []


def test_replies_reach_their_samples_before_the_rest_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_upskill.calls.batch_follow._TOGETHER", 1)

    class Slow(Batches):
        async def results(self, batch: str) -> AsyncIterator[tuple[str, Reply | Exception]]:
            async for row in super().results(batch):
                yield row
                await asyncio.wait_for(first.wait(), 5)

    async def go() -> list[Reply | None]:
        made = Run(provider, wanted(1, 2))
        try:
            found = await made.ask(1)
            first.set()
            return found + await made.ask(2)
        finally:
            await made.close()

    first = asyncio.Event()
    provider = Slow()
    assert [found and found.text for found in asyncio.run(go())] == [
        "answer to question 1",
        "answer to question 2",
    ]


def test_results_that_are_missing_are_looked_for_thrice(tmp_path: Path) -> None:
    provider = fates(q1=None)
    made, replies = run(provider, range(3), tmp_path)
    assert [found is None for found in replies] == [False, True, False]
    assert provider.asked.count("results") == 3
    assert made.notices == [
        "m: the batch batch-0 has no reply to 1 of 3 requests (they are missing in its results): 1 request is called "
        "by itself"
    ]
    assert open_batches(tmp_path) == []


def test_a_batch_that_is_gone_is_left_to_calls_once_that_was_said_twice(tmp_path: Path) -> None:
    gone = BatchState(0, 0, ended=True, gone=True)
    provider = Batches()
    provider.states = [gone]
    _, replies = run(provider, [1], tmp_path)
    assert [found and found.text for found in replies] == ["answer to question 1"]
    provider.states = [gone, gone]
    made, replies = run(provider, [2, 3], tmp_path)
    assert replies == [None, None]
    assert made.notices == [
        "m: the batch batch-1 is not known at the server any more: 2 requests are called one by one"
    ]
    assert open_batches(tmp_path) == []


def test_a_batch_that_failed_as_a_whole_is_left_to_calls(tmp_path: Path) -> None:
    provider = Batches()
    provider.readings = [0]
    provider.after = failed("final", "has no results of it: token limit")
    made, replies = run(provider, [2, 3], tmp_path)
    assert replies == [None, None]
    assert made.notices == [
        "m: the batch batch-0 failed (m: has no results of it: token limit): 2 requests are called one by one"
    ]
    assert (made.budget.calls, open_batches(tmp_path)) == (0, [])


def test_a_server_that_fails_for_a_while_is_asked_again(tmp_path: Path) -> None:
    provider = Batches()
    limited = failed("limited")
    limited.retry_after = 90.0
    provider.states = [failed("failed"), failed("unreachable"), failed("lost"), limited]
    made, replies = run(provider, [1], tmp_path)
    assert [found and found.text for found in replies] == ["answer to question 1"]
    assert made.pauses == [1.0, 1.5, 2.25, 90.0]


def test_a_server_that_fails_for_long_leaves_the_batch_in_the_store_and_says_so(tmp_path: Path) -> None:
    provider = Batches()
    provider.states = [failed("unreachable", "nobody answers")] * 99
    first, second = errors(provider, tmp_path, 1, 2, patience=10.0)
    assert str(first) == str(second) == f"m: nobody answers; {KEPT}"
    assert (first.short, first.fault, first.fatal) == ("batch not read: nobody answers", "unreachable", False)
    assert first is not second
    assert provider.asked.count("state") == 5  # after 1 + 1.5 + 2.25 + 3.4 seconds of 10
    assert open_batches(tmp_path) == ["batch-0"]


def test_only_failures_in_a_row_exhaust_the_patience(tmp_path: Path) -> None:
    provider = Batches()
    provider.states = [failed("failed"), BatchState(0, 1, ended=False)] * 4
    assert errors(provider, tmp_path, 1, patience=12.0) == []  # 1 + 2.25 + 5.1 + 11.4 seconds
    assert open_batches(tmp_path) == []


@pytest.mark.parametrize("fatal", [False, True])
def test_a_question_that_is_refused_for_good_is_not_repeated(tmp_path: Path, fatal: bool) -> None:
    provider = Batches()
    provider.states = [failed("final", "refused the key", fatal=fatal)]
    (error,) = errors(provider, tmp_path, 1)
    assert str(error) == f"m: refused the key; {KEPT}"
    assert open_batches(tmp_path) == ["batch-0"]


def test_without_a_store_the_error_says_that_nobody_reads_the_batch_later() -> None:
    provider = Batches()
    provider.states = [failed("final", "refused the key")]
    (error,) = errors(provider, None, 1)
    assert str(error) == (
        "m: refused the key; the batch batch-0 goes on at the provider, but no later run reads it, as "
        "--upskill-cache=off keeps no store"
    )


def test_who_asks_after_the_end_gets_the_same_answer(tmp_path: Path) -> None:
    async def go() -> list[object]:
        made = Run(provider, wanted(1, 2), Store(tmp_path))
        found: list[object] = []
        try:
            for _ in range(2):
                found += await asyncio.gather(made.ask(1), made.ask(2), return_exceptions=True)
            return found
        finally:
            await made.close()

    provider = fates(q2=failed("final"))
    assert asyncio.run(go()) == [[reply("question 1")], [None]] * 2


@pytest.mark.parametrize("where", ["submit", "state", "results"])
def test_whatever_a_provider_raises_becomes_a_sentence(tmp_path: Path, where: str) -> None:
    class Broken(Batches):
        async def submit(self, requests: Any) -> str:
            return await super().submit(requests) if where != "submit" else self.fail()

        async def state(self, batch: str) -> BatchState:
            return await super().state(batch) if where != "state" else self.fail()

        async def results(self, batch: str) -> AsyncIterator[tuple[str, Reply | Exception]]:
            if where == "results":
                self.fail()
            async for row in super().results(batch):
                yield row

        def fail(self) -> Any:
            raise ZeroDivisionError("by zero")

    says = "m: the provider failed: ZeroDivisionError: by zero"
    provider = Broken()
    if where == "state":
        (error,) = errors(provider, tmp_path, 1)
        assert str(error) == f"{says}; {KEPT}"
    else:
        made, replies = run(provider, [1], tmp_path)
        assert replies == [None]
        (notice,) = made.notices
        assert notice == (
            f"{says}: 1 request is called by itself"
            if where == "submit"
            else f"m: the batch batch-0 failed ({says}): 1 request is called by itself"
        )


def test_what_is_no_reply_is_none() -> None:
    provider = fates(q1="text", q2=Reply(7))  # type: ignore[arg-type]
    made, replies = run(provider, range(3))
    assert [found is None for found in replies] == [False, True, True]
    assert made.notices == [
        "m: the batch batch-0 has no reply to 2 of 3 requests (such as: the provider returned str, not a Reply with a "
        "text): 2 requests are called one by one"
    ]


def test_a_batched_reply_is_cleaned_as_a_called_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_ = "sk-canary-0123456789abcdef"
    monkeypatch.setenv("OPENAI_API_KEY", key_)
    said = Reply(f"half \ud800 and {key_}", key_, Usage(1, 1), "stop")
    provider = fates(q1=said, q2=failed("final", f"echoes {key_}"))

    async def go() -> tuple[list[Reply | None], list[str]]:
        made = Run(provider, wanted(1, 2), Store(tmp_path))
        await made.batcher._desk.clients.ready(MODEL)
        try:
            return await made.ask(1, 2), made.notices
        finally:
            await made.close()

    replies, notices = asyncio.run(go())
    clean = Reply("half ? and ***", "***", Usage(1, 1), "stop")
    assert replies == [clean, None]
    assert Store(tmp_path).get(key(1)) == clean
    assert "sk-canary" not in notices[0]


def test_a_store_that_cannot_be_written_ends_the_wait_and_keeps_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(self: Store, *rest: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(Store, "put", full)
    with pytest.raises(StoreError, match=r"^the disk is full$"):
        run(Batches(), range(3), tmp_path)
    assert open_batches(tmp_path) == ["batch-0"]


@pytest.mark.parametrize("answer", [None, "ended"], ids=repr)
def test_a_provider_whose_answer_says_nothing_of_its_batch_keeps_nobody_waiting(
    answer: Any, tmp_path: Path
) -> None:
    class Careless(Batches):
        async def state(self, batch: str) -> BatchState:
            return answer  # type: ignore[no-any-return]

    async def go() -> CallError:
        made = Run(Careless(), wanted(1), Store(tmp_path))
        with pytest.raises(CallError) as caught:
            await asyncio.wait_for(made.ask(1), 5)
        await made.close()
        return caught.value

    assert str(asyncio.run(go())) == (
        "m: the batch batch-0 could not be followed: AttributeError: "
        f"'{type(answer).__name__}' object has no attribute 'ended'; {KEPT}"
    )


def test_a_wait_that_is_no_number_is_not_waited_for(tmp_path: Path) -> None:
    provider = Batches()
    provider.states = [CallError("m: later", fault="failed", retry_after="5")]  # type: ignore[arg-type]
    _, replies = run(provider, [1], tmp_path)
    assert [found and found.text for found in replies] == ["answer to question 1"]


def test_batches_that_are_being_read_at_the_end_are_given_their_time_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Batches):
        batch_limit = 1

        async def results(self, batch: str) -> AsyncIterator[tuple[str, Reply | Exception]]:
            await asyncio.sleep(3600)
            async for row in super().results(batch):
                yield row

    async def go() -> float:
        made = Run(Slow(), wanted(*range(8)), Store(tmp_path))
        asked = asyncio.ensure_future(made.ask(*range(8)))
        while not made.batcher._batches or not all(batch.state.ended for batch in made.batcher._batches):
            await asyncio.sleep(0.001)
        begun = time.perf_counter()
        await made.close()
        took = time.perf_counter() - begun
        asked.cancel()
        await asyncio.wait([asked])
        return took

    monkeypatch.setattr("pytest_upskill.calls.batch_follow._LONGEST_END", 0.2)
    assert asyncio.run(go()) < 1
