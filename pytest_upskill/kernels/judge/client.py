"""The judge of a job, from its parent's side."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from typing import Any, Self

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.data import Job
from pytest_upskill.kernels.judge.pool import JudgePool
from pytest_upskill.kernels.judge.process import JudgeProcess
from pytest_upskill.kernels.judge.wire import Judgement, MadeAnswer, ProvesNothing, pack_task, task_of

_LIMIT = 300.0


class Judge:
    """The inputs of a job's problems and the verdicts over what a kernel made of them; for any threads.

    Use it in a `with` statement: the process is there within it. All methods raise `ScorerError` where nothing can
    be judged: no PyTorch, a mistake in the reference, a process that crashed or hangs.

    Args:
        job: what is judged.
        pool: where the process comes from and goes to; without one it is this job's alone.
        limit: seconds that one answer may take.
    """

    def __init__(self, job: Job, pool: JudgePool | None = None, *, limit: float = _LIMIT) -> None:
        self._job = job
        self._limit = limit
        self._pool = JudgePool(idle=0, hidden=job.hidden) if pool is None else pool
        self._process: JudgeProcess | None = None
        self._clean = True
        self._asking = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._process = self._pool.take()
        try:
            self._ask(
                {"do": "open", "task": pack_task(task_of(self._job))}, [self._job.seed], "it read the case"
            )
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def inputs(self, problem: int, copy: int) -> list[bytes]:
        """Return the tensors `in` and `inout` of a problem in the order of the signature; each copy is another draw."""
        head = {"do": "inputs", "problem": problem, "copy": copy}
        return self._ask(head, (), f"it made the inputs of {self._label(problem)}")[1]

    def verdict(self, problem: int, copy: int, outputs: Sequence[bytes | memoryview]) -> Judgement:
        """Judge the tensors `out`, `out zero` and `inout`, in the order of the signature, made of a copy's inputs."""
        head = {"do": "verdict", "problem": problem, "copy": copy}
        answer, _ = self._ask(head, outputs, f"it judged {self._label(problem)}")
        return Judgement(answer["hit"], answer["evidence"], answer["figures"])

    def answers(self, problem: int, rejected: Collection[str]) -> tuple[MadeAnswer, ...]:
        """Judge answers that the judge makes itself: the right one, and wrong ones but for those called `rejected`.

        Raises `ProvesNothing` where an answer would pass that computes nothing.
        """
        head = {"do": "answers", "problem": problem, "rejected": sorted(rejected)}
        answer, _ = self._ask(head, (), f"it tried wrong answers to {self._label(problem)}")
        if "nothing" in answer:
            raise ProvesNothing(answer["nothing"])
        return tuple(MadeAnswer(**each) for each in answer["answers"])

    def close(self) -> None:
        """Give the process back, or end it after an error or in the midst of an answer. May be called again."""
        with self._lock:
            process, self._process = self._process, None
            clean = self._clean and not self._asking
        if process is not None:
            self._pool.give_back(process, clean=clean)

    def _ask(
        self, head: dict[str, Any], blocks: Sequence[bytes | memoryview], what: str
    ) -> tuple[dict[str, Any], list[bytes]]:
        with self._lock:
            process = self._process
            if process is None:
                raise ScorerError(f"the judge of {self._job.case} is closed: nothing can be judged any more")
            self._asking += 1
        try:
            return process.ask(head, blocks, self._limit, what)
        except BaseException:
            # What a reference left behind when it failed must not meet the next job.
            self._clean = False
            raise
        finally:
            with self._lock:
                self._asking -= 1

    def _label(self, problem: int) -> str:
        workload = self._job.problems[problem].workload
        return f"{self._job.case} on {workload.label}"
