"""What `--upskill-runs=auto` costs and how often it is wrong: exact enumeration and simulation, seeded.

    python benchmarks/auto_runs.py [--gates 8000] [--seed 1]

Claims of a lift are enumerated, with nothing but a claim to end the rounds: the worst that there can be. All else is
simulated by a copy of the rule over arrays of gates, which is first held against the package's own on random gates.
Needs numpy. About four minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import comb
from pathlib import Path
from typing import Any, TypeAlias

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks import common
from pytest_upskill.verdicts.gate import GateRules
from pytest_upskill.verdicts.intervals import lift_interval, smallest_lift, upper_bound_below
from pytest_upskill.verdicts.stopping import Standing, claim_confidence, look, looks
from pytest_upskill.verdicts.verdict import CaseCount

Array: TypeAlias = "np.ndarray[Any, Any]"
Rates: TypeAlias = "Sequence[float] | Array"
TARGET = Fraction(4, 5)
MIN_DROP = Fraction(1, 50)
IN_SIGHT = {False: (0.40, 0.20, 0.05), True: (0.25, 0.075, 0.02)}
NO_SIGN = (0.35, 0.2, 0.1)
# What is rejected before the last round must be so at a fiftieth of the level.
EARLY = 50


@dataclass(frozen=True)
class Setting:
    """Rates of each case (new skill, none, old skill; the last one empty where there is no such arm) and the rule."""

    new: Rates
    without: Rates
    old: Rates
    most: int = 5
    target: Fraction | None = None


@dataclass(frozen=True)
class Ends:
    """Of each gate: rounds made and those it was decided at, the lift's direction, and the p's it is judged by."""

    rounds: Array
    decided: Array
    word: Array
    hurts: Array
    regressed: Array


@cache
def helps_from(n: int, confidence: float) -> Array:
    """Return, for 0 to n hits without the skill, the fewest with it that show a lift; n + 1 where none do."""
    found, needed = [], 0
    for without in range(n + 1):
        needed = max(needed, without)
        while needed <= n and lift_interval(needed, n, without, n, confidence=confidence)[0] <= 0.0:
            needed += 1
        found.append(needed)
    return np.array(found)


@cache
def strata(runs: int, size: int) -> tuple[Array, Array]:
    """Return, by the hits of both arms of a case, the log of its transform, and its p by the hits of the new arm."""
    mass, tail = np.zeros((2 * runs + 1, size)), np.ones((2 * runs + 1, runs + 1))
    for hits in range(2 * runs + 1):
        fewest = max(0, hits - runs)
        ways = [comb(runs, k) * comb(runs, hits - k) for k in range(fewest, min(hits, runs) + 1)]
        mass[hits, : len(ways)] = np.array(ways) / sum(ways)
        tail[hits, fewest : fewest + len(ways)] = np.cumsum(ways) / sum(ways)
    waves = np.fft.rfft(mass, axis=1)
    return np.log(np.where(abs(waves) < 1e-60, 1e-60, waves)), tail


def gate_p(new: Array, old: Array, runs: int) -> Array:
    """Return `stratified.gate_p` of many gates (rows) at once, each of as many cases (columns)."""
    cases, hits = new.shape[1], new + old
    size = 2 ** max(1, (cases * runs).bit_length())
    waves, tail = strata(runs, size)
    kinds = np.stack([(hits == kind).sum(1) for kind in range(2 * runs + 1)], axis=1)
    mass = np.fft.irfft(np.exp(kinds @ waves), size, axis=1)
    above, row = (new - np.maximum(0, hits - runs)).sum(1), np.arange(len(new))
    suite = 1.25 * np.clip(np.cumsum(mass, axis=1)[row, above] - mass[row, above] / 2, 0, 1)
    lost = (old - new).sum(1) * MIN_DROP.denominator
    suite[lost < MIN_DROP.numerator * cases * runs] = 1.0
    found: Array = np.minimum(1.0, np.minimum(suite, 5 * cases * tail[hits, new].min(1)))
    return found


@cache
def rate_answers(cases: int, done: int, most: int, target: Fraction) -> Array:
    """Return, by the hits with the skill, whether `min_pass_rate` is answered well (1), badly (-1) or open (0)."""
    n, rest, found = cases * done, cases * (most - done), []
    tails = np.cumsum(binomial(n, float(target)))
    for hits in range(n + 1):
        if tails[hits] > 0.25 or not upper_bound_below(hits, n + rest, target):
            found.append(1)
        else:
            found.append(-1 if tails[hits] < 0.001 or upper_bound_below(hits + rest, n + rest, target) else 0)
    return np.array(found)


def binomial(n: int, rate: float) -> Array:
    """Return the chances of 0 to n hits."""
    return np.array([comb(n, k) * rate**k * (1.0 - rate) ** (n - k) for k in range(n + 1)])


def simulated(setting: Setting, gates: int, random: np.random.Generator) -> Ends:
    """Play gates to their ends."""
    rates = [np.array(arm) for arm in (setting.new, setting.without, setting.old) if len(arm)]
    hits = [np.zeros((gates, len(setting.new)), int) for _ in rates]
    ends = Ends(*(np.zeros(gates, int) for _ in range(3)), *(np.ones(gates) for _ in range(2)))
    live, before = np.arange(gates), 0
    for done in looks(setting.most):
        for arm, rate in zip(hits, rates, strict=True):
            arm[live] += random.binomial(done - before, rate, (len(live), len(rate)))
        live, before = live[looked(setting, done, [arm[live] for arm in hits], live, ends)], done
    return ends


def looked(setting: Setting, done: int, hits: Sequence[Array], live: Array, ends: Ends) -> Array:
    """Look at the gates that are live, note what ends, and tell which go on."""
    new, without = (arm.sum(1) for arm in hits[:2])
    n, last = len(setting.new) * done, done == setting.most
    needed = helps_from(n, claim_confidence(setting.most))
    word = (new >= needed[without]).astype(int) - (without >= needed[new])
    bound = IN_SIGHT[len(hits) > 2][min(done, 3) - 1]
    in_sight = (word == 0) & (new >= helps_from(n, 1.0 - 2.0 * bound)[without])
    ps = [gate_p(hits[0], arm, done) for arm in hits[1:]]
    fine, failed = np.ones(len(live), bool), np.zeros(len(live), bool)
    for p, arm in zip(ps, hits[1:], strict=True):
        rest = setting.most - done
        fine &= (p > NO_SIGN[min(done, 3) - 1]) | (gate_p(hits[0], arm + rest, setting.most) > 0.05)
    if setting.target is not None:
        answer = rate_answers(len(setting.new), done, setting.most, setting.target)[new]
        fine, failed = fine & (answer == 1), answer == -1
    settled = (ends.decided[live] == 0) & (fine | failed | last)
    for found, p in zip((ends.hurts, ends.regressed), ps, strict=False):
        found[live[settled]] = p[settled] if last else np.minimum(1.0, EARLY * p[settled])
    ends.decided[live[settled]] = done
    over = (ends.decided[live] > 0) & (~in_sight | last)
    ends.rounds[live[over]], ends.word[live[over]] = done, word[over]
    going: Array = ~over
    return going


def agrees(gates: int, random: np.random.Generator) -> int:
    """Hold the copy against the package on random gates; return how many looks were compared."""
    compared = 0
    for number in range(gates):
        cases, most = int(random.integers(1, 25)), int(random.choice([2, 3, 5, 10]))
        rates = random.uniform(0, 1, (3, cases)) ** random.choice([0.3, 1.0, 3.0])
        arms = rates if number % 2 else rates[:2]
        target = TARGET if number % 3 else None
        setting = Setting(rates[0], rates[1], rates[2] if number % 2 else (), most, target)
        hits, before, decided = [np.zeros((1, cases), int) for _ in arms], 0, None
        ends, live = (
            Ends(*(np.zeros(1, int) for _ in range(3)), *(np.ones(1) for _ in range(2))),
            np.arange(1),
        )
        for done in looks(most):
            new = [random.binomial(done - before, rate, (1, cases)) for rate in arms]
            hits = [arm + more for arm, more in zip(hits, new, strict=True)]
            counts = [
                CaseCount(str(i), *(value for arm in hits for value in (int(arm[0, i]), done)))
                for i in range(cases)
            ]
            ours = look(Standing(done, most, counts, GateRules(min_pass_rate=target), True, decided))
            goes_on = bool(looked(setting, done, hits, live, ends)[0])
            if (ours.go_on > done) != goes_on or (ours.decided or 0) != ends.decided[0]:
                raise SystemExit(f"the copy of the rule differs after {done} of {most} rounds: {counts}")
            compared, before, decided = compared + 1, done, ours.decided
            if not goes_on:
                break
    return compared


def claims(cases: int, most: int, rate: float) -> float:
    """Return exactly how often two arms of one rate are said to differ at any look."""
    states, before, claimed = np.ones((1, 1)), 0, 0.0
    for done in looks(most):
        mass = binomial((done - before) * cases, rate)
        states = np.apply_along_axis(np.convolve, 0, states, mass)
        states = np.apply_along_axis(np.convolve, 1, states, mass)
        n, before = done * cases, done
        needed = helps_from(n, claim_confidence(most))
        helps = np.arange(n + 1)[:, None] >= needed[None, :]
        claimed += states[helps | helps.T].sum()
        states[helps | helps.T] = 0.0
    return claimed


def show_claims() -> None:
    """Print the worst chance of a false claim."""
    print(
        "\nfalse claims of helps or hurts over all looks, exact, the worst rate and number of cases (at most 5 %)"
    )
    rates = [0.05, 0.1, 0.2, 0.3, 0.35, 0.4, 0.42, 0.44, 0.46, 0.48, 0.5]
    for most in (1, 2, 3, 4, 5, 6, 8, 10, 20, 40):
        sizes = [cases for cases in (*range(1, 31), 40, 50) if cases * most <= 400]
        found = max((claims(cases, most, rate), cases, rate) for cases in sizes for rate in rates)
        confidence = 100 * claim_confidence(most)
        print(
            f"  at most {most:>2} runs, {len(looks(most))} looks at {confidence:.2f} %: {100 * found[0]:.2f} % "
            f"({found[1]} cases at {found[2]}; cases up to {sizes[-1]})"
        )


def unchanged(lift: float) -> Iterator[tuple[str, Sequence[float], Sequence[float]]]:
    """Yield mixes of cases: their name, their rates with the skill and without."""
    for cases in (5, 10, 20, 50):
        for rate in (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95):
            if rate + lift <= 1.0:
                yield f"{cases} cases, {rate}", [rate + lift] * cases, [rate] * cases
        for share in (0.3, 0.5, 0.8):
            low = [0.95 if i < round(share * cases) else 0.05 for i in range(cases)]
            high = [min(0.95, rate + lift) for rate in low]
            yield f"{cases} cases, {share} of them 0.95, the others 0.05", high, low


def show_unchanged(gates: int, random: np.random.Generator) -> None:
    """Print the false alarms and the runs where nothing changed."""
    print(
        "\nnothing changed: false alarms (Holm over the gate's own questions; at most 5 %), runs a case\n"
        "(of skills that exceed their target; the rates of the cases are 0.05 to 0.95, and mixes of 0.05 and 0.95)"
    )
    for most in (3, 5, 10):
        for old, lift in ((False, 0.0), (True, 0.0), (True, 0.3)):
            for target in (None, TARGET):
                found = []
                for name, new, without in unchanged(lift):
                    setting = Setting(new, without, new if old else (), most, target)
                    ends = simulated(setting, gates, random)
                    alarm = np.sort(np.stack([ends.hurts, ends.regressed], axis=1), axis=1)
                    level = 0.025 if old else 0.05
                    wrong = ((alarm[:, 0] <= level) | (alarm[:, 1] <= 0.05 if old else False)).mean()
                    met = target is None or sum(new) / len(new) >= target + Fraction(4, 100)
                    found.append((wrong, name, ends.rounds.mean() if met else 0.0, (ends.word != 0).mean()))
                arms = f"{'3 arms' if old else '2 arms'}, lift {lift}, target {target or 'none'}"
                runs = [row[2] for row in found if row[2]]
                print(
                    f"  at most {most:>2} runs, {arms}: alarms {100 * max(found)[0]:.1f} % ({max(found)[1]}); "
                    f"runs {np.mean(runs):.2f} on average, {max(runs):.2f} at most"
                    + (f"; false claims {100 * max(row[3] for row in found):.1f} %" if not lift else "")
                )


def show_published(gates: int, random: np.random.Generator) -> None:
    """Print what a claim costs at published rates, against fixed numbers of samples of the same power."""
    print("\n20 cases, target 0.8: what it takes to claim that the skill helps (at most 60 % of the calls)")
    for low, high in ((0.40, 0.85), (0.60, 0.95), (0.50, 0.80), (0.80, 0.95)):
        setting = Setting([high] * 20, [low] * 20, (), 5, TARGET)
        ends = simulated(setting, 4 * gates, random)
        power, runs = (ends.word == 1).mean(), ends.rounds.mean()
        n = next(n for n in range(4, 300) if fixed_power(n, low, high) >= power)
        whole = -(-n // 20)
        print(
            f"  {low:.2f} -> {high:.2f}: claimed in {100 * power:.2f} % with {runs:.2f} runs; a fixed design takes "
            f"{n} samples ({n / 20:.2f} runs: {100 * runs * 20 / n:.0f} %), in whole runs {whole} "
            f"({100 * runs / whole:.0f} %)"
        )


def fixed_power(n: int, low: float, high: float) -> float:
    """Return how often n samples an arm show the lift at 95 %, exactly."""
    reached = np.append(binomial(n, high)[::-1].cumsum()[::-1], 0.0)
    return float((binomial(n, low) * reached[helps_from(n, 0.95)]).sum())


def show_saturated(gates: int, random: np.random.Generator) -> None:
    """Print how a skill ends that a model does not need."""
    ends = simulated(Setting([0.95] * 20, [0.95] * 20, (), 5, TARGET), 4 * gates, random)
    passed = (ends.word == 0) & (ends.hurts > 0.05)
    print(
        f"\n0.95 -> 0.95, 20 cases, target 0.8: {100 * passed.mean():.1f} % end passed, lift not settled; "
        f"{ends.rounds.mean():.2f} runs"
    )
    for done in looks(5):
        smallest = smallest_lift(20 * done, confidence=claim_confidence(5)) or 1.0
        print(
            f"  after {done} run(s), {100 * (ends.rounds == done).mean():.1f} %: {20 * done} samples an arm reliably "
            f"show lifts above {100 * smallest:.0f} points"
        )


def show_changed(gates: int, random: np.random.Generator) -> None:
    """Print how often a fall is found, and what that takes, against all five runs."""
    print("\n20 cases at 0.8 before, no target, without the skill 0.3: how often a fall is found (p <= 0.05)")
    for rate in (0.7, 0.6, 0.5, 0.3):
        setting = Setting([rate] * 20, [0.3] * 20, [0.8] * 20)
        ends = simulated(setting, gates, random)
        now, before = (random.binomial(5, p, (gates, 20)) for p in (rate, 0.8))
        fixed = (gate_p(now, before, 5) <= 0.05).mean()
        found = (ends.regressed <= 0.05).mean()
        print(
            f"  now {rate}: {100 * found:.1f} % with {ends.rounds.mean():.2f} runs, {100 * fixed:.1f} % with five"
        )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Auto runs: error rates and costs")
    parser.add_argument("--gates", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    print(common.machine())
    print(f"the copy of the rule agrees with the package at {agrees(400, random)} looks")
    show_published(options.gates, random)
    show_saturated(options.gates, random)
    show_changed(options.gates, random)
    show_claims()
    show_unchanged(options.gates, random)


if __name__ == "__main__":
    main()
