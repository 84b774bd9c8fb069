"""Baselines in a test run: what a gate is compared with where no base is named, and what is saved at the end."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_upskill.errors import UpskillError
from pytest_upskill.reports.table import Line
from pytest_upskill.reports.words import counted
from pytest_upskill.suite.baseline import (
    CaseEntry,
    Entry,
    case_digest,
    path_of,
    read,
    skill_digest,
    without_cases_gone,
    write,
)
from pytest_upskill.suite.matrix import Gate, Sample, Suite
from pytest_upskill.suite.prompt import skill_block
from pytest_upskill.suite.text import shown
from pytest_upskill.types import WITHOUT, Case, Model, Outcome
from pytest_upskill.verdicts.result import GateResult
from pytest_upskill.verdicts.stratified import Stratum
from pytest_upskill.verdicts.tally import distinct
from pytest_upskill.verdicts.verdict import CaseCount

if TYPE_CHECKING:
    from pytest_upskill.session.library import Library


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a gate is compared with.

    Attributes:
        path: the file.
        date: the day (UTC) of its newest reply.
        reported: the model's id as the server reported it then.
        unchanged: a model gets the same of the skill today, so that there is nothing to test.
        cases: its counts of the cases that are the same today, by their ids.
        left_out: today's cases that are new since, or changed.
    """

    path: Path
    date: dt.date
    reported: str | None
    unchanged: bool
    cases: Mapping[str, CaseEntry]
    left_out: tuple[str, ...]

    def with_strata(self, counts: Iterable[CaseCount]) -> list[Stratum]:
        """Return the cases with the skill, then and today."""
        found = []
        for count in counts:
            if (then := self.cases.get(count.case)) is not None:
                old = (then.with_hits, then.with_runs)
                found.append(Stratum(count.case, *old, count.with_hits, count.with_runs))
        return found

    def without_strata(self, gate: Gate, outcomes: Mapping[Sample, Outcome]) -> list[Stratum]:
        """Return the cases without the skill, then and today, as far as they were measured anew.

        A reply that the baseline itself was made of, replayed today, tells nothing of the model of today.
        """
        today: dict[str, list[Outcome]] = {}
        for sample in gate.samples:
            outcome = outcomes.get(sample)
            if sample.arm == WITHOUT and outcome is not None and self._is_new(outcome):
                today.setdefault(sample.case.id, []).append(outcome)
        found = []
        for name, replies in today.items():
            if (then := self.cases.get(name)) is not None:
                runs = distinct(replies)
                hits = sum(outcome.hit for outcome in runs)
                found.append(Stratum(name, then.without_hits, then.without_runs, hits, len(runs)))
        return found

    def snapshot(self, gate: Gate, outcomes: Mapping[Sample, Outcome]) -> str | None:
        """Return what is said where the server reports another model than then."""
        now = _reported(_measured(gate, outcomes))
        if now is None or self.reported is None or now == self.reported:
            return None
        return f"the server now reports {now}, the baseline was made with {self.reported}"

    def _is_new(self, outcome: Outcome) -> bool:
        if outcome.reply is None or not outcome.measured:
            return False
        if not outcome.cached:
            return True
        day = _day(outcome)
        return day is not None and day > self.date


