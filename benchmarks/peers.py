"""400 prompts of 200 ms: ours beside promptfoo, inspect_ai and deepeval, same server, same machine, same run.

    python benchmarks/peers.py --promptfoo PATH --inspect PATH --deepeval PATH [--rounds 3]

Each PATH is the peer's executable, in an environment of its own (`npm install promptfoo`, `pip install inspect-ai`,
`pip install deepeval`). What is not named is left out. Each tool asks the same 400 questions, checks each reply
for a word, and is measured as a whole: wall time from start to end, and the peak of the memory of all of its processes
together (the sum of their proportional set sizes, read every 50 ms).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import common

CALLS, LATENCY = 400, 0.2
CONFIG = """
default_models: [bench]
models:
  bench: {{provider: openai, model: bench, base_url: "{url}", concurrency: 64}}
"""
INSPECT = """
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

@task
def bench():
    return Task([Sample(f"Question {n}?", target="pong") for n in range(400)], solver=generate(), scorer=includes())
"""
DEEPEVAL = """
import openai, pytest
from deepeval import assert_test
from deepeval.metrics import BaseMetric
from deepeval.test_case import LLMTestCase

class Contains(BaseMetric):
    threshold = 0.5
    async_mode = False

    def measure(self, case, *args, **kwargs):
        self.score = float("pong" in case.actual_output)
        self.success = self.score >= self.threshold
        return self.score

    async def a_measure(self, case, *args, **kwargs):
        return self.measure(case)

    def is_successful(self):
        return self.success

    @property
    def __name__(self):
        return "contains"

@pytest.mark.parametrize("number", range(400))
def test_question(number):
    client = openai.OpenAI()
    question = f"Question {number}?"
    said = client.chat.completions.create(model="bench", messages=[{"role": "user", "content": question}])
    assert_test(LLMTestCase(input=question, actual_output=said.choices[0].message.content), [Contains()])
"""


@dataclass(frozen=True)
class Run:
    """One run of a tool: wall time in seconds, peak memory of its processes in MB."""

    wall: float
    peak: float


def main() -> None:
    """Print a table of medians and what ours is beside each."""
    parser = argparse.ArgumentParser(description="Ours beside the peers")
    for name in ("promptfoo", "inspect", "deepeval"):
        parser.add_argument(f"--{name}", type=Path, help=f"the {name} executable")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(common.machine())
    makers: dict[str, tuple[Path | None, Callable[[Path, Path, str], list[str]]]] = {
        "pytest-upskill, 64 in flight": (Path(sys.executable), ours),
        "promptfoo -j 64": (options.promptfoo, promptfoo),
        "inspect_ai, 64 connections": (options.inspect, inspect),
        "deepeval -n16": (options.deepeval, deepeval),
    }
    with common.server(LATENCY) as url, tempfile.TemporaryDirectory() as name:
        tools = {tool: (path, make) for tool, (path, make) in makers.items() if path is not None}
        runs: dict[str, list[Run]] = {tool: [] for tool in tools}
        for number in range(options.rounds):
            for tool, (path, make) in tools.items():
                # A folder of its own each time: what a tool remembers would spare it calls.
                folder = Path(name) / f"{make.__name__}-{number}"
                folder.mkdir()
                before = common.counts(url)["requests"]
                runs[tool].append(run(make(folder, path, url), folder, url))
                asked = common.counts(url)["requests"] - before
                if asked < CALLS:
                    raise SystemExit(f"{tool} made {asked} of {CALLS} calls")
    table(runs)


def table(runs: dict[str, list[Run]]) -> None:
    """Print the medians."""
    medians = {
        tool: (common.median([one.wall for one in found]), common.median([one.peak for one in found]))
        for tool, found in runs.items()
    }
    wall, peak = next(iter(medians.values()))
    for tool, (its_wall, its_peak) in medians.items():
        print(
            f"{tool:<30} {its_wall:6.2f} s  {its_wall / wall:5.1f} x   "
            f"{its_peak:6.0f} MB  {its_peak / peak:5.1f} x"
        )


def ours(folder: Path, python: Path, url: str) -> list[str]:
    """Write a project with 200 cases in two arms."""
    common.project(folder, CALLS // 2, CONFIG.format(url=url))
    return [str(python), "-m", "pytest", "-q", *common.PLUGIN, "--upskill-cache=refresh", "skills"]


def promptfoo(folder: Path, path: Path, url: str) -> list[str]:
    """Write promptfoo's configuration."""
    config = {
        "prompts": ["{{question}}"],
        "providers": [{"id": "openai:chat:bench", "config": {"apiBaseUrl": url, "apiKey": "none"}}],
        "tests": [
            {"vars": {"question": f"Question {n}?"}, "assert": [{"type": "contains", "value": "pong"}]}
            for n in range(CALLS)
        ],
    }
    (folder / "promptfooconfig.json").write_text(json.dumps(config))
    flags = ["--no-cache", "--no-write", "--no-table", "--no-progress-bar"]
    return [str(path), "eval", "-c", "promptfooconfig.json", "-j", "64", *flags]


def inspect(folder: Path, path: Path, _url: str) -> list[str]:
    """Write inspect_ai's task."""
    (folder / "bench.py").write_text(INSPECT)
    connections = ["--max-connections", "64"]
    # The server has the chat completions API alone.
    model = ["--model", "openai/bench", "-M", "responses_api=false"]
    return [str(path), "eval", "bench.py", *model, *connections, "--display", "none"]


def deepeval(folder: Path, path: Path, _url: str) -> list[str]:
    """Write deepeval's test file."""
    (folder / "test_bench.py").write_text(DEEPEVAL)
    return [str(path), "test", "run", "test_bench.py", "-n", "16"]


def run(command: Sequence[str], folder: Path, url: str) -> Run:
    """Run a tool to its end. Raises when it fails."""
    environment = {
        **common.ENVIRONMENT,
        "PATH": f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}",
        "OPENAI_API_KEY": "none",
        "OPENAI_BASE_URL": url,
        "PROMPTFOO_DISABLE_TELEMETRY": "1",
        "PROMPTFOO_DISABLE_UPDATE": "1",
        "PROMPTFOO_CONFIG_DIR": str(folder / "home"),
        "DEEPEVAL_TELEMETRY_OPT_OUT": "YES",
        "NO_PROXY": "127.0.0.1",
    }
    if Path(command[0]).name == "deepeval":
        environment.pop("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    start = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    peaks = [0.0]
    watcher = threading.Thread(target=watch, args=(process, peaks))
    watcher.start()
    output, _ = process.communicate()
    wall = time.perf_counter() - start
    watcher.join()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{output[-3000:]}")
    return Run(wall, max(peaks))


def watch(process: subprocess.Popen[str], peaks: list[float]) -> None:
    """Note the memory of a process and all that it started, until it ends."""
    while process.poll() is None:
        peaks.append(sum(memory(pid) for pid in tree(process.pid)))
        time.sleep(0.05)


def tree(root: int) -> Iterator[int]:
    """Yield a process and its descendants."""
    yield root
    for task in Path(f"/proc/{root}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from tree(int(child))


def memory(pid: int) -> float:
    """Return the proportional set size in MB, 0 for a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    main()
