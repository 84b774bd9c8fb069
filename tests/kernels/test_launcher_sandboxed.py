"""The launcher does its work in every sandbox, and leaves nothing behind there."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.devices import devices, hold, look
from pytest_upskill.kernels.launcher import Fault, Launcher
from pytest_upskill.kernels.sandbox import Level, Sandbox, view
from pytest_upskill.kernels.sandbox.levels import Bare, Kind, Order
from pytest_upskill.kernels.sandbox.plan import Plan
from tests.kernels.emulated import build
from tests.kernels.emulated.machine import needs, values
from tests.kernels.sandbox.driver import kind_of
from tests.kernels.test_launcher import ACT, INPUT, act, ready


@pytest.fixture(params=["bubblewrap", "landlock", "none"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    needs()
    kind = kind_of(request.param)
    if isinstance(kind, str):
        pytest.skip(kind)
    with Sandbox(kind) as sandbox:
        yield sandbox


def test_a_launcher_works_holds_the_device_and_ends(sandbox: Sandbox, tmp_path: Path) -> None:
    driver = build.driver("ba" * 16)
    (device,) = devices(sandbox, driver)
    with hold(device, 0, tmp_path) as lock:
        with Launcher(device, sandbox, driver, lock, limit=30.0) as launcher:
            ready(launcher, build.image(ACT, "", "act"))
            called = launcher.call(act("COPY", flush=True))
            assert list(values(called.outputs[0])) == INPUT
            assert lock.users == 1
            assert still_there(driver) != []
        assert lock.users == 0
    with hold(device, 0, tmp_path):
        assert still_there(driver) == []


def test_a_driver_that_lies_where_the_loader_is_told_is_found(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build.driver().parent
    monkeypatch.setenv("LD_LIBRARY_PATH", f":/nowhere:{folder}")
    (device,) = devices(sandbox)
    assert device.emulated


@dataclass(frozen=True)
class Closed:
    """Landlock that does not let a driver name its threads."""

    inner: Kind

    @property
    def level(self) -> Level:
        return self.inner.level

    def plan(self, order: Order) -> Plan:
        plan = self.inner.plan(order)
        plan.rules = [rule for rule in plan.rules if rule[0] != view.OWN_THREADS]
        return plan


def closed() -> Sandbox:
    needs()
    kind = kind_of("landlock")
    if isinstance(kind, str):
        pytest.skip(kind)
    return Sandbox(Closed(kind))


def test_a_level_in_which_no_driver_starts_is_passed_over() -> None:
    with closed() as strict, Sandbox(Bare()) as bare:
        seen = look([strict, bare], build.driver())
    assert (seen.level, [device.name for device in seen.devices]) == ("none", ["emulated"])


def test_where_it_starts_nowhere_the_best_level_says_why() -> None:
    with closed() as strict, pytest.raises(ScorerError) as caught:
        look([strict, strict], build.driver())
    assert str(caught.value) == (
        "the CUDA devices of this machine cannot be told: CUDA_ERROR_OPERATING_SYSTEM: OS call failed or "
        "operation not supported on this OS (cuInit); see whether nvidia-smi works"
    )


@pytest.mark.parametrize(
    ("what", "words"),
    [("ABORT", "ended: the launcher was ended by SIGABRT"), ("FOR_EVER", "timeout: no answer within 1 s")],
)
def test_a_kernel_that_fails_or_never_ends_leaves_nothing_behind(
    sandbox: Sandbox, what: str, words: str
) -> None:
    driver = build.driver("ba" * 16)
    (device,) = devices(sandbox, driver)
    with Launcher(device, sandbox, driver, limit=1.0) as launcher:
        ready(launcher, build.image(ACT, "", "act"))
        with pytest.raises(Fault) as caught:
            launcher.call(act(what))
        assert str(caught.value) == words
        assert still_there(driver) == []


def test_a_launcher_that_the_machine_kills_is_not_the_kernel_s_fault(sandbox: Sandbox) -> None:
    driver = build.driver("ba" * 16)
    (device,) = devices(sandbox, driver)
    with Launcher(device, sandbox, driver, limit=60.0) as launcher:
        ready(launcher, build.image(ACT, "", "act"))
        killer = threading.Timer(0.5, kill_launchers, [driver])
        killer.start()
        with pytest.raises(Fault) as caught:
            launcher.call(act("FOR_EVER"))
        killer.join()
    assert str(caught.value) == "ended: the launcher was ended by SIGKILL"
    assert not caught.value.of_kernel


def test_a_sandbox_that_cannot_start_anything_says_so(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(ScorerError, match=r"the sandbox cannot show .* it is not there"):
        devices(sandbox, tmp_path / "nowhere" / "libcuda.so.1")


def kill_launchers(driver: Path) -> None:
    """Kill the processes that run the launcher itself, and not bwrap before it."""
    for line in still_there(driver):
        pid, program = line.split()[:2]
        if "bwrap" not in program:
            os.kill(int(pid), signal.SIGKILL)


def still_there(driver: Path) -> list[str]:
    """Return the processes that have this driver in their command line."""
    listed = subprocess.run(
        ["ps", "-ewwo", "pid,args"], capture_output=True, text=True, check=True, timeout=30
    )
    return [line for line in listed.stdout.splitlines() if str(driver) in line]
