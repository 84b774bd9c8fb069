"""Calls: made once, from the store where it has them, and not at all where they would be in vain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_upskill.calls.store import Store, StoreError
from pytest_upskill.errors import CallError
from pytest_upskill.types import CacheMode, Model, Outcome, Reply, Request
from tests.calls.fakes import MODEL, Fake, at_once, case, gate, measurer, outcomes, suite

WITH_SKILL, WITHOUT_SKILL = gate().samples


def counting() -> Fake:
    """Return a provider whose every reply is another."""

    async def answer(request: Request) -> Reply:
        number = len(provider.requests)
        await asyncio.sleep(0)
        return Reply(f"yes {number}")

    provider = Fake(answer)
    return provider


def texts(found: list[Outcome]) -> list[str | None]:
    return [None if one.reply is None else one.reply.text for one in found]


@pytest.mark.parametrize("ask", [at_once, outcomes], ids=["at once", "in turn"])
@pytest.mark.parametrize("mode", ["auto", "refresh", "off"])
def test_the_same_request_of_two_skills_is_one_call(
    ask: Callable[..., list[Outcome]], mode: CacheMode, tmp_path: Path
) -> None:
    provider = counting()
    store = None if mode == "off" else Store(tmp_path)
    one, two = gate(suite(case("a"), name="one")), gate(suite(case("a"), name="two"))
    made = measurer(provider, store=store, mode=mode)
    found = ask(made, *one.samples, *two.samples)
    assert len(provider.requests) == made.traffic.calls == 3
    assert found[1].reply == found[3].reply
    assert found[0].reply != found[2].reply


def test_runs_are_calls_of_their_own() -> None:
    provider = counting()
    assert len(set(texts(outcomes(measurer(provider), *gate(runs=3).samples)))) == 6


def test_auto_calls_for_what_the_store_does_not_have(tmp_path: Path) -> None:
    provider = counting()
    first = outcomes(measurer(provider, store=Store(tmp_path)), WITH_SKILL)
    found = outcomes(measurer(provider, store=Store(tmp_path)), WITH_SKILL, WITHOUT_SKILL)
    assert [one.cached for one in (*first, *found)] == [False, True, False]
    assert texts([*first, *found]) == ["yes 1", "yes 1", "yes 2"]


def test_replay_makes_no_call_and_opens_no_client(tmp_path: Path) -> None:
    provider = counting()
    outcomes(measurer(provider, store=Store(tmp_path)), WITH_SKILL)
    fresh = counting()
    made = measurer(fresh, store=Store(tmp_path), mode="replay")
    stored, missing = outcomes(made, WITH_SKILL, WITHOUT_SKILL)
    assert (stored.cached, stored.hit) == (True, True)
    assert missing.error == "m: no stored reply, and --upskill-cache=replay makes no call"
    assert (fresh.opened, fresh.requests, made.traffic.calls) == (0, [], 0)


def test_refresh_calls_anew_and_keeps_the_new_reply(tmp_path: Path) -> None:
    provider = counting()
    for mode in ("auto", "refresh", "auto"):
        (found,) = outcomes(measurer(provider, store=Store(tmp_path), mode=mode), WITH_SKILL)
    assert (texts([found]), found.cached, len(provider.requests)) == (["yes 2"], True, 2)


def test_off_leaves_no_file_and_calls_each_time(tmp_path: Path) -> None:
    provider = counting()
    for _ in range(2):
        outcomes(measurer(provider, store=None, mode="off"), WITH_SKILL)
    assert len(provider.requests) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ask", [at_once, outcomes], ids=["at once", "in turn"])
@pytest.mark.parametrize("same", ["x", "y"], ids=["same requests", "other requests"])
def test_what_no_call_to_a_model_can_mend_stops_the_calls_to_it_and_to_no_other(
    ask: Callable[..., list[Outcome]], same: str
) -> None:
    async def refuse(request: Request) -> Reply:
        raise CallError("bad: the key was refused", short="key refused", fatal=True)

    bad, good = Fake(refuse), Fake()
    cases = suite(*(case(f"case-{n}") for n in range(10)))
    refused = gate(cases, Model("bad", "fake", "x")).samples
    served = gate(cases, Model("good", "fake", same)).samples
    made = measurer({"bad": bad, "good": good})
    found = ask(made, *refused, *served)
    assert [one.error for one in found] == ["key refused"] * 20 + [None] * 20
    assert (len(bad.requests), len(good.requests)) == (1, 20)
    assert list(made.down) == ["bad"]


def test_an_error_of_one_call_does_not_stop_the_next() -> None:
    async def fail_once(request: Request) -> Reply:
        if len(provider.requests) == 1:
            raise CallError("m: the server answered 500")
        return Reply("yes")

    provider = Fake(fail_once)
    found = outcomes(measurer(provider), WITH_SKILL, WITHOUT_SKILL)
    assert [one.error for one in found] == ["m: the server answered 500", None]


def test_a_model_is_opened_once_and_closed_on_the_same_loop() -> None:
    class Looped(Fake):
        async def open(self) -> None:
            self.loop = asyncio.get_running_loop()
            await super().open()

        async def close(self) -> None:
            assert asyncio.get_running_loop() is self.loop
            await super().close()

    provider = Looped()
    at_once(measurer(provider), *gate(runs=5).samples)
    assert (provider.opened, provider.closed) == (1, 1)


def test_a_model_that_is_not_called_is_not_opened(tmp_path: Path) -> None:
    outcomes(measurer(Fake(), store=Store(tmp_path)), WITH_SKILL)
    provider = Fake()
    outcomes(measurer(provider, store=Store(tmp_path)), WITH_SKILL)
    assert (provider.opened, provider.closed) == (0, 0)


@pytest.mark.parametrize("mode", ["auto", "replay", "refresh"])
def test_no_call_is_paid_whose_reply_cannot_be_kept(mode: CacheMode, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    provider = Fake()
    found = outcomes(measurer(provider, store=Store(tmp_path / "file"), mode=mode), WITH_SKILL, WITHOUT_SKILL)
    assert all(str(one.error).startswith(f"{tmp_path / 'file'}: cannot be written: ") for one in found)
    assert provider.requests == []


class Full(Store):
    """A store on a disk that is full."""

    async def put(self, key: bytes, reply: Reply, endpoint: str = "") -> None:
        raise StoreError("the disk is full")


def test_calls_end_once_a_reply_could_not_be_kept(tmp_path: Path) -> None:
    provider = Fake()
    found = outcomes(measurer(provider, store=Full(tmp_path)), *gate(runs=5).samples)
    assert [one.error for one in found] == ["the disk is full"] * 10
    assert len(provider.requests) == 1


def test_a_call_that_nobody_waits_for_any_more_is_still_kept_for_those_who_ask_later() -> None:
    release = asyncio.Event()

    async def slow(request: Request) -> Reply:
        await release.wait()
        return Reply("yes")

    async def cancel_the_first() -> Outcome:
        made = measurer(provider)
        first = asyncio.ensure_future(made.measure(WITH_SKILL))
        while not provider.requests:
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
        release.set()
        try:
            return await made.measure(WITH_SKILL)
        finally:
            await made.close()

    provider = Fake(slow)
    assert asyncio.run(cancel_the_first()).hit
    assert len(provider.requests) == 1


def test_the_timeout_of_the_model_goes_to_the_provider() -> None:
    class Timed(Fake):
        async def complete(self, request: Request, timeout: float) -> Reply:
            return Reply(f"yes {timeout}")

    model = Model("m", "fake", "x", timeout=7.5)
    assert texts(outcomes(measurer(Timed()), gate(model=model).samples[0])) == ["yes 7.5"]
    assert MODEL.timeout != 7.5
