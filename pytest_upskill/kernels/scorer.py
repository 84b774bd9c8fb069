"""The check `kernel`: the CUDA kernel in a reply compiles, is right, and is fast, as far as the case asks."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_upskill.errors import NotApplicable, ScorerError
from pytest_upskill.scorers.evidence import fold
from pytest_upskill.types import Check, Reply, Score, ScoringContext, ScoringRun

if TYPE_CHECKING:
    from pytest_upskill.kernels.bench import Bench
    from pytest_upskill.kernels.spec import KernelSpec

PLATFORM = sys.platform
# A compiler has more to say than other checks: its first error with the line of code.
_EVIDENCE = 400
# Those who wait for the device must not keep others from the compiler.
_THREADS = 2 * (os.cpu_count() or 1) + 2


class Kernel:
    """Hit when the reply's kernel passes every stage that the case requires."""

    isolated = False

    def __init__(self) -> None:
        self._specs: dict[tuple[Path, str], KernelSpec] = {}
        self._bench: Bench | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._seed = b""

    def validate(self, check: Check, context: ScoringContext) -> None:
        self._specs.pop(_place(check, context), None)  # the reference may have changed since
        self._spec(check, context)

    def brief(self, check: Check, context: ScoringContext) -> str:
        """Return the signature and the form of the reply, the same in every arm."""
        from pytest_upskill.kernels.brief import brief

        return brief(self._spec(check, context))

    def marks(self, check: Check) -> tuple[str, ...]:
        """Return `gpu` for a kernel that is to be executed."""
        value = check.value
        return () if isinstance(value, dict) and value.get("require") == "compile" else ("gpu",)

    def score(self, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        raise ScorerError("kernel: it starts programs and is waited for: call judge")

    async def open(self, run: ScoringRun) -> None:
        """Find the compiler and a sandbox. Raises `ScorerError` where there is none, `NotApplicable` beyond Linux."""
        if PLATFORM != "linux":
            raise NotApplicable("kernels are compiled and executed on Linux alone")
        from pytest_upskill.kernels.bench import Bench

        self._seed = run.seed
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="upskill-kernel")
        self._bench = await asyncio.get_running_loop().run_in_executor(self._threads, Bench, run)

    async def judge(self, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        loop = asyncio.get_running_loop()
        return [await loop.run_in_executor(self._threads, self._judged, reply, check, context)]

    async def close(self) -> None:
        """End compilers, kernels and their processes."""
        if self._bench is not None:
            await asyncio.to_thread(self._bench.close)
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _judged(self, reply: Reply, check: Check, context: ScoringContext) -> Score:
        from pytest_upskill.kernels.workloads import seed_of

        if self._bench is None:
            raise ScorerError("kernel: nothing is judged before it is opened")
        spec, case = self._spec(check, context), context.case.id
        seed = seed_of(self._seed, context.root.name, case, context.run)
        tried = self._bench.try_answer(reply.text, spec, case, seed)
        told = tried.telling
        evidence = f"{told.name}: {told.evidence}"
        if not tried.hit and reply.truncated:
            evidence = f"the reply was cut off at max_tokens; {evidence}"
        expected = f"kernel {spec.signature.entry}: {spec.require}"
        return Score(tried.hit, fold(evidence, _EVIDENCE), expected, check.scorer, tried.stages)

    def _spec(self, check: Check, context: ScoringContext) -> KernelSpec:
        from pytest_upskill.kernels.spec import read_spec

        place = _place(check, context)
        if place not in self._specs:
            self._specs[place] = read_spec(check.value, context.root)
        return self._specs[place]


def _place(check: Check, context: ScoringContext) -> tuple[Path, str]:
    return context.root, json.dumps(check.value, sort_keys=True)
