"""The benchmarks' stand-in server and their yardstick, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def served() -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-W", "error", str(BENCHMARKS / "server.py"), "--latency", "0.05"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise RuntimeError("no standard output")
        yield process, f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.terminate()


def test_the_yardstick_makes_its_calls_and_the_server_counts_them(
    served: tuple[subprocess.Popen[str], str],
) -> None:
    _, url = served
    command = [sys.executable, str(BENCHMARKS / "bare_sdk.py"), "--base-url", f"{url}/v1"]
    done = subprocess.run(
        [*command, "--calls", "20", "--threads", "5"], capture_output=True, text=True, check=True
    )
    assert done.stdout == '{"good": 20}\n'
    with urllib.request.urlopen(f"{url}/count") as counts:
        assert json.load(counts) == {"requests": 20, "distinct": 20, "peak": 5}


def test_the_server_ends_when_its_standard_input_ends(
    served: tuple[subprocess.Popen[str], str],
) -> None:
    process, _ = served
    if process.stdin is None:
        raise RuntimeError("no standard input")
    process.stdin.close()
    assert process.wait(10) == 0


def test_the_server_ends_on_request(served: tuple[subprocess.Popen[str], str]) -> None:
    process, url = served
    with urllib.request.urlopen(f"{url}/stop", data=b"") as stopped:
        assert json.load(stopped) == {"stopped": True}
    assert process.wait(10) == 0


def test_the_server_ends_on_sigterm(served: tuple[subprocess.Popen[str], str]) -> None:
    process, _ = served
    process.terminate()
    assert process.wait(10) == 0
