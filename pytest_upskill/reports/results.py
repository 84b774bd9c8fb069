"""results.json: everything that a run found out, in a versioned format of its own JSON Schema."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

from pytest_upskill.reports.aa import Trials, aa_data, family_data
from pytest_upskill.reports.against import change_data
from pytest_upskill.reports.choice import choice_data
from pytest_upskill.reports.health import case_data, health_data
from pytest_upskill.reports.redaction import public_path, public_text, public_url, without_secrets
from pytest_upskill.reports.samples import sample_data
from pytest_upskill.reports.stages import rates_data
from pytest_upskill.reports.terminal import READER_NOTE
from pytest_upskill.suite.matrix import Gate, Sample, Suite
from pytest_upskill.types import JSON, Model, Outcome, Price
from pytest_upskill.verdicts.choice import Choice
from pytest_upskill.verdicts.result import GateResult

SCHEMA_VERSION = 1
FILE = "results.json"


@dataclass(frozen=True, slots=True)
class RunData:
    """What a document is made of.

    `started` is in seconds since the epoch; the run took `seconds`. `spent` is in US dollars, None where a price is
    unknown. `retries` are calls that were made again, `refusals` those that a server refused as too many. `choices` has
    the skills of which there is a choice of models, `extras` the samples that gates took beyond their own. `seed` is
    the kernels', in hexadecimal digits, where it was used.
    """

    rootdir: Path
    started: float
    seconds: float
    cache: str
    calls: int
    models: Sequence[Model]
    deterministic: Mapping[str, bool]
    results: Sequence[GateResult]
    outcomes: Mapping[Sample, Outcome]
    down: Mapping[str, str]
    spent: float | None = None
    retries: int = 0
    refusals: int = 0
    prices: Mapping[str, Price | None] = field(default_factory=dict)
    choices: Mapping[Suite, Choice] = field(default_factory=dict)
    aa: Trials | None = None
    extras: Mapping[Gate, Sequence[Sample]] = field(default_factory=dict)
    seed: str | None = None


def document(run: RunData) -> dict[str, JSON]:
    """Return the document of results.json."""
    suites = list(dict.fromkeys(result.gate.suite for result in run.results))
    return {
        "schema_version": SCHEMA_VERSION,
        "run": _run(run),
        "models": [_model(model, run) for model in run.models],
        "skills": [_skill(suite, run) for suite in suites],
        "samples": [
            sample_data(sample, run.outcomes[sample], run.rootdir)
            for suite in suites
            for result in run.results
            if result.gate.suite is suite
            for sample in (*result.gate.samples, *run.extras.get(result.gate, ()))
            if sample in run.outcomes
        ],
        "results": [
            _result(result, run.rootdir)
            | {"stages": rates_data(result, run.outcomes)}
            | {"aa": aa_data(run.aa.trial(result.gate) if run.aa else None)}
            for result in run.results
        ],
    }


def write(results: dict[str, JSON], folder: Path) -> None:
    """Write results.json into a folder."""
    text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
    # A reply may hold half a surrogate pair: the escape is the one that JSON has for it.
    (folder / FILE).write_text(text, encoding="utf-8", errors="backslashreplace")


def schema() -> dict[str, JSON]:
    """Return the JSON Schema of results.json."""
    text = Path(__file__).with_name("results.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, JSON] = json.loads(text)
    return loaded


def _run(run: RunData) -> dict[str, JSON]:
    import pytest

    import pytest_upskill

    return {
        "plugin": pytest_upskill.__version__,
        "pytest": pytest.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "started": datetime.fromtimestamp(run.started, UTC).isoformat(timespec="seconds"),
        "seconds": round(run.seconds, 3),
        "git_commit": _git_commit(run.rootdir),
        "cache": run.cache,
        "calls": run.calls,
        "retries": run.retries,
        "refusals": run.refusals,
        "spent": run.spent,
        "cost": _cost(run.outcomes.values()),
        "aa": family_data(run.aa),
        "kernel_seed": run.seed,
    }


def _cost(outcomes: Iterable[Outcome]) -> float | None:
    costs = [outcome.cost for outcome in outcomes if outcome.reply is not None]
    known = [cost for cost in costs if cost is not None]
    return math.fsum(known) if known and len(known) == len(costs) else None


def _git_commit(folder: Path) -> str | None:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _model(model: Model, run: RunData) -> dict[str, JSON]:
    reported = {
        outcome.reply.model
        for sample, outcome in run.outcomes.items()
        if sample.model is model and outcome.reply is not None and outcome.reply.model
    }
    price = run.prices.get(model.name, model.price)
    return {
        "name": model.name,
        "provider": model.provider,
        "model": model.model,
        "base_url": public_url(model.base_url),
        "parameters": without_secrets(model.parameters),
        "price": None if price is None else {"input": price.input, "output": price.output},
        "cost": _cost(outcome for sample, outcome in run.outcomes.items() if sample.model is model),
        "deterministic": run.deterministic[model.name],
        "reported": list[JSON](sorted(reported)),
        "not_callable": public_text(run.down.get(model.name), run.rootdir),
        "note": READER_NOTE if model.provider == "reader" else None,
    }


def _skill(suite: Suite, run: RunData) -> dict[str, JSON]:
    root = suite.skill.root
    return {
        "name": suite.skill.name,
        "path": public_path(root, run.rootdir),
        "digest": _digest(suite),
        "cost": _cost(outcome for sample, outcome in run.outcomes.items() if sample.suite is suite),
        "case_files": [public_path(file.path, root) for file in suite.files],
        "cases": [
            {"id": case.id, "tags": list[JSON](case.tags)} for file in suite.files for case in file.cases
        ],
        "health": health_data([result for result in run.results if result.gate.suite is suite]),
        "choice": choice_data(run.choices.get(suite)),
    }


def _digest(suite: Suite) -> str:
    digest = hashlib.sha256(suite.skill.body.encode())
    for name in suite.skill.files:
        digest.update(b"\0" + name.encode() + b"\0")
        with contextlib.suppress(OSError):  # it was there when the run began
            digest.update((suite.skill.root / name).read_bytes())
    return digest.hexdigest()


def _result(result: GateResult, rootdir: Path) -> dict[str, JSON]:
    lift, tally, verdict = result.lift, result.tally, result.verdict
    return {
        "skill": result.gate.suite.skill.name,
        "model": result.gate.model.name,
        "runs": result.gate.runs,
        "selected": result.decision is not None,
        "counts": [asdict(count) for count in tally.counts],
        "cases": [case_data(count) for count in tally.counts],
        "with_hits": lift.with_hits,
        "with_samples": lift.with_n,
        "without_hits": lift.without_hits,
        "without_samples": lift.without_n,
        "with_rate": _number(lift.with_rate),
        "without_rate": _number(lift.without_rate),
        "lift": _number(lift.lift),
        "these_cases": _intervals(lift.interval, lift.interval90),
        "cases_like_these": None
        if lift.cases_interval is None
        else {"interval95": list[JSON](lift.cases_interval), "too_few_cases": lift.few_cases},
        "errors": len(tally.errors),
        "skips": len(tally.skips),
        "not_run": tally.pending,
        "truncated": tally.truncated,
        "repeated": list[JSON](tally.repeated),
        "tokens_per_call": {
            "with": tally.with_tokens,
            "without": tally.without_tokens,
            "ratio": tally.tokens_ratio,
        },
        "latency_ratio": tally.latency_ratio,
        "cost": {
            "with": tally.with_cost,
            "without": tally.without_cost,
            "per_hit": _per_hit(result),
        },
        "verdict": None if verdict is None else {"word": verdict.word, "phrase": verdict.phrase},
        "change": change_data(result, rootdir),
        "gate": _gate(result, rootdir),
    }


def _per_hit(result: GateResult) -> float | None:
    cost, hits = result.tally.counted_cost, result.lift.with_hits
    return None if cost is None or not hits else cost / hits


def _gate(result: GateResult, rootdir: Path) -> JSON:
    rules, decision = result.rules, result.decision
    if decision is None:
        return None
    return {
        "passed": decision.passed,
        "word": decision.word,
        "reasons": [public_text(reason, rootdir) for reason in decision.reasons],
        "mode": rules.mode,
        "min_pass_rate": _number(rules.min_pass_rate),
        "min_lift": _number(rules.min_lift),
        "on_inconclusive": rules.on_inconclusive,
        "equivalence": _number(rules.equivalence),
        "min_drop": _number(rules.min_drop),
    }


def _intervals(ninety_five: tuple[float, float] | None, ninety: tuple[float, float] | None) -> JSON:
    if ninety_five is None or ninety is None:
        return None
    return {"interval95": list[JSON](ninety_five), "interval90": list[JSON](ninety)}


def _number(value: Fraction | None) -> float | None:
    return None if value is None else float(value)
