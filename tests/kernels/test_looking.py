"""In which sandbox a driver is asked, and what another sandbox would not mend."""

from __future__ import annotations

import os
from ctypes import c_void_p
from pathlib import Path
from typing import Any

import pytest

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels import devices
from pytest_upskill.kernels.data import Device, Launch
from pytest_upskill.kernels.devices import Blocked, Seen, hold, look
from pytest_upskill.kernels.launcher import Fault
from pytest_upskill.kernels.launcher.device import OpenDevice, found
from pytest_upskill.kernels.launcher.driver import Driver
from pytest_upskill.kernels.launcher.wire import pack_device
from pytest_upskill.kernels.sandbox import Limits, Sandbox
from tests.kernels.emulated import build
from tests.kernels.emulated.machine import needs
from tests.kernels.sandbox.driver import kind_of

DEVICE = Device(0, "H200", "GPU-9", (9, 0), 2**30, 2**20, "13.0")


class Box:
    """What stands for a sandbox where no process is started."""

    def __init__(self, level: str) -> None:
        self.level = level


BOXES: Any = [Box("bubblewrap"), Box("landlock")]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[tuple[str, str], Fault]:
    """Return the faults by level and operation; all else is answered as one device would have it."""
    faults: dict[tuple[str, str], Fault] = {}

    class Answering:
        def __init__(self, sandbox: Box, driver: object, inherit: tuple[int, ...] = ()) -> None:
            self.level = sandbox.level
            self.inherit = inherit

        def ask(self, head: dict[str, str], *_: object, **how: Any) -> tuple[dict[str, Any], list[bytes]]:
            # Who opens a device has its lock.
            assert (how["limit"] > 0, len(self.inherit)) == (True, head["op"] == "open")
            if fault := faults.get((self.level, head["op"])):
                raise fault
            return {"devices": [pack_device(DEVICE)]}, []

        def close(self) -> bool:
            return True

    monkeypatch.setattr(devices, "LauncherProcess", Answering)
    monkeypatch.setattr("pytest_upskill.kernels.launcher.client.LauncherProcess", Answering)
    monkeypatch.setattr(devices, "LOCKS", tmp_path / "locks")
    monkeypatch.setattr(devices, "DRIVER_MODULE", tmp_path / "none")
    return faults


def fault(word: str) -> Fault:
    return Fault(word, sticky=True, said="so it is")


def test_the_best_level_is_taken_where_the_driver_works(asked: dict[tuple[str, str], Fault]) -> None:
    assert asked == {}
    assert look(BOXES) == Seen("bubblewrap", (DEVICE,))


@pytest.mark.parametrize("what", ["describe", "open"])
@pytest.mark.parametrize("word", ["CUDA_ERROR_OPERATING_SYSTEM", "ended"])
def test_where_it_does_not_the_next_one_is_tried(
    what: str, word: str, asked: dict[tuple[str, str], Fault]
) -> None:
    asked["bubblewrap", what] = fault(word)
    assert look(BOXES) == Seen("landlock", (DEVICE,))


@pytest.mark.parametrize("word", ["timeout", "garbled"])
def test_a_driver_that_does_not_answer_is_not_tried_elsewhere(
    word: str, asked: dict[tuple[str, str], Fault]
) -> None:
    asked["bubblewrap", "describe"] = fault(word)
    with pytest.raises(ScorerError) as caught:
        look(BOXES)
    assert not isinstance(caught.value, Blocked)
    assert str(caught.value) == (
        f"the CUDA devices of this machine cannot be told: {word}: so it is; see whether nvidia-smi works"
    )


@pytest.mark.parametrize("word", ["CUDA_ERROR_DEVICE_UNAVAILABLE", "CUDA_ERROR_OUT_OF_MEMORY", "timeout"])
def test_a_device_that_is_in_use_is_there(word: str, asked: dict[tuple[str, str], Fault]) -> None:
    asked["bubblewrap", "open"] = fault(word)
    assert look(BOXES).level == "bubblewrap"


