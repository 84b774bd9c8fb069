"""The A/A run: how often rules raise false alarms over the replies of a skill, on the terminal and in results.json."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from pytest_upskill.errors import one_line
from pytest_upskill.reports.table import Line, Shape, laid_out
from pytest_upskill.reports.words import counted, wrapped
from pytest_upskill.suite.matrix import Gate
from pytest_upskill.types import JSON
from pytest_upskill.verdicts.family import LEVEL
from pytest_upskill.verdicts.resampling import Family, Rates, Sampled
from pytest_upskill.verdicts.result import GateResult
from pytest_upskill.verdicts.splits import NAIVE_DROP, Pool
from pytest_upskill.verdicts.wording import percents

# Of the random splits: the same replies yield the same figures.
SEED = 1
_SHAPE = Shape(
    ("skill", "model", "cases", "runs", "hits", "gate", "any case lost", "drop > 5 points"),
    ("skill", "model"),
    ("hits", "runs", "cases"),
)
_LEGEND = (
    "false alarms: how often a rule calls this skill worse than itself, over all ways to split the replies of each "
    "case into old and new runs. gate: this plugin's own test, at 5 %. any case lost: some case hits less often "
    "than before. drop > 5 points: the hit rate falls by more than that"
)
_NARROWEST = 40
_MOST_NAMES = 5


@dataclass(frozen=True, slots=True)
class Trial:
    """A skill on a model against itself.

    Attributes:
        gate: which; its runs are those of both halves.
        deterministic: the model has no noise, and nothing is split.
        hits: how many of the replies hit, equal replies of one case taken once.
        replies: how many there are.
        pools: the cases whose replies can be split.
        repeated: the cases with equal replies, and the runs of each half that are left of them.
        p: the gate's, of the first half of the runs against the second; None where there is nothing to split.
        rates: of false alarms; None where there is no noise.
    """

    gate: Gate
    deterministic: bool
    hits: int
    replies: int
    pools: tuple[Pool, ...] = ()
    repeated: tuple[tuple[str, int], ...] = ()
    p: Fraction | None = None
    rates: Rates | None = None

    @property
    def place(self) -> str:
        return one_line(f"{self.gate.suite.skill.name} on {self.gate.model.name}")

    @property
    def alarmed(self) -> bool:
        """Tell whether the split as it was raised an alarm, were its gate the only one."""
        return self.p is not None and self.p <= LEVEL


@dataclass(frozen=True, slots=True)
class Trials:
    """All of a run; `family` is None where no model has noise."""

    of: tuple[Trial, ...]
    family: Family | None

    def trial(self, gate: Gate) -> Trial | None:
        return next((trial for trial in self.of if trial.gate is gate), None)


def aa_lines(
    trials: Trials, results: Sequence[GateResult], width: int, *, brief: bool = False
) -> Iterator[Line]:
    """Yield the table, what is to be said of its rows, and the sentence on the family.

    Args:
        trials: of the gates that were measured whole.
        results: of all gates of which something was selected.
        width: in columns.
        brief: leave notes out.
    """
    said: list[str] = []
    if trials.of:
        yield from laid_out([_cells(trial) for trial in trials.of], _SHAPE, width)
        said += [] if brief else [_LEGEND, *_notes(trials.of)]
    said += [] if brief else _missing(trials, results)
    if trials.family is not None:
        said += _family(trials.family, trials.of)
    for sentence in said:
        yield from (Line(text) for text in wrapped(one_line(sentence), max(width, _NARROWEST), "", "  "))


def aa_data(trial: Trial | None) -> JSON:
    """Return what results.json says of one skill on one model."""
    if trial is None:
        return None
    return {
        "runs": _half(trial),
        "hits": trial.hits,
        "replies": trial.replies,
        "cases": [
            {"case": pool.case, "runs": pool.runs, "old_hits": pool.old_hits, "new_hits": pool.new_hits}
            for pool in trial.pools
        ],
        "repeated": [name for name, _ in trial.repeated],
        "p": None if trial.p is None else float(trial.p),
        "alarmed": trial.alarmed,
        "false_alarms": _rates_data(trial.rates),
    }


def family_data(trials: Trials | None) -> JSON:
    """Return what results.json says of the gates of an A/A run together."""
    if trials is None or trials.family is None:
        return None
    family = trials.family
    return {
        "gates": family.gates,
        "alarmed": family.rejected,
        "seed": SEED,
        "false_alarms": _rates_data(family.rates),
    }


def _rates_data(rates: Rates | None) -> JSON:
    if rates is None:
        return None
    return {
        "gate": None if rates.alarms is None else float(rates.alarms),
        "sampled": {
            "splits": rates.sampled.times,
            "alarms": rates.sampled.count,
            "interval95": list[JSON](rates.sampled.interval),
        },
        "any_case_lost": float(rates.any_lost),
        "drop_above_5_points": float(rates.dropped),
    }


def _half(trial: Trial) -> int:
    return trial.gate.runs if trial.deterministic else trial.gate.runs // 2


def _cells(trial: Trial) -> dict[str, str]:
    rates, runs = trial.rates, str(_half(trial))
    return {
        "skill": one_line(trial.gate.suite.skill.name),
        "model": one_line(trial.gate.model.name),
        "cases": str(len({sample.case for sample in trial.gate.samples if not sample.case.skip})),
        "runs": runs if trial.deterministic else f"{runs}+{runs}",
        "hits": percents(Fraction(trial.hits, trial.replies))[0].replace(" ", "") if trial.replies else "-",
        "gate": "0" if rates is None else _alarms(rates),
        "any case lost": "0" if rates is None else _tight(rates.any_lost),
        "drop > 5 points": "0" if rates is None else _tight(rates.dropped),
    }


def _alarms(rates: Rates) -> str:
    return f"~{_tight(rates.sampled.rate)}" if rates.alarms is None else _tight(rates.alarms)


def _notes(trials: Iterable[Trial]) -> Iterator[str]:
    for trial in trials:
        if trial.deterministic:
            yield f"{trial.place}: no noise, so there is nothing to split: 0 by definition"
            continue
        if trial.repeated:
            cases = counted(len(trial.repeated), "case")
            yield f"{trial.place}: {cases} got one reply in several runs, counted as one run: {_left(trial)}"
        if trial.rates is None or not trial.pools:
            continue
        if trial.rates.alarms is None:
            yield f"{trial.place}: the rate of the gate is sampled: {_sample(trial.rates.sampled)}"
        elif trial.rates.alarms > LEVEL:
            yield (
                f"{trial.place}: above 5 % for these very replies; over all that the model may give, the gate stays "
                "below it"
            )
        elif not trial.rates.alarms:
            yield (
                f"{trial.place}: no split of these replies raises an alarm: they are too few, or too few of its "
                "cases both hit and miss"
            )


def _missing(trials: Trials, results: Iterable[GateResult]) -> Iterator[str]:
    for result in results:
        if trials.trial(result.gate) is None:
            why = "partial, as its gate was not selected" if result.decision is None else result.decision.word
            place = f"{result.gate.suite.skill.name} on {result.gate.model.name}"
            yield f"{place}: {why}: nothing was split"


def _left(trial: Trial) -> str:
    names = [
        f"{name} ({runs}+{runs} left)" if runs else f"{name} (nothing to split)"
        for name, runs in trial.repeated[:_MOST_NAMES]
    ]
    more = len(trial.repeated) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _family(family: Family, trials: Sequence[Trial]) -> Iterator[str]:
    rates = family.rates
    exact = "" if rates.alarms is None else f"{_percent(rates.alarms)} exactly; "
    yield (
        f"a false alarm in {_whole(family)}: {exact}{_sample(rates.sampled)}. any case lost: "
        f"{_percent(rates.any_lost)}; drop > {_points(NAIVE_DROP)} points: {_percent(rates.dropped)}"
    )
    known = [(trial.p, trial.place) for trial in trials if trial.p is not None]
    if not known:
        return
    p, place = min(known)
    alarms = counted(family.rejected, "false alarm") if family.rejected else "no false alarm"
    smallest = f"p = {float(p):.2g}" if len(known) == 1 else f"smallest p = {float(p):.2g}, {place}"
    yield f"the split as it was, the first half of the runs against the second: {alarms} ({smallest})"


def _whole(family: Family) -> str:
    return "the run's one gate" if family.gates == 1 else f"any of the run's {family.gates} gates (Holm)"


def _sample(sampled: Sampled) -> str:
    low, high = sampled.interval
    return (
        f"{sampled.count} of {sampled.times} random splits, {_percent(sampled.rate)} "
        f"(95 % interval {_percent(Fraction(low))} to {_percent(Fraction(high))})"
    )


def _points(value: Fraction) -> str:
    return percents(value)[0].removesuffix(" %")


def _tight(rate: Fraction) -> str:
    return _percent(rate).replace(" ", "")


def _percent(rate: Fraction) -> str:
    """Return a rate with one decimal; what is not 0 or 100 % is not printed as that."""
    thousandths = int(rate * 1000 + Fraction(1, 2))
    if rate and not thousandths:
        return "<0.1 %"
    if rate < 1 and thousandths == 1000:
        return ">99.9 %"
    return f"{thousandths // 10}.{thousandths % 10} %".replace(".0 %", " %")
