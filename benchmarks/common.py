"""What the benchmarks share: a project to measure, the loopback server, and runs in pairs."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Third-party plugins would be measured with us.
ENVIRONMENT = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": ""}
PLUGIN = ("-p", "pytest_upskill.plugin")


@dataclass(frozen=True)
class Usage:
    """One run of a command: wall and CPU time in seconds (children included), peak memory in MB."""

    wall: float
    cpu: float
    peak: float


def measured(command: Sequence[str], cwd: Path) -> Usage:
    """Run a command to its end and say what it took. Raises when it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=cwd, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    output = process.stdout.read() if process.stdout else ""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{output}")
    return Usage(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def pairs(first: Sequence[str], second: Sequence[str], cwd: Path, count: int) -> list[tuple[Usage, Usage]]:
    """Run two commands in turn, after one uncounted run of each, the order changing from pair to pair."""
    measured(first, cwd)
    measured(second, cwd)
    found = []
    for number in range(count):
        if number % 2:
            b = measured(second, cwd)
            found.append((measured(first, cwd), b))
        else:
            found.append((measured(first, cwd), measured(second, cwd)))
    return found


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def ratio(found: Sequence[tuple[Usage, Usage]], figure: str) -> float:
    """Return the median over the pairs of first/second in a figure of `Usage`."""
    return median([getattr(a, figure) / getattr(b, figure) for a, b in found])


@contextmanager
def server(latency: float, *options: str) -> Iterator[str]:
    """Serve the OpenAI-compatible API in a process of its own, with more options of server.py; yields its base_url."""
    command = [sys.executable, str(HERE / "server.py"), "--latency", str(latency), *options]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        port = process.stdout.readline().strip() if process.stdout else ""
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(10)


def counts(url: str) -> dict[str, int]:
    """Return what a server counted."""
    with urllib.request.urlopen(f"{url.removesuffix('/v1')}/count") as answer:
        found: dict[str, int] = json.load(answer)
    return found


def project(folder: Path, cases: int, config: str, skills: int = 1, *, numbered: bool = False) -> Path:
    """Write a project with `skills` skills of `cases` cases each; `numbered` replies belong to one case alone."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "upskill.yaml").write_text(config)
    for number in range(skills):
        skill = folder / "skills" / f"bench-{number}"
        skill.mkdir(parents=True)
        facts = "\n".join(f"- Fact {n} of the subject is value-{n}." for n in range(20))
        (skill / "SKILL.md").write_text(f"---\nname: bench-{number}\ndescription: Bench.\n---\n\n{facts}\n")
        rows = [
            {
                "id": f"case-{n}",
                "input": f"Question {n} of {number}?",
                "expected": {"contains": f"value {n} of {number}." if numbered else "pong"},
            }
            for n in range(cases)
        ]
        (skill / "skill_meta.json").write_text(json.dumps({"cases": rows}))
    return folder


def machine() -> str:
    """Return the machine in words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {system}"
