"""Two processes at once on one pretended device: never two jobs on it, whoever of them is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernels.emulated import build
from tests.kernels.emulated.machine import needs
from tests.kernels.emulated.work import SPIN, log, wait_for

ROOT = Path(__file__).parents[2]
FOR_EVER = 3.6e6
JOBS = 3


class Place:
    """A folder with an image, and the device that all jobs in it use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.driver = build.driver("af" * 16)
        self._running: list[subprocess.Popen[str]] = []
        (folder / "spin.so").write_bytes(build.image(SPIN, "", "spin"))

    def python(self, jobs: int, milliseconds: float, *, alone: bool = True) -> subprocess.Popen[str]:
        """Start a process that does so many jobs one after another."""
        return self._start(
            "-c", f"{self._imports()}\nfor _ in range({jobs}): {self._job(milliseconds, alone)}"
        )

    def pytest(self, jobs: int, milliseconds: float) -> subprocess.Popen[str]:
        """Start a test run with so many tests, each of which does a job."""
        path = self.folder / f"test_{len(self._running)}.py"
        tests = (f"def test_{number}(): {self._job(milliseconds, alone=True)}" for number in range(jobs))
        path.write_text("\n".join([self._imports(), *tests]))
        quiet = ("-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={self.folder}")
        return self._start("-m", "pytest", *quiet, str(path))

    def close(self) -> None:
        for process in self._running:
            process.kill()
            process.communicate()

    def _imports(self) -> str:
        return "from pathlib import Path\nfrom tests.kernels.emulated.work import job"

    def _job(self, milliseconds: float, alone: bool) -> str:
        image = f"Path({str(self.folder / 'spin.so')!r}).read_bytes()"
        places = f"Path({str(self.folder)!r}), Path({str(self.driver)!r})"
        return f"job({places}, {image}, {milliseconds!r}, alone={alone})"

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            # Whoever is killed leaves its folders behind.
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._running.append(process)
        return process


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    needs()
    place = Place(tmp_path)
    yield place
    place.close()


def ended_well(process: subprocess.Popen[str]) -> None:
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 0, said


def assert_one_at_a_time(folder: Path) -> None:
    holder = 0
    for said, pid in log(folder):
        if said == "begin":
            assert not holder, log(folder)
            holder = pid
        elif said == "end":
            assert holder == pid
            holder = 0


def test_two_processes_without_a_lock_meet_on_the_device(place: Place) -> None:
    """The control: the pretended driver notices that two use it."""
    first = place.python(1, FOR_EVER, alone=False)
    wait_for(place.folder, "spin")
    said = place.python(1, 1, alone=False).communicate(timeout=60)[0]
    assert "CUDA_ERROR_DEVICE_UNAVAILABLE" in said
    assert first.poll() is None


def test_two_processes_take_turns(place: Place) -> None:
    for process in [place.python(JOBS, 20), place.python(JOBS, 20)]:
        ended_well(process)
    assert_one_at_a_time(place.folder)
    assert [said for said, _ in log(place.folder)].count("end") == 2 * JOBS


def test_two_test_runs_take_turns(place: Place) -> None:
    for process in [place.pytest(2, 20), place.pytest(2, 20)]:
        ended_well(process)
    assert_one_at_a_time(place.folder)
    assert [said for said, _ in log(place.folder)].count("end") == 4


def test_a_test_run_that_is_killed_leaves_the_device_to_the_next(place: Place) -> None:
    first = place.pytest(1, FOR_EVER)
    launcher = wait_for(place.folder, "spin")
    second = place.pytest(2, 20)
    assert second.poll() is None
    first.send_signal(signal.SIGKILL)
    # The second would be refused the device if the launcher of the first were still on it.
    ended_well(second)
    first.wait(60)
    assert first.returncode == -signal.SIGKILL
    stat = Path(f"/proc/{launcher}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"
    assert [said for said, _ in log(place.folder)].count("end") == 2


def stopped(process: int) -> None:
    """Wait until all threads of a process have stopped; a busy machine takes its time."""
    end = time.monotonic() + 30
    states = [""]
    while set(states) != {"T"}:
        assert time.monotonic() < end
        tasks = Path(f"/proc/{process}/task").iterdir()
        states = [(task / "stat").read_text().rpartition(") ")[2][0] for task in tasks]


def test_as_long_as_a_launcher_lives_nobody_else_gets_the_device(place: Place) -> None:
    """A launcher that is stopped cannot end by itself when its parent is killed: the lock stays with it."""
    first = place.python(1, FOR_EVER)
    launcher = wait_for(place.folder, "spin")
    os.kill(launcher, signal.SIGSTOP)
    try:
        stopped(launcher)
        first.kill()
        first.wait(60)
        second = place.python(1, 20)
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(1)
        assert [said for said, _ in log(place.folder)].count("begin") == 1
    finally:
        os.kill(launcher, signal.SIGCONT)
    ended_well(second)
