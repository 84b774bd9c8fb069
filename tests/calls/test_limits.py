"""Who may call, when, and who goes first: on a loop whose clock is moved by what waits."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.calls.limits import Limiter, Limits, Ticket
from pytest_upskill.types import Account, Model, RateLimits, Window
from tests.calls.rated import run

ONE = Model("m", "fake", "m", concurrency=1)


def limiter(concurrency: int | None = None, **more: float) -> Limiter:
    return Limits({}, random.Random(1)).of(Model("m", "fake", "m", concurrency=concurrency, **more))  # type: ignore[arg-type]


def now() -> float:
    return asyncio.get_running_loop().time()


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def taken(of: Limiter, most: int = 100) -> list[Ticket]:
    """Return the tickets that are to be had without waiting."""
    tickets: list[Ticket] = []
    for _ in range(most):
        task = asyncio.ensure_future(of.enter(1))
        await turns()
        if not task.done():
            task.cancel()
            await turns()
            break
        tickets.append(task.result())
    return tickets


def test_a_model_of_which_nobody_said_anything_begins_with_four_calls() -> None:
    async def main() -> int:
        return len(await taken(limiter()))

    assert run(main()) == 4


def test_each_success_allows_one_more_up_to_sixteen() -> None:
    async def main() -> list[int]:
        one = limiter()
        held = await taken(one)
        seen = []
        for _ in range(20):
            one.leave(held.pop())
            held += await taken(one)
            seen.append(len(held))
        return seen

    assert run(main()) == [*range(5, 17), *[16] * 8]


def test_a_number_that_somebody_said_is_trusted_at_once() -> None:
    async def main() -> int:
        return len(await taken(limiter(64)))

    assert run(main()) == 64


def test_a_refusal_halves_the_calls_in_flight_once_for_all_that_were_out() -> None:
    async def main() -> int:
        one = limiter(16)
        for ticket in await taken(one):
            one.refused(ticket, 1.0)
        await asyncio.sleep(1000)
        held: list[Ticket] = []
        while one._in_flight < one._slots.allowed:
            held.append(await one.enter(1))
        return len(held)

    assert run(main()) == 8


def test_refusals_one_after_the_other_leave_one_call_and_never_none() -> None:
    async def main() -> float:
        one = limiter(16)
        for _ in range(10):
            one.refused(await one.enter(1), 1.0)
        return one._slots.allowed

    assert run(main()) == 1


def test_nobody_goes_before_the_pause_is_over_and_then_not_all_at_once() -> None:
    async def main() -> list[float]:
        one = limiter(16)
        began = now()
        first = await taken(one)
        for ticket in first[:8]:
            one.leave(ticket)
        for ticket in first[8:]:
            one.refused(ticket, 5.0)
        entered: list[float] = []

        async def call() -> None:
            ticket = await one.enter(1)
            entered.append(now() - began)
            await asyncio.sleep(0.1)
            one.leave(ticket)

        await asyncio.gather(*(call() for _ in range(8)))
        return entered

    entered = run(main())
    assert entered[0] == pytest.approx(5.0)
    assert len({round(time, 3) for time in entered}) == 8


@pytest.mark.parametrize("asked", [None, 0.0, -3.0, float("nan"), float("inf")])
def test_a_server_that_names_no_sensible_pause_gets_a_short_one(asked: float | None) -> None:
    async def main() -> float:
        one = limiter(16)
        began = now()
        one.refused(await one.enter(1), asked)
        await one.enter(1, again=True)
        return now() - began

    assert 0 < run(main()) < 3


def test_the_longest_pause_of_those_that_were_refused_together_holds() -> None:
    async def main() -> float:
        one = limiter(4)
        began = now()
        for ticket, asked in zip(await taken(one), (1.0, 9.0, 1.0, 2.0), strict=True):
            one.refused(ticket, asked)
        await one.enter(1)
        return now() - began

    assert run(main()) == pytest.approx(9.0)


def test_whoever_calls_again_goes_before_those_who_call_for_the_first_time() -> None:
    async def main() -> list[str]:
        one = limiter(1)
        held = await one.enter(1)
        order: list[str] = []

        async def call(name: str, *, again: bool) -> None:
            ticket = await one.enter(1, again=again)
            order.append(name)
            one.leave(ticket)

        tasks = [asyncio.ensure_future(call(name, again=name > "m")) for name in "abxcy"]
        await turns()
        one.leave(held)
        await asyncio.gather(*tasks)
        return order

    assert run(main()) == ["x", "y", "a", "b", "c"]


@pytest.mark.parametrize("moment", ["waiting", "chosen"])
def test_who_is_cancelled_takes_nothing_from_the_others(moment: str) -> None:
    async def main() -> int:
        one = limiter(1)
        held = await one.enter(1)
        first, second = (asyncio.ensure_future(one.enter(1)) for _ in range(2))
        await turns()
        if moment == "chosen":
            one.leave(held)
        first.cancel()
        if moment == "waiting":
            await turns()
            one.leave(held)
        ticket = await second
        assert first.cancelled()
        one.dropped(ticket)
        return len(await taken(one))

    assert run(main()) == 1


def test_a_call_that_failed_frees_its_place_and_is_no_sign_of_a_limit() -> None:
    async def main() -> tuple[int, tuple[float, str]]:
        one = limiter(3)
        for ticket in await taken(one):
            one.dropped(ticket)
        return len(await taken(one)), one.waiting()

    assert run(main()) == (3, (0.0, ""))


async def minute(of: Limiter, seconds: float, tokens: int = 1, real: int | None = None) -> list[float]:
    """Return when calls went out that take no time, in so many seconds."""
    began = now()
    entered: list[float] = []
    while True:
        ticket = await of.enter(tokens)
        if now() - began >= seconds:
            return entered
        entered.append(now() - began)
        of.leave(ticket, tokens=real)


def busiest(entered: list[float], seconds: float) -> int:
    """Return how many calls went out in the busiest stretch of so many seconds."""
    return max(bisect_left(entered, start + seconds) - at for at, start in enumerate(entered))


@pytest.mark.parametrize("per_minute", [1, 7, 60, 600, 6000])
def test_never_more_requests_a_minute_than_configured_and_hardly_fewer(per_minute: int) -> None:
    entered = run(minute(limiter(16, requests_per_minute=per_minute), 180.0))
    assert busiest(entered, 59.999) <= per_minute
    assert len(entered) >= 0.98 * 3 * per_minute


def test_a_minutes_worth_of_requests_never_goes_at_once() -> None:
    entered = run(minute(limiter(64, requests_per_minute=1200), 10.0))
    assert busiest(entered, 1.0) <= 22


@pytest.mark.parametrize(("expected", "real"), [(500, 500), (100, 500), (4000, 500), (20_000, 20_000)])
def test_tokens_a_minute_hold_for_what_calls_really_take(expected: int, real: int) -> None:
    entered = run(minute(limiter(16, tokens_per_minute=30_000), 600.0, expected, real))
    assert len(entered) * real == pytest.approx(300_000, rel=0.07)


def test_an_account_caps_the_sum_of_its_models_and_shares_fairly() -> None:
    async def main() -> tuple[int, dict[str, int]]:
        limits = Limits({"team": Account(concurrency=5)})
        models = [Model(name, "fake", name, concurrency=16, account="team") for name in "ab"]
        flying, peak, done = 0, 0, dict.fromkeys("ab", 0)

        async def call(model: Model) -> None:
            nonlocal flying, peak
            while now() < end:
                ticket = await limits.of(model).enter(1)
                flying += 1
                peak = max(peak, flying)
                await asyncio.sleep(0.1)
                flying -= 1
                done[model.name] += 1
                limits.of(model).leave(ticket)

        end = now() + 20
        await asyncio.gather(*(call(model) for model in models for _ in range(8)))
        return peak, done

    peak, done = run(main())
    assert peak == 5
    assert min(done.values()) > 0.8 * max(done.values())


def test_the_requests_a_minute_of_an_account_are_those_of_all_its_models() -> None:
    async def main() -> int:
        limits = Limits({"team": Account(requests_per_minute=60)})
        models = [Model(name, "fake", name, concurrency=4, account="team") for name in "ab"]
        counts = await asyncio.gather(*(minute(limits.of(model), 60.0) for model in models))
        return sum(len(count) for count in counts)

    assert run(main()) <= 60


Refuse = Callable[[Limits, Model], Awaitable[None]]


async def refuse(limits: Limits, model: Model, asked: float = 10.0) -> None:
    limits.of(model).refused(await limits.of(model).enter(1), asked)


@pytest.mark.parametrize(("both", "third_waits"), [(False, False), (True, True)])
def test_a_pause_is_the_models_own_unless_another_model_of_the_account_is_refused_too(
    both: bool, third_waits: bool
) -> None:
    async def main() -> float:
        limits = Limits({"team": Account()})
        a, b, c = (Model(name, "fake", name, account="team") for name in "abc")
        limits.of(c)
        await refuse(limits, a)
        if both:
            await refuse(limits, b)
        began = now()
        await limits.of(c).enter(1)
        return now() - began

    assert (run(main()) > 9) is third_waits


def test_a_pause_does_not_reach_another_account() -> None:
    async def main() -> float:
        limits = Limits({})
        for name in "ab":
            await refuse(limits, Model(name, "fake", name))
        began = now()
        await limits.of(Model("c", "fake", "c", api_key_env="OTHER_KEY")).enter(1)
        return now() - began

    assert run(main()) == 0


def test_two_names_of_one_model_share_a_limiter_and_the_stricter_limits_hold() -> None:
    async def main() -> int:
        limits = Limits({})
        first = limits.of(Model("m", "fake", "same", concurrency=8))
        second = limits.of(Model("hot", "fake", "same", {"temperature": 1}, concurrency=3))
        assert first is second
        assert limits.of(Model("other", "fake", "other")) is not first
        return len(await taken(first))

    assert run(main()) == 3


def test_the_longest_wait_is_told_with_its_cause() -> None:
    async def main() -> list[tuple[float, str]]:
        limits = Limits({})
        seen = [limits.waiting()]
        haiku, glm = Model("haiku", "fake", "h"), Model("glm", "fake", "g", requests_per_minute=1)
        limits.of(glm).leave(await limits.of(glm).enter(1))
        waiter = asyncio.ensure_future(limits.of(glm).enter(1))
        await asyncio.sleep(0.5)
        seen.append(limits.waiting())
        await refuse(limits, haiku, 100.0)
        await asyncio.sleep(10)
        seen.append(limits.waiting())
        await asyncio.sleep(100)
        seen.append(limits.waiting())
        await waiter
        return [(round(seconds, 1), why) for seconds, why in seen]

    assert run(main()) == [
        (0.0, ""),
        (59.5, "glm keeps to its requests and tokens a minute"),
        (90.0, "haiku is rate limited"),
        (0.0, ""),
    ]


NONSENSE = [
    Window(10, -5, 3),
    Window(10, 0, None),
    Window(10, 0, -1),
    Window(10, None, 60),
    Window(10, 0, float("nan")),
    Window(None, float("inf"), 60),
    Window(),
]


@pytest.mark.parametrize("window", NONSENSE, ids=str)
def test_headers_that_make_no_sense_are_not_heeded(window: Window) -> None:
    async def main() -> float:
        one = limiter(4)
        began = now()
        for _ in range(50):
            one.leave(await one.enter(10), limits=RateLimits(window, window))
        return now() - began

    assert run(main()) == 0


def test_where_nothing_is_left_and_nobody_says_how_much_there_is_the_reset_is_waited_for() -> None:
    async def main() -> float:
        one = limiter(4)
        began = now()
        one.leave(await one.enter(10), limits=RateLimits(Window(None, 0, 42)))
        await one.enter(10)
        return now() - began

    assert run(main()) == pytest.approx(42)


def test_where_units_flow_back_all_the_time_only_one_of_them_is_waited_for() -> None:
    async def main() -> float:
        one = limiter(4)
        began = now()
        one.leave(await one.enter(10), limits=RateLimits(Window(50, 0, 60)))
        await one.enter(10)
        return now() - began

    assert run(main()) == pytest.approx(60 / 50)


def test_a_reply_that_comes_late_does_not_undo_what_newer_ones_said() -> None:
    async def main() -> float:
        one = limiter(4)
        began = now()
        old, new = await one.enter(1), await one.enter(1)
        one.leave(new, limits=RateLimits(Window(None, 0, 30)))
        one.leave(old, limits=RateLimits(Window(None, 1000, 30)))
        await one.enter(1)
        return now() - began

    assert run(main()) == pytest.approx(30)


def test_headers_about_tokens_hold_back_a_call_that_is_too_large_for_what_is_left() -> None:
    async def main() -> float:
        one = limiter(4)
        began = now()
        one.leave(await one.enter(10), limits=RateLimits(None, Window(None, 300, 20)))
        await one.enter(400)
        return now() - began

    assert run(main()) == pytest.approx(20)


def test_a_limit_of_which_nothing_more_is_heard_holds_nobody_for_ever() -> None:
    async def main() -> float:
        one = limiter(1)
        began = now()
        one.leave(await one.enter(1), limits=RateLimits(Window(5, 0, 2)))
        for _ in range(50):
            one.dropped(await one.enter(1))
        return now() - began

    assert run(main()) < 30


def test_jitter_owes_nothing_to_the_generator_that_plugins_seed() -> None:
    async def main() -> float:
        random.seed(5)
        one = Limits({}).of(ONE)
        began = now()
        one.refused(await one.enter(1))
        await one.enter(1)
        return now() - began

    assert len({run(main()) for _ in range(3)}) == 3


def test_two_thousand_that_wait_are_let_in_in_their_order_at_little_cost() -> None:
    async def main() -> list[int]:
        one = limiter(16)
        order: list[int] = []
        looks = 0
        delay = one._delay

        def counted(tokens: int, time: float) -> float:
            nonlocal looks
            looks += 1
            return delay(tokens, time)

        one._delay = counted  # type: ignore[method-assign,assignment]

        async def call(number: int) -> None:
            ticket = await one.enter(1)
            order.append(number)
            await asyncio.sleep(0.01)
            one.leave(ticket)

        await asyncio.gather(*(call(number) for number in range(2000)))
        assert looks < 4 * 2000
        return order

    assert run(main()) == list(range(2000))


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.sampled_from(["enter", "again", "cancel", "leave", "refused", "dropped", "wait"]), max_size=60
    )
)
def test_whatever_happens_no_place_is_lost_and_nobody_waits_for_ever(events: list[str]) -> None:
    async def main() -> None:
        one = limiter(3)
        tasks: list[asyncio.Task[Ticket]] = []
        chance = random.Random(len(events))
        for event in events:
            ready = [task for task in tasks if task.done()]
            if event in ("enter", "again"):
                tasks.append(asyncio.ensure_future(one.enter(10, again=event == "again")))
            elif event == "wait":
                await asyncio.sleep(0.3)
            elif event == "cancel" and tasks:
                await withdraw(tasks.pop(chance.randrange(len(tasks))), one)
            elif event != "cancel" and ready:
                tasks.remove(ready[0])
                getattr(one, event)(ready[0].result())
            await turns()
            assert one._in_flight <= 3
        # As they come: what is made again goes before what was there first.
        left = set(tasks)
        while left:
            gone, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            for task in gone:
                one.dropped(task.result())
        assert one._in_flight == 0

    async def withdraw(task: asyncio.Task[Ticket], one: Limiter) -> None:
        task.cancel()
        await turns()
        if not task.cancelled():
            one.dropped(task.result())

    run(main())