def test_a_device_that_somebody_holds_is_not_opened(asked: dict[tuple[str, str], Fault]) -> None:
    asked["bubblewrap", "open"] = fault("ended")
    with hold(DEVICE, 0):
        assert look(BOXES).level == "bubblewrap"


def test_one_that_can_be_opened_nowhere_says_so(asked: dict[tuple[str, str], Fault]) -> None:
    for box in BOXES:
        asked[box.level, "open"] = fault("CUDA_ERROR_OPERATING_SYSTEM")
    with pytest.raises(Blocked) as caught:
        look(BOXES)
    assert str(caught.value) == (
        "H200 cannot be opened: CUDA_ERROR_OPERATING_SYSTEM: so it is; see whether other CUDA programs can use it"
    )


def test_a_part_of_a_device_is_named_as_the_driver_chooses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    needs()
    driver = Driver(str(build.driver("ae" * 16)))
    assert [device.uuid[:9] for device in found(driver)] == ["GPU-aeaea"]
    monkeypatch.setattr(driver, "name", lambda device: "NVIDIA A100-SXM4-40GB MIG 1g.5gb")
    assert [device.uuid[:9] for device in found(driver)] == ["MIG-aeaea"]


def test_a_kernel_that_is_timed_is_queued_behind_eight_floods_of_the_cache() -> None:
    done: list[object] = []

    class Recording:
        def number(self, *_: object) -> int:
            return 0

        def handle(self, *_: object) -> None: ...

        def ask(self, name: str, *_: object) -> None:
            done.append(name)

        def allocate(self, size: int) -> int:
            return size

        def forbid_persisting(self) -> None: ...

        def fill(self, place: int, value: int, size: int) -> None:
            done.append(size)

        def timed_launch(self, *_: object) -> None:
            done.append("launch")

        def milliseconds(self, *_: object) -> float:
            return 0.5

    driver: Any = Recording()
    opened = OpenDevice(driver, DEVICE)
    done.clear()
    assert opened._launch(c_void_p(), Launch((1, 1, 1), (1, 1, 1)), [], flush=True) == 0.5
    # Nothing is waited for in between: the time of the floods hides that of the launch.
    assert done == ["cuCtxSynchronize", *[4 * DEVICE.l2] * 8, "launch", "cuCtxSynchronize"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root runs it as another user")
@pytest.mark.parametrize("level", ["bubblewrap", "landlock"])
def test_a_node_that_only_a_group_may_use_can_be_used(
    level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = kind_of(level)
    if isinstance(kind, str):
        pytest.skip(kind)
    node = Path(f"/dev/upskill-test-{os.getpid()}")
    monkeypatch.setattr("pytest_upskill.kernels.sandbox.view.device_nodes", lambda: [str(node)])
    try:
        node.write_text("used\n")
        os.chown(node, 0, 54321)
        node.chmod(0o660)
        with Sandbox(kind) as sandbox:
            said = [
                sandbox.run(
                    ["cat", str(node)], workdir=tmp_path, readable=(), limits=Limits(), devices=with_device
                ).stdout
                for with_device in (True, False)
            ]
    except OSError as error:
        pytest.skip(f"nothing can be made in /dev: {error}")
    finally:
        node.unlink(missing_ok=True)
    assert said == [b"used\n", b""]


def test_what_slows_eager_alone_does_not_reach_the_baseline(monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_upskill.kernels.baseline import parent

    hidden: list[object] = []

    class Recorded:
        def __init__(self, name: str, module: str, environment: object, names: object) -> None:
            hidden.append(names)
            raise ScorerError("that is enough")

    monkeypatch.setattr(parent, "Child", Recorded)
    job: Any = type("Job", (), {"hidden": ("MY_KEY",)})
    with pytest.raises(ScorerError, match="that is enough"), parent.baseline(job, DEVICE):
        pass
    assert {"MY_KEY", "CUDA_LAUNCH_BLOCKING", "NVIDIA_TF32_OVERRIDE"} <= set(hidden[0])  # type: ignore[call-overload]
