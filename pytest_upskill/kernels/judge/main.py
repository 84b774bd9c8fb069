"""The main of a judging process: one request after the other over a socket that its parent alone holds."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import asdict
from typing import Any

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels import frames
from pytest_upskill.kernels.judge.trial import Trial
from pytest_upskill.kernels.judge.wire import ProvesNothing, unpack_task

_MOST_THREADS = 4
_LONGEST = 2**40


def main(fd: int) -> None:
    """Answer requests until the other side is gone; one that overruns its limit by far ends the process."""
    with socket.socket(fileno=fd) as link:
        if not _ready(link):
            return
        trial: Trial | None = None
        while True:
            try:
                head, blocks = frames.receive(link, _LONGEST)
                # The parent ends a process that takes too long. Should the parent itself be gone, the alarm does.
                signal.setitimer(signal.ITIMER_REAL, 2 * head["limit"] + 1)
                trial, answer, back = _answer(trial, head, blocks)
                signal.setitimer(signal.ITIMER_REAL, 0)
                frames.send(link, answer, back)
            except frames.Broken:
                return


def _ready(link: socket.socket) -> bool:
    try:
        import torch
    except ImportError as error:
        words = (
            f"kernels are judged with PyTorch on the CPU, which cannot be imported here ({error}): install it with "
            "'pip install torch'"
        )
        frames.send(link, {"error": words})
        return False
    torch.set_num_threads(min(_MOST_THREADS, _processors()))
    frames.send(link, {})
    return True


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _answer(
    trial: Trial | None, head: dict[str, Any], blocks: list[bytes]
) -> tuple[Trial | None, dict[str, Any], list[bytes]]:
    try:
        if trial is None or head["do"] == "open":
            return Trial(unpack_task(head["task"], blocks[0])), {}, []
        if head["do"] == "inputs":
            return trial, {}, trial.inputs(head["problem"], head["copy"])
        if head["do"] == "answers":
            return trial, _answers(trial, head), []
        found = trial.verdict(head["problem"], head["copy"], blocks)
    except ScorerError as error:
        return trial, {"error": str(error)}, []
    return trial, {"hit": found.hit, "evidence": found.evidence, "figures": dict(found.figures)}, []


def _answers(trial: Trial, head: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"answers": [asdict(each) for each in trial.answers(head["problem"], head["rejected"])]}
    except ProvesNothing as error:
        return {"nothing": str(error)}
