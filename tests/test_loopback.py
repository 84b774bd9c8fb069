"""The benchmarks' stand-in server and their yardstick, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.answers import Answer
from tests.faults import MIX, Bucket, Faults

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
        found = {"requests": 20, "distinct": 20, "peak": 5, "delivered": 20, "twice": 0}
        assert json.load(counts) == found


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


GOOD = Answer(200, b'{"whole": true}')


def test_a_bucket_lets_its_burst_through_and_then_its_rate_and_says_when_to_come_again() -> None:
    now = [0.0]
    bucket = Bucket(rate=2.0, burst=3, clock=lambda: now[0])
    assert [bucket(GOOD).status for _ in range(4)] == [200, 200, 200, 429]
    assert bucket(GOOD).headers["retry-after"] == "0.5"
    now[0] = 0.5
    assert [bucket(GOOD).status for _ in range(2)] == [200, 429]
    now[0] = 100.0
    assert [bucket(GOOD).status for _ in range(4)] == [200, 200, 200, 429]
    assert bucket.counts == {"refused": 4}


def test_faults_strike_as_often_as_they_are_said_to_and_the_same_seed_strikes_alike() -> None:
    faults, again = Faults(1), Faults(1)
    answers = [faults(GOOD) for _ in range(10_000)]
    assert answers == [again(GOOD) for _ in range(10_000)]
    assert all(abs(faults.counts[kind] / 10_000 - share) < 0.01 for kind, share in MIX.items())
    assert sum(answer is GOOD for answer in answers) == 10_000 - sum(faults.counts.values())
