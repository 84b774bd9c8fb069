"""`pytest-upskill kernel`: an answer of one's own to a kernel case, and the case itself, tried without a model."""

from __future__ import annotations

import argparse
import secrets
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from pytest_upskill.calls.store_tools import FOLDER
from pytest_upskill.cli.kernel_case import KernelCase, find_case, read_answer
from pytest_upskill.cli.kernel_text import about, fact, opening, row, stage_lines, strength_lines, verdict
from pytest_upskill.errors import NotApplicable, ScorerError, UpskillError
from pytest_upskill.kernels.bench import Bench, stages_of
from pytest_upskill.kernels.timeline import Timeline
from pytest_upskill.kernels.workloads import seed_of
from pytest_upskill.kernels.wrong_answers import try_wrong_answers
from pytest_upskill.settings import parse_seed
from pytest_upskill.suite.prompt import user_text
from pytest_upskill.types import ScoringRun, Stage

_SEED = 16
# What an error says stands at the end of all, on the other stream.
_SAID = {"error": ""}


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    group = commands.add_parser("kernel", help="try kernel cases, and answers to them, without a model")
    actions = group.add_subparsers(dest="action", required=True)
    parser = actions.add_parser(
        "check",
        help="try an answer stage by stage, and whether the case tells wrong answers from right ones",
        description="Try an answer to a kernel case stage by stage, and whether the case tells wrong answers from "
        "right ones. The exit code is 0 where the answer passed as far as this machine can tell, 1 where it missed "
        "or the case is weak, 2 where that could not be found out.",
    )
    _add_arguments(parser)
    parser.set_defaults(run=_check)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "case",
        metavar="CASE",
        help="a skill's folder or case file, with ::ID where it has several kernel cases",
    )
    parser.add_argument(
        "answer",
        metavar="ANSWER",
        nargs="?",
        help="device code (.cu), a reply (.md), or - for standard input; without it only the case is tried",
    )
    parser.add_argument("--prompt", action="store_true", help="print what a model is asked, and stop")
    parser.add_argument(
        "--seed", metavar="HEX", type=_seed, help="draw shapes and inputs as the run did that printed it"
    )
    parser.add_argument("--unsafe", action="store_true", help="go on also where no sandbox works")
    parser.add_argument(
        "--cache-dir",
        metavar="DIR",
        type=Path,
        help="folder for what is compiled (default: .upskill here or above)",
    )


def _seed(text: str) -> bytes:
    try:
        return parse_seed(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _check(options: argparse.Namespace) -> int:
    asked = find_case(options.case)
    if options.prompt:
        print(user_text(asked.case))
        return 0
    if options.answer is None and asked.spec.require == "compile":
        raise UpskillError(
            f"{asked.case.id}: it asks only that a kernel compiles, which takes an answer to try"
        )
    answer = None if options.answer is None else read_answer(options.answer)
    secret = options.seed or secrets.token_bytes(_SEED)
    _say(opening(asked, secret))
    if answer is None:
        return 1 if _try_case(asked, secret) else 0
    with closing(Bench(ScoringRun(_folder(options.cache_dir), secret, options.unsafe))) as bench:
        stages = _try_answer(answer, asked, bench, secret)
    weak = _try_case(asked, secret) if _judged_here(asked) else False
    missed = next((stage.name for stage in stages if stage.outcome == "missed"), None)
    _say(["", *verdict(stages)])
    return 1 if weak or missed else 0


def _try_answer(text: str, asked: KernelCase, bench: Bench, secret: bytes) -> tuple[Stage, ...]:
    """Take an answer through the stages and say what became of each. Raises `ScorerError` where it is not judged."""
    spec = asked.spec
    _say(fact("compiler", f"{bench.toolchain.name} for {bench.arch(spec)}"))
    _say(fact("sandbox", bench.sandbox.level))
    _say(fact("device", about(bench.devices)))
    _say([""])
    try:
        stages = bench.try_answer(text, spec, asked.case.id, _drawn(asked, secret)).stages
    except NotApplicable as reason:
        stages = _not_run(reason, stages_of(spec))
    except ScorerError as error:
        _say(
            stage_lines(
                replace(stage, evidence=_SAID.get(stage.outcome, stage.evidence)) for stage in error.stages
            )
        )
        raise
    _say(stage_lines(stages))
    return stages


def _not_run(reason: NotApplicable, wanted: Sequence[str]) -> tuple[Stage, ...]:
    """Return the stages of an answer that could not be executed; the first that was not run says why."""
    stages = Timeline(reason.stages).through(wanted)
    if any(stage.outcome == "missed" for stage in stages):
        return stages
    first = next((at for at, stage in enumerate(stages) if stage.outcome == "skipped"), len(stages))
    return tuple(
        replace(stage, evidence=str(reason) if at == first else "") if at >= first else stage
        for at, stage in enumerate(stages)
    )


def _judged_here(asked: KernelCase) -> bool:
    """Tell whether the case itself can be tried, and say so where it cannot."""
    why = None
    if asked.spec.require == "compile":
        why = "it asks only that a kernel compiles"
    elif find_spec("torch") is None:
        why = "wrong answers are judged with PyTorch, which is not installed"
    if why is not None:
        _say(row("case", "not tried", 0.0, why))
    return why is None


def _try_case(asked: KernelCase, secret: bytes) -> bool:
    """Try wrong answers on the case; return whether it is weak."""
    started = time.monotonic()
    found = try_wrong_answers(asked.spec, asked.case.id, _drawn(asked, secret))
    _say(strength_lines(found, time.monotonic() - started))
    return found.weak


def _drawn(asked: KernelCase, secret: bytes) -> bytes:
    return seed_of(secret, asked.skill.root.name, asked.case.id, asked.run)


def _folder(named: Path | None) -> Path:
    """Return where compiled kernels are kept: the named folder, else the nearest one of test runs."""
    if named is not None:
        return named
    here = Path.cwd()
    return next((path for above in (here, *here.parents) if (path := above / FOLDER).is_dir()), here / FOLDER)


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, flush=True)