class Baselines:
    """The baselines that a run reads, each file once, and those that it saves.

    `lines` and `failures` are what `finish` has to say: a failure is a sentence about a file that could not be
    written.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._files: dict[Path, dict[str, Entry]] = {}
        self.lines: list[Line] = []
        self.failures: list[str] = []

    def check(self, gates: Iterable[Gate]) -> None:
        """Read what gates need before the first call; an A/A run needs nothing.

        Raises:
            SuiteError: a file cannot be read.
        """
        for gate in gates if not self._library.settings.aa else ():
            if gate.suite.old is None or self._library.settings.save_baseline:
                self._file(gate.suite.skill.root)

    def of(self, gate: Gate) -> Baseline | None:
        """Return what a gate is compared with; None where a base is named, or nothing was saved for its model.

        Raises:
            SuiteError: the file cannot be read.
        """
        suite = gate.suite
        if suite.old is not None:
            return None
        entry = self._file(suite.skill.root).get(gate.model.name)
        if entry is None or entry.model != _resolved(gate.model):
            return None
        same, left_out = {}, []
        for case in _cases(gate):
            there = entry.cases.get(case.id)
            if there is not None and there.digest == case_digest(case):
                same[case.id] = there
            elif not case.skip:
                left_out.append(case.id)
        return Baseline(
            path=path_of(suite.skill.root),
            date=entry.date,
            reported=entry.reported,
            unchanged=entry.skill == self._skill_digest(suite),
            cases=same,
            left_out=tuple(left_out),
        )

    def finish(self, results: Sequence[GateResult], outcomes: Mapping[Sample, Outcome]) -> None:
        """Save baselines, where that was asked for; else tell which was made with another model."""
        if not outcomes or self._library.settings.aa:
            return  # a run that was refused has nothing to say beyond why
        by_root: dict[Path, list[GateResult]] = {}
        for result in results:
            by_root.setdefault(result.gate.suite.skill.root, []).append(result)
        for root, own in by_root.items():
            try:
                if self._library.settings.save_baseline:
                    self.lines += [Line(f"baseline: {text}") for text in self._saved(root, own, outcomes)]
                else:
                    self.lines += [
                        Line(f"baseline: {text}", {"yellow": True}) for text in self._other_models(own)
                    ]
            except UpskillError as error:
                self.failures.append(f"baseline: {error}")

    def _file(self, root: Path) -> dict[str, Entry]:
        if root not in self._files:
            self._files[root] = read(root)
        return self._files[root]

    def _other_models(self, results: Iterable[GateResult]) -> Iterator[str]:
        for gate in (result.gate for result in results if result.decision is not None):
            if gate.suite.old is not None:
                continue
            entry = self._file(gate.suite.skill.root).get(gate.model.name)
            if entry is not None and entry.model != _resolved(gate.model):
                place = shown(path_of(gate.suite.skill.root))
                models = f"{gate.model.name} is {_resolved(gate.model)} now, and was {entry.model} then"
                yield f"{place}: not compared with: {models}; save it again with --upskill-save-baseline"

    def _saved(
        self, root: Path, results: Sequence[GateResult], outcomes: Mapping[Sample, Outcome]
    ) -> list[str]:
        # Read anew: another run may have saved meanwhile.
        before = read(root)
        ids = [case.id for file in results[0].gate.suite.files for case in file.cases]
        entries = {name: without_cases_gone(entry, ids) for name, entry in before.items()}
        said, saved = [], False
        for result in results:
            name = result.gate.model.name
            reason = self._why_not(result)
            if reason is None:
                saved = True
                entries[name] = _renewed(before.get(name), self._entry(result, outcomes))
                news = _news(before.get(name), entries[name])
                reason = f"{counted(len(entries[name].cases), 'case')} on {name} ({news})"
            else:
                reason = f"{name} is not saved: {reason}"
            said.append(f"{shown(path_of(root))}: {reason}")
        if saved:
            write(root, entries)
        return said

    def _why_not(self, result: GateResult) -> str | None:
        if result.decision is None:
            return "its gate was not selected"
        if not result.tally.complete:
            missing = len(result.tally.errors) + result.tally.pending
            return f"{counted(missing, 'sample')} {'was' if missing == 1 else 'were'} not measured"
        proven = any(each.proven for each in result.change.findings if each.question == "regressed")
        if proven or result.change.lost:
            # Where the ini file saves in each run, a fall would fail once and be forgotten.
            return "it regressed; to accept that, delete the file and save it again"
        return None if result.tally.counts else "no sample was measured"

    def _entry(self, result: GateResult, outcomes: Mapping[Sample, Outcome]) -> Entry:
        gate = result.gate
        cases = {case.id: case for case in _cases(gate)}
        measured = _measured(gate, outcomes)
        today = dt.datetime.now(dt.UTC).date()
        days = (_day(outcome) if outcome.cached else today for outcome in measured)
        return Entry(
            model=_resolved(gate.model),
            reported=_reported(measured),
            date=max((day for day in days if day is not None), default=today),
            skill=self._skill_digest(gate.suite),
            cases={
                count.case: CaseEntry(
                    case_digest(cases[count.case]),
                    count.with_hits,
                    count.with_runs,
                    count.without_hits,
                    count.without_runs,
                )
                for count in result.tally.counts
            },
        )

    def _skill_digest(self, suite: Suite) -> str:
        return skill_digest(
            skill_block(suite.skill, suite.first.inject), suite.skill.meta if self._library.whole else {}
        )


def _renewed(old: Entry | None, new: Entry) -> Entry:
    """Return the old entry where nothing but the day differs: what was measured again changes no file."""
    return old if old is not None and replace(old, date=new.date) == new else new


def _news(old: Entry | None, new: Entry) -> str:
    if old is None:
        return "new"
    if old == new:
        return "unchanged"
    there, now = old.cases, new.cases
    counts = {
        "new": len(now.keys() - there.keys()),
        "changed": sum(there[name] != now[name] for name in there.keys() & now.keys()),
        "gone": len(there.keys() - now.keys()),
    }
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "the same counts"


def _measured(gate: Gate, outcomes: Mapping[Sample, Outcome]) -> list[Outcome]:
    known = (outcomes.get(sample) for sample in gate.samples)
    return [outcome for outcome in known if outcome is not None and outcome.measured]


def _reported(outcomes: Iterable[Outcome]) -> str | None:
    """Return the model's id that most replies carry."""
    names = Counter(outcome.reply.model for outcome in outcomes if outcome.reply and outcome.reply.model)
    return min(names, key=lambda name: (-names[name], name), default=None)


def _day(outcome: Outcome) -> dt.date | None:
    """Return the day (UTC) on which a stored reply came, as far as it is known."""
    if outcome.reply is None or outcome.reply.date is None:
        return None
    return dt.datetime.fromtimestamp(outcome.reply.date, dt.UTC).date()


def _resolved(model: Model) -> str:
    return f"{model.provider}:{model.model}"


def _cases(gate: Gate) -> list[Case]:
    return list(dict.fromkeys(sample.case for sample in gate.samples))
