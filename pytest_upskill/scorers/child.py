"""The main of a scoring process: one job a line on stdin, one answer a line on stdout."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import BinaryIO

from pytest_upskill.errors import ScorerError
from pytest_upskill.protocols import Scorer
from pytest_upskill.scorers.evidence import described
from pytest_upskill.scorers.failures import failure
from pytest_upskill.scorers.wire import Job, pack_error, pack_scores, unpack_job

READY = b'"ready"\n'


def main(time_limit: float) -> None:
    """Answer jobs until stdin ends; a job that overruns `time_limit` (seconds) by far ends the process."""
    jobs, answers = _own_pipes()
    scorers: dict[str, Scorer] = {}
    _send(answers, READY)
    for line in jobs:
        _set_alarm(2 * time_limit + 1)
        answer = _answer(unpack_job(line), scorers)
        _set_alarm(0)
        _send(answers, answer)


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    # What a user's scorer prints, and what a program that it starts reads, must not touch the protocol.
    jobs = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return jobs, answers


def _send(answers: BinaryIO, line: bytes) -> None:
    answers.write(line)
    answers.flush()


def _set_alarm(seconds: float) -> None:
    # The parent kills a process that takes too long. Should the parent itself be gone, the alarm does:
    # its default action needs no interpreter, which a catastrophic pattern never leaves.
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _answer(job: Job, scorers: dict[str, Scorer]) -> bytes:
    try:
        if job.scorer not in scorers:
            scorers[job.scorer] = _make(job.scorer)
        return pack_scores(scorers[job.scorer].score(job.reply, job.check, job.context))
    except ScorerError as error:
        return pack_error(str(error))
    except BaseException as error:  # noqa: BLE001 - a user's scorer may raise anything
        return pack_error(f"{described(job.check)} failed on this reply: {failure(error, job.context.root)}")


def _make(name: str) -> Scorer:
    module, _, path = name.partition(":")
    try:
        scorer: Scorer = getattr(import_module(module), path)()
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        raise ScorerError(
            f"the scorer {name} cannot be made in a process of its own: {type(error).__name__}: {error}; "
            "an isolated scorer's class must be importable and take no arguments"
        ) from None
    return scorer
