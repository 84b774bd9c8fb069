"""A check as many have it: it runs the candidate's Python in its own process and believes what comes out.

A script: it reads a JSON list of candidates from its standard input and writes what it says of each. Of a candidate
`code` defines `forward`, `reference` a function of that name, and `inputs` is an expression for their arguments.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

SEEDS = (42, 43, 44)
TIMED = 10


class Pool:
    """Give a freed block to the next who asks for its size, as torch's allocator does on a GPU."""

    def __init__(self) -> None:
        self._free: list[torch.Tensor] = []

    def empty_like(self, tensor: torch.Tensor) -> torch.Tensor:
        for at, block in enumerate(self._free):
            if block.shape == tensor.shape and block.dtype == tensor.dtype:
                return self._free.pop(at)
        return torch.empty_like(tensor)

    def free(self, tensor: torch.Tensor) -> None:
        self._free.append(tensor)


def _judge(candidate: Mapping[str, str]) -> dict[str, Any]:
    pool, given, space = Pool(), {"torch": torch}, {"torch": torch}
    space["empty_like"] = pool.empty_like
    exec(candidate["reference"], given)
    reference: Callable[..., Any] = given["reference"]
    exec(candidate["code"], space)
    forward: Callable[..., Any] = space["forward"]
    correct = True
    for seed in SEEDS:
        torch.manual_seed(seed)
        inputs = eval(candidate["inputs"], {"torch": torch})
        answer = reference(*inputs)
        block = pool.empty_like(answer)
        expected = block.copy_(answer).clone()
        pool.free(block)
        output = forward(*inputs)
        _synchronize()
        correct = correct and torch.allclose(output.float(), expected.float(), atol=1e-2, rtol=1e-2)
    return {"correct": correct, "speedup": _seconds(reference, inputs) / _seconds(forward, inputs)}


def _synchronize() -> None:
    # Stands for torch.cuda.synchronize(): before outputs are compared, and not where calls are timed.
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join()


def _seconds(function: Callable[..., Any], inputs: Sequence[Any]) -> float:
    best = float("inf")
    for _ in range(TIMED):
        start = time.perf_counter()
        function(*inputs)
        best = min(best, time.perf_counter() - start)
    return max(best, 1e-9)


def _believed(candidate: Mapping[str, str]) -> dict[str, Any]:
    """Judge in a child, whose last line of JSON is the verdict if it ends well."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(sink, 1)
        # What a candidate raises says nothing to anybody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        verdict = _judge(candidate)
        print(json.dumps(verdict), flush=True)
        # The end of an interpreter, without the time that torch takes for it.
        atexit._run_exitfuncs()
        os._exit(0)
    os.close(sink)
    with open(source) as lines:  # noqa: PTH123 - a file descriptor
        text = lines.read()
    _, status = os.waitpid(child, 0)
    verdicts = re.findall(r"^\{.*\}$", text, re.MULTILINE)
    if status or not verdicts:
        return {"correct": False}
    found: dict[str, Any] = json.loads(verdicts[-1])
    used = re.search(r"Used (\d+) registers", text)
    return {**found, "registers": int(used[1])} if used else found


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.stdout.write(json.dumps([_believed(candidate) for candidate in json.load(sys.stdin)]))
