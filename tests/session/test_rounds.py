"""Rounds of auto gates on a real engine: their order, that none waits for another, and that all of them end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import pytest

from pytest_upskill.calls.engine import Engine, EngineStopped
from pytest_upskill.calls.measure import Measurer
from pytest_upskill.session.rounds import Looking, Rounds, first_look, without_gate
from pytest_upskill.suite.matrix import Gate, Sample, build
from pytest_upskill.types import Model, Outcome, Reply, Score
from pytest_upskill.verdicts.gate import GateRules
from pytest_upskill.verdicts.stopping import Look
from pytest_upskill.verdicts.verdict import CaseCount
from tests.calls.fakes import MODEL, case, suite
from tests.waiting import until

ONE = Model("one", "fake", "one", concurrency=1)
AskLook = Callable[[Gate, int, "int | None"], Look]


def auto(name: str = "demo", *, cases: int = 3, most: int = 5, model: Model = MODEL, skip: str = "") -> Gate:
    rows = [case(f"{name}-{n}", skip="no judge" if f"{name}-{n}" == skip else None) for n in range(cases)]
    (gate,) = build(suite(*rows, name=name), [model], {model.name: most}, {model.name}).gates
    return gate


def of(gate: Gate, *runs: int) -> list[Sample]:
    return [sample for sample in gate.samples if sample.run in runs]


class Scripted:
    """Stands where a measurer would: notes the order, holds back what it is told to, and fails the same way."""

    def __init__(self) -> None:
        self.begun: list[Sample] = []
        self.held: set[Sample] = set()
        self.down: set[Sample] = set()
        self.sign = threading.Event()

    async def measure(self, sample: Sample) -> Outcome:
        self.begun.append(sample)
        if sample.case.skip:
            return Outcome(skip=sample.case.skip)
        while sample in self.held and not self.sign.is_set():
            await asyncio.sleep(0.001)
        if sample in self.down:
            return Outcome(error="down")
        return Outcome(Reply(f"{sample.id}"), (Score(sample.arm == "with_skill"),))

    async def close(self) -> None: ...


class Script:
    """Looks at gates as it was told: how many rounds each of them takes in the end."""

    def __init__(self, ends: dict[Gate, int]) -> None:
        self.ends = ends
        self.looks: list[tuple[Gate, int, int | None]] = []

    def __call__(self, gate: Gate, done: int, decided: int | None) -> Look:
        self.looks.append((gate, done, decided))
        further = {1: 3, 3: 5}.get(done, gate.runs)
        return Look(done if done >= self.ends[gate] else further, f"decided after {done}", done)


class Started:
    """An engine that follows the rounds of gates, which are selected in their order."""

    def __init__(self, gates: list[Gate], look: AskLook, window: int | None = None) -> None:
        self.scripted = Scripted()
        self.rounds = Rounds(look)
        self.rounds.add(gates)
        self.engine = Engine(lambda: cast("Measurer", self.scripted), window, None, self.rounds)
        self.engine.select(sample for gate in gates for sample in gate.samples)

    def asking(self, *samples: Sample) -> threading.Thread:
        """Ask on a thread of its own."""
        thread = threading.Thread(target=self.engine.gather, args=[samples], daemon=True)
        thread.start()
        return thread


Start = Callable[..., Started]


@pytest.fixture
def start() -> Iterator[Start]:
    made: list[Started] = []

    def make(gates: list[Gate], look: AskLook, window: int | None = None) -> Started:
        made.append(Started(gates, look, window))
        return made[-1]

    yield make
    for one in made:
        one.scripted.sign.set()
        one.engine.stop()


def joined(thread: threading.Thread) -> None:
    thread.join(5)
    assert not thread.is_alive()


def test_whole_rounds_follow_one_another_until_the_gate_is_decided(start: Start) -> None:
    gate = auto()
    script = Script({gate: 3})
    run = start([gate], script)
    found = run.engine.gather(gate.samples)
    assert run.scripted.begun[:6] == of(gate, 1)
    assert sorted(run.scripted.begun, key=gate.samples.index) == of(gate, 1, 2, 3)
    assert [outcome.skip for outcome in found] == [None] * 18 + ["not needed: decided after 3"] * 12
    assert script.looks == [(gate, 1, None), (gate, 3, 1)]
    assert run.engine.finished == run.scripted.begun
    assert run.rounds.spared == 12
    assert run.rounds.decided(gate) == 3


def test_at_the_last_round_nothing_is_left_to_decide(start: Start) -> None:
    gate = auto(most=4)
    script = Script({gate: 9})
    run = start([gate], script)
    assert all(outcome.measured for outcome in run.engine.gather(gate.samples))
    assert [done for _, done, _ in script.looks] == [1, 3]
    assert run.rounds.spared == 0


def test_the_first_round_of_all_gates_comes_before_the_second_of_any(start: Start) -> None:
    gates = [auto(name, model=ONE) for name in ("a", "b", "c")]
    run = start(gates, Script(dict.fromkeys(gates, 5)))
    held = of(gates[0], 1)[0]
    run.scripted.held = {held}
    first = run.asking(held)
    until(lambda: held in run.scripted.begun)
    run.scripted.sign.set()
    joined(first)
    until(lambda: len(run.engine.outcomes) == 90)
    assert {sample.run for sample in run.scripted.begun[:18]} == {1}


def test_a_slow_gate_holds_up_no_other(start: Start) -> None:
    slow, quick = auto("slow"), auto("quick")
    run = start([slow, quick], Script({slow: 1, quick: 5}))
    run.scripted.held = {of(slow, 1)[2]}
    waiter = run.asking(*slow.samples)
    # Nobody asks for the quick one.
    until(lambda: all(sample in run.engine.outcomes for sample in quick.samples))
    assert waiter.is_alive()
    run.scripted.sign.set()
    joined(waiter)
    assert {run.engine.outcomes[sample].skip for sample in of(slow, 2, 3, 4, 5)} == {
        "not needed: decided after 1"
    }


def test_a_look_that_takes_its_time_holds_up_no_other_gate(start: Start) -> None:
    slow, quick = auto("slow"), auto("quick")
    script, sign = Script({slow: 1, quick: 5}), threading.Event()

    def look(gate: Gate, done: int, decided: int | None) -> Look:
        if gate is slow:
            sign.wait(5)
        return script(gate, done, decided)

    run = start([slow, quick], look)
    run.engine.outcome(slow.samples[0])
    until(lambda: all(sample in run.engine.outcomes for sample in quick.samples))
    assert not any(sample in run.engine.outcomes for sample in of(slow, 2))
    sign.set()
    run.engine.gather(slow.samples)


def test_who_asks_for_a_later_round_hurries_the_rounds_before_it(start: Start) -> None:
    gates = [auto(name, model=ONE) for name in ("a", "b", "c")]
    run = start(gates, Script(dict.fromkeys(gates, 5)))
    run.scripted.held = set(gates[0].samples[:2])
    first = run.asking(gates[0].samples[0])
    until(lambda: len(run.scripted.begun) == 2)
    last = of(gates[2], 4)[0]
    waiter = run.asking(last)
    until(lambda: len(run.engine._lanes["one"]._urgent) == 6)
    run.scripted.sign.set()
    joined(waiter)
    joined(first)
    begun = run.scripted.begun
    # Two at a time: while the last of a round is measured, one other finds its turn.
    assert begun[2:8] == of(gates[2], 1)
    assert begun.index(last) < 2 + 6 * 3 + 1 + 4
    until(lambda: len(run.engine.outcomes) == 90)


@pytest.mark.parametrize("ends", [1, 3, 5])
def test_whoever_asks_in_whichever_order_gets_an_answer(start: Start, ends: int) -> None:
    gates = [auto(name) for name in ("a", "b")]
    everything = [sample for gate in gates for sample in gate.samples]
    for window in (None, 1, 4):
        for order in (everything, everything[::-1], everything[7:] + everything[:7]):
            run = start(gates, Script(dict.fromkeys(gates, ends)), window)
            # As two workers do: each asks for one after the other.
            walkers = [
                threading.Thread(
                    target=lambda part, run: [run.engine.outcome(s) for s in part], args=[part, run]
                )
                for part in (order[::2], order[1::2])
            ]
            for walker in walkers:
                walker.start()
            for walker in walkers:
                joined(walker)
            assert len(run.engine.finished) == len(set(run.engine.finished)) == 2 * 6 * ends


def test_with_a_window_later_rounds_wait_until_it_reaches_them(start: Start) -> None:
    gate = auto(cases=10)
    run = start([gate], Script({gate: 5}), 2)
    for sample in of(gate, 1):
        run.engine.outcome(sample)
    until(lambda: len(run.engine.outcomes) == 22)
    threading.Event().wait(0.02)
    assert set(run.scripted.begun) == {*of(gate, 1), *of(gate, 2)[:2]}
    run.engine.outcome(of(gate, 2)[2])
    until(lambda: len(run.engine.outcomes) == 25)


def test_who_asks_for_a_later_round_under_a_window_begins_only_that_of_its_round(start: Start) -> None:
    gate = auto(cases=10)
    run = start([gate], Script({gate: 3}), 1)
    wanted = of(gate, 2)[0]
    run.engine.outcome(wanted)
    threading.Event().wait(0.02)
    assert set(run.scripted.begun) == {*of(gate, 1), *of(gate, 2)[:2]}


def test_a_gate_with_a_fixed_number_of_runs_is_left_alone(start: Start) -> None:
    (fixed,) = build(suite(case("a"), case("b")), [MODEL], {MODEL.name: 3}).gates
    script = Script({})
    run = start([fixed], script)
    assert all(outcome.measured for outcome in run.engine.gather(fixed.samples))
    assert script.looks == []
    assert (first_look(fixed), run.rounds.decided(fixed)) == (3, None)


def test_a_look_that_fails_leaves_nobody_waiting(start: Start) -> None:
    gate = auto()

    def look(gate: Gate, done: int, decided: int | None) -> Look:
        raise ZeroDivisionError("no noise")

    run = start([gate], look)
    with pytest.raises(EngineStopped) as caught:
        run.engine.gather(gate.samples)
    said = "the engine has ended, nothing is measured any more: ZeroDivisionError: no noise"
    assert str(caught.value) == said


def test_who_waits_for_a_later_round_hears_that_the_run_is_over(start: Start) -> None:
    gate = auto()
    run = start([gate], Script({gate: 5}))
    run.scripted.held = {gate.samples[0]}
    told: list[str] = []

    def ask() -> None:
        try:
            run.engine.outcome(of(gate, 5)[0])
        except EngineStopped as error:
            told.append(str(error))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    until(lambda: len(run.engine.outcomes) == 5)
    run.engine.stop()
    joined(thread)
    assert told == ["the run is over: nothing is measured any more"]


class Plain:
    """Terms of a run without a base and without a baseline."""

    def rules(self, gate: Gate) -> GateRules:
        return GateRules()

    def tested(self, gate: Gate) -> bool:
        return True

    def with_baseline(self, gate: Gate, counts: Sequence[CaseCount]) -> Sequence[CaseCount]:
        return counts


def looking(run: list[Started]) -> Looking:
    return Looking(lambda: run[0].engine.outcomes, Plain)


def test_a_model_that_is_down_is_asked_for_its_first_round_alone(start: Start) -> None:
    gate = auto(cases=2, skip="demo-1")
    runs: list[Started] = []
    runs.append(start([gate], looking(runs)))
    runs[0].scripted.down = set(gate.samples)
    found = dict(zip(gate.samples, runs[0].engine.gather(gate.samples), strict=True))
    assert {outcome.error for sample, outcome in found.items() if sample.run == 1} == {"down", None}
    said = {sample.case.id: outcome.skip for sample, outcome in found.items() if sample.run > 1}
    assert said == {
        "demo-0": "not needed: no case could be measured whole in run 1",
        "demo-1": "no judge",
    }


def test_a_case_that_fails_is_left_out_of_the_look(start: Start) -> None:
    gate = auto(cases=12)
    runs: list[Started] = []
    runs.append(start([gate], looking(runs)))
    runs[0].scripted.down = {gate.samples[0]}
    found = dict(zip(gate.samples, runs[0].engine.gather(gate.samples), strict=True))
    assert found[gate.samples[0]].error == "down"
    # Eleven cases that all hit with the skill and never without it need no second run.
    assert all(str(found[sample].skip).startswith("not needed: ") for sample in of(gate, 2, 3, 4, 5))


def test_further_runs_without_their_gate_say_why_they_are_skipped() -> None:
    one, other = auto("one"), auto("other")
    selected = {*of(one, 1, 2), *of(other, 2)}
    found = without_gate([one, other], {other}, selected)
    assert list(found) == of(one, 2)
    assert {outcome.skip for outcome in found.values()} == {
        "auto runs are decided by gates, and gate[m] is not selected"
    }
