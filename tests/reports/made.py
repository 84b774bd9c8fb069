"""Results to report on, made of outcomes that a test chooses."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pytest_upskill.suite.matrix import Gate, Sample
from pytest_upskill.types import Model, Outcome, Price, Reply, Score, Usage
from pytest_upskill.verdicts.gate import GateRules
from pytest_upskill.verdicts.result import GateResult
from tests.calls.fakes import MODEL, case, gate, suite
from tests.judged import evaluate

HIT, MISS = (
    Score(True, "found", 'contains "9.0"', "contains"),
    Score(False, "nothing like it", 'contains "9.0"'),
)


@dataclass(frozen=True, slots=True)
class Made:
    """A gate with what became of its samples, and the result of both."""

    gate: Gate
    outcomes: dict[Sample, Outcome]
    result: GateResult

    def again(self, rules: GateRules, *, deterministic: bool = False, selected: bool = True) -> GateResult:
        """Judge by other rules."""
        return evaluate(self.gate, self.outcomes, rules, deterministic=deterministic, selected=selected)


def made(
    with_: int,
    without: int,
    cases: int,
    *,
    skill: str = "demo",
    model: str = "haiku",
    price: Price | None = None,
    used: int = 1000,
    added: int = 400,
    rules: GateRules | None = None,
    **changed: Outcome,
) -> Made:
    """Return a gate of which so many cases hit with and without the skill; `changed` is by arm: all of it."""
    of = gate(
        suite(*(case(f"case-{n}") for n in range(1, cases + 1)), name=skill),
        replace(MODEL, name=model, price=price),
    )
    outcomes = {}
    for number, sample in enumerate(of.samples):
        skilled = sample.arm == "with_skill"
        hit = number // 2 < (with_ if skilled else without)
        reply = Reply(
            f"{'yes' if hit else 'no'}, {sample.id}",
            "reported-1",
            Usage(used + added * skilled, 3),
            "stop",
            0.25,
        )
        cost = ((used + added * skilled) * price.input + 3 * price.output) / 1e6 if price else None
        outcomes[sample] = changed.get(sample.arm) or Outcome(reply, (HIT if hit else MISS,), cost=cost)
    result = evaluate(of, outcomes, rules or GateRules(), deterministic=False)
    return Made(of, outcomes, result)


def said(with_text: str, *, stop_reason: str = "stop") -> Made:
    """Return a gate of one case that missed with the skill, with this reply."""
    reply = Reply(with_text, stop_reason=stop_reason)
    return made(0, 0, 1, with_skill=Outcome(reply, (MISS,)), rules=GateRules(mode="strict"))


def reader(cases: int = 2) -> Made:
    """Return a gate of the offline reader, whose rates are exact."""
    model = Model("reader", "reader", "reader-1")
    of = gate(suite(*(case(f"case-{n}") for n in range(cases))), model)
    outcomes = {s: Outcome(Reply(s.id), (HIT if s.arm == "with_skill" else MISS,)) for s in of.samples}
    return Made(of, outcomes, evaluate(of, outcomes, GateRules(), deterministic=True))
