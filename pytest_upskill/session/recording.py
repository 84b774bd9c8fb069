"""Recordings in a test run: what is missing while it goes on, what is stale or was written at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_upskill.calls.measure import Requests
from pytest_upskill.calls.recording_lines import Recorded
from pytest_upskill.calls.recordings import Recordings, path_of, read, unrecorded, write
from pytest_upskill.errors import CallError, UpskillError
from pytest_upskill.reports.table import Line
from pytest_upskill.reports.words import counted
from pytest_upskill.session.commands import Commands
from pytest_upskill.session.library import Library
from pytest_upskill.suite.matrix import Gate, Sample
from pytest_upskill.suite.text import shown
from pytest_upskill.types import NOT_NEEDED, OLD, Outcome, Reply
from pytest_upskill.verdicts.result import GateResult

if TYPE_CHECKING:
    import pytest


class Recording:
    """What a run says of its recordings, and where it writes them.

    `lines` and `failures` are what `finish` has to say: an indented line is a command, which is not wrapped, and a
    failure a sentence about a file that could not be written.
    """

    def __init__(
        self, config: pytest.Config, library: Library, requests: Requests, recordings: Recordings
    ) -> None:
        self._library = library
        self._requests = requests
        self._commands = Commands(config, library)
        self._recordings = recordings
        self._missing: Counter[tuple[Path, str]] = Counter()
        self._sentences: dict[tuple[Path, str], str] = {}
        self.lines: list[Line] = []
        self.failures: list[str] = []

    @property
    def _reads(self) -> bool:
        return self._library.settings.cache in ("auto", "replay")

    def check(self, samples: Iterable[Sample]) -> None:
        """Read what is recorded for samples, before the first call: a broken line must not become a paid call.

        Raises:
            UpskillError: a file cannot be read.
        """
        if self._reads or self._library.settings.record:
            for root, model in {(sample.suite.skill.root, sample.model.name) for sample in samples}:
                self._recordings.entries(root, model)

    def unrecorded(self, sample: Sample) -> CallError:
        """Return the error of a sample whose reply is nowhere, where no call may be made. Any thread."""
        root, model = sample.suite.skill.root, sample.model
        recorded = self._recordings.any(root, model.name)
        error = unrecorded(model.name, self._commands.record(root, model), recorded=recorded)
        self._missing[root, model.name] += 1
        self._sentences[root, model.name] = str(error)
        return error

    def mend(self, result: GateResult) -> dict[str, str]:
        """Return by the model's name what mends a gate without recorded replies, unless its reasons say so."""
        gate = result.gate
        sentence = self._sentences.get((gate.suite.skill.root, gate.model.name))
        reasons = result.decision.reasons if result.decision else ()
        if sentence is None or any(sentence in reason for reason in reasons):
            return {}
        return {gate.model.name: sentence}

    def finish(self, gates: Sequence[Gate], outcomes: Mapping[Sample, Outcome]) -> None:
        """Write the recordings, where that was asked for; else tell what of them is stale or missing."""
        # A run that was refused has nothing to say beyond why.
        for gate in gates if outcomes else ():
            try:
                if self._library.settings.record:
                    self.lines.append(Line(self._written(gate, outcomes)))
                elif self._reads:
                    self.lines += (Line(text, {"yellow": True}) for text in self._read(gate))
            except UpskillError as error:
                self.failures.append(f"recordings: {error}")

    def _written(self, gate: Gate, outcomes: Mapping[Sample, Outcome]) -> str:
        root, model = gate.suite.skill.root, gate.model.name
        # Read anew: another run may have recorded meanwhile.
        before = {entry.key: entry for entry in read(root, model)}
        samples = self._samples(gate, before.values())
        fresh = dict(self._fresh(gate, outcomes))
        place = f"recordings: {shown(path_of(root, model))}"
        if not fresh:
            return f"{place}: not written: no sample was measured"
        left = {key: entry for key, entry in before.items() if key not in samples and _of_a_base(entry, gate)}
        kept = {key: entry.reply for key, entry in before.items() if key in samples or key in left}
        # The same reply leaves its line as it is, however long it took this time.
        fresh = {key: kept[key] if _alike(kept.get(key), reply) else reply for key, reply in fresh.items()}
        now = {**kept, **fresh}.items()
        write(root, model, (left.get(key) or _entry(samples[key], key, reply) for key, reply in now))
        needed = (sample for sample in gate.samples if _needed(outcomes.get(sample)))
        return f"{place}: {self._size(needed, {*kept, *fresh})} ({_news(before, kept, fresh)})"

    def _size(self, needed: Iterable[Sample], there: set[bytes]) -> str:
        wanted = {self._requests.key(sample) for sample in needed if not sample.case.skip}
        if wanted <= there:
            return counted(len(there), "reply", "replies")
        return f"{len(wanted & there)} of {counted(len(wanted), 'reply', 'replies')}"

    def _fresh(self, gate: Gate, outcomes: Mapping[Sample, Outcome]) -> Iterator[tuple[bytes, Reply]]:
        for sample in gate.samples:
            outcome = outcomes.get(sample)
            # A reply that could not be scored is one all the same: replayed, it is scored again.
            if outcome is not None and outcome.reply is not None:
                yield self._requests.key(sample), outcome.reply

    def _samples(self, gate: Gate, recorded: Iterable[Recorded]) -> dict[bytes, Sample]:
        """Return the first sample of the matrix for each key, with the runs beyond this run's that are recorded."""
        more = sorted({entry.run for entry in recorded if entry.run > gate.runs})
        found: dict[bytes, Sample] = {}
        for sample in gate.samples:
            found.setdefault(self._requests.key(sample), sample)
            for run in more if sample.run == 1 else ():
                further = replace(sample, run=run)
                found.setdefault(self._requests.key(further), further)
        return found

    def _read(self, gate: Gate) -> Iterator[str]:
        root, model = gate.suite.skill.root, gate.model
        entries = self._recordings.entries(root, model.name)
        samples = self._samples(gate, entries) if entries else {}
        stale = sum(entry.key not in samples and not _of_a_base(entry, gate) for entry in entries)
        missing = self._missing[root, model.name]
        if stale:
            place = shown(path_of(root, model.name))
            are = "is" if stale == 1 else "are"
            why = "(the skill, its cases or the model's settings changed since)"
            yield f"recordings: {stale} of {len(entries)} in {place} {are} stale {why}:"
        elif missing:
            are = "is" if missing == 1 else "are"
            place = f"{gate.suite.skill.name} on {model.name}"
            yield f"recordings: {counted(missing, 'reply', 'replies')} of {place} {are} neither recorded nor stored:"
        if stale or missing:
            yield f"  {self._commands.record(root, model)}"


def _of_a_base(entry: Recorded, gate: Gate) -> bool:
    # A run without --upskill-base knows of no old skill, and what a run with it recorded is not stale for that.
    if entry.arm != OLD or gate.suite.old is not None:
        return False
    return any(sample.case.id == entry.case for sample in gate.samples)


def _entry(sample: Sample, key: bytes, reply: Reply) -> Recorded:
    return Recorded(sample.case.id, sample.arm, sample.run, key, reply)


def _needed(outcome: Outcome | None) -> bool:
    return outcome is None or outcome.skip is None or not outcome.skip.startswith(NOT_NEEDED)


def _alike(one: Reply | None, other: Reply) -> bool:
    return one is not None and replace(one, latency=other.latency) == other


def _news(before: Mapping[bytes, Recorded], kept: Mapping[bytes, Reply], fresh: Mapping[bytes, Reply]) -> str:
    new = sum(key not in before for key in fresh)
    changed = sum(key in kept and kept[key] != reply for key, reply in fresh.items())
    counts = {"new": new, "changed": changed, "stale removed": len(before) - len(kept)}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "unchanged"
