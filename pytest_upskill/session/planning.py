"""The plan of a run: drawn up before the first call, and held against what the run may spend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_upskill.calls.estimate import Estimate, Estimator
from pytest_upskill.calls.keys import endpoint_of
from pytest_upskill.calls.prices import in_dollars
from pytest_upskill.protocols import BatchProvider
from pytest_upskill.reports.plan import Load, Plan, make_plan
from pytest_upskill.reports.words import counted
from pytest_upskill.session.rounds import first_look
from pytest_upskill.suite.matrix import Gate, Sample
from pytest_upskill.types import Arm, Case, Model

if TYPE_CHECKING:
    from pytest_upskill.calls.measure import Requests
    from pytest_upskill.calls.store import History
    from pytest_upskill.session.calling import Calling
    from pytest_upskill.session.library import Library

_MEND = "raise it, or run less (-k, --upskill-models, --upskill-runs); --upskill-plan shows what takes what"
_ROUNDING = 1e-9  # US dollars; six times 0.05 is more than 0.3


class Planner:
    """Draws up the plan of a run. Makes no call and no file.

    Args:
        library: settings, models and providers.
        requests: what samples send.
        calling: the store, the recordings and the prices.
        further: how many calls a gate may take beyond its own, at most.
    """

    def __init__(
        self,
        library: Library,
        requests: Requests,
        calling: Calling,
        further: Callable[[Gate], int],
    ) -> None:
        self._library = library
        self._requests = requests
        self._calling = calling
        self._further = further
        self._estimator = Estimator(calling.prices, self._history, library.file.accounts)
        self._letters: dict[tuple[Case, Arm], int] = {}
        self._drawn: tuple[tuple[int, int], Plan] | None = None

    def plan(self, wanted: Sequence[Sample], gates: Sequence[Gate]) -> Plan:
        """Say what is to be measured, what of it is there, and what the rest will take.

        Raises:
            UpskillError: a prompt cannot be made, or the store or a recording cannot be read.
        """
        size = (len(wanted), len(gates))
        if self._drawn is None or self._drawn[0] != size:  # what is selected only grows
            self._drawn = size, self._plan(wanted, gates)
        return self._drawn[1]

    def refusal(self, plan: Plan) -> str | None:
        """Return the sentence that ends a run whose plan is above its budget; None where it is not."""
        settings = self._library.settings
        if not plan.calls or not plan.rest:
            return None
        if settings.max_calls is not None and plan.rest > settings.max_calls:
            needed = f"it needs {counted(plan.rest, 'call')}, and {settings.max_calls} may be made"
            return f"the plan is above --upskill-max-calls: {needed}: {_MEND}"
        if settings.budget is None:
            return None
        if plan.unpriced:
            return self._unpriced(plan.unpriced)
        if plan.cost > settings.budget + _ROUNDING:
            cost, most = in_dollars(plan.cost), in_dollars(settings.budget)
            costs = f"{counted(plan.rest, 'call')} cost about {cost}, and {most} may be spent"
            return f"the plan is above --upskill-budget: {costs}: {_MEND}"
        return None

    def _unpriced(self, names: Sequence[str]) -> str:
        first, last = ", ".join(names[:-1]), names[-1]
        whose = f"the prices of {first} and {last} are" if first else f"the price of {last} is"
        mend = self._calling.prices.mend(*(model for model in self._library.models if model.name in names))
        return f"{whose} unknown, so --upskill-budget cannot be held: {mend}"

    def _plan(self, wanted: Sequence[Sample], gates: Sequence[Gate]) -> Plan:
        due = _due(wanted, gates)
        return replace(self._of(due, gates), rounds=self._later(wanted, due))

    def _later(self, wanted: Sequence[Sample], due: Sequence[Sample]) -> int:
        """Return how many calls rounds take that are made only where they are needed."""
        if len(wanted) == len(due):
            return 0
        first = self._asked(due)
        later = {key: sample for key, sample in self._asked(wanted).items() if key not in first}
        recorded, stored = self._calling.there(later)
        return len(later.keys() - recorded - stored)

    def _asked(self, wanted: Sequence[Sample]) -> dict[bytes, Sample]:
        asked: dict[bytes, Sample] = {}
        for sample in wanted:
            if not sample.case.skip:
                asked.setdefault(self._requests.key(sample), sample)
        return asked

    def _of(self, wanted: Sequence[Sample], gates: Sequence[Gate]) -> Plan:
        asked = self._asked(wanted)
        recorded, stored = self._calling.there(asked)
        batched = (self._handed_in() & asked.keys()) - recorded - stored
        missing: dict[tuple[str, str], list[Sample]] = {}
        for key in asked.keys() - recorded - stored - batched:
            missing.setdefault(_row(asked[key]), []).append(asked[key])
        there = [Counter(_row(asked[key]) for key in keys) for keys in (recorded, stored, batched)]
        loads = [
            Load(*row, samples, there[0][row], there[1][row], self._rest(missing.get(row, [])), there[2][row])
            for row, samples in Counter(map(_row, wanted)).items()
        ]
        return make_plan(
            wanted,
            gates,
            loads,
            lambda name: self._library.providers[name].deterministic,
            seconds=self._seconds(loads),
            calls=self._library.settings.cache != "replay",
            reads=self._library.settings.cache in ("auto", "replay"),
            further=sum(map(self._further, gates)),
        )

    def _handed_in(self) -> set[bytes]:
        """Return the keys of all requests in batches that earlier runs have handed in, and that this one will read."""
        store, settings = self._calling.store, self._library.settings
        if store is None or not settings.batch or settings.cache == "replay":
            return set()
        models = [
            model
            for model in self._library.models
            if isinstance(self._library.providers[model.name], BatchProvider)
        ]
        batches = [batch for model in models for batch in store.open_batches(endpoint_of(model))]
        return set[bytes]().union(*(batch.keys for batch in batches))

    def _rest(self, missing: Sequence[Sample]) -> Estimate:
        if not missing or self._library.settings.cache == "replay":
            return Estimate(len(missing))
        model = missing[0].model
        return self._estimator.calls(model, map(self._length, missing), self._discount(model))

    def _length(self, sample: Sample) -> int:
        # Every model is sent the same.
        place = (sample.case, sample.arm)
        found = self._letters.get(place)
        if found is None:
            prompt = self._requests.prompt(sample)
            found = self._letters[place] = len(prompt.system) + len(prompt.user)
        return found

    def _discount(self, model: Model) -> float | None:
        provider = self._library.providers[model.name]
        if self._library.settings.batch and isinstance(provider, BatchProvider):
            return provider.batch_discount
        return None

    def _history(self, model: Model) -> History | None:
        store = self._calling.store
        return None if store is None else store.history(endpoint_of(model))

    def _seconds(self, loads: Iterable[Load]) -> float | None:
        """Return how long all calls take, each model's beside the others; None where that is not known of one."""
        amounts: list[tuple[Model, int, int]] = []
        models = {model.name: model for model in self._library.models}
        for name, model in models.items():
            rests = [load.rest for load in loads if load.model == name and load.rest.calls]
            if not rests or self._library.providers[name].deterministic:
                continue
            if any(rest.batched for rest in rests):
                return None
            tokens = sum(rest.input_tokens + rest.output_tokens for rest in rests)
            amounts.append((model, sum(rest.calls for rest in rests), tokens))
        times = [self._estimator.seconds(*amount) for amount in amounts]
        known = [seconds for seconds in times if seconds is not None]
        return max(self._estimator.shared(amounts), *known, 0.0) if len(known) == len(times) else None


def _due(wanted: Sequence[Sample], gates: Sequence[Gate]) -> Sequence[Sample]:
    """Return the samples that are measured whatever comes of the others."""
    first = {(gate.suite, gate.model.name): first_look(gate) for gate in gates if gate.auto}
    if not first:
        return wanted
    return [
        sample for sample in wanted if sample.run <= first.get((sample.suite, sample.model.name), sample.run)
    ]


def _row(sample: Sample) -> tuple[str, str]:
    return sample.suite.skill.name, sample.model.name
