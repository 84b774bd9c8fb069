"""Which devices there are, and that one is held by one at a time."""

from __future__ import annotations

import multiprocessing
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.data import Device
from pytest_upskill.kernels.devices import devices, hold
from tests.kernels.emulated import build
from tests.kernels.emulated.machine import machine, needs
from tests.kernels.emulated.plain import PlainSandbox
from tests.kernels.test_launcher import Liar

DEVICE = Device(1, "H200", "GPU-1", (9, 0), 1, 1, "13.0")
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")


@pytest.fixture
def plain() -> Iterator[PlainSandbox]:
    plain = PlainSandbox()
    yield plain
    plain.close()


def test_a_device_is_described_and_opened_by_processes_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Under a lock that other tests have not got: a device that is held is not opened.
    monkeypatch.setattr("pytest_upskill.kernels.devices.LOCKS", tmp_path)
    with machine() as here:
        (device,) = devices(here.sandbox, here.driver)
        assert [bool(started.wait(10)) for started in here.plain.started] == [True, True]
    assert device == Device(
        index=0,
        name="emulated",
        uuid="GPU-00112233-4455-6677-8899-aabbccddeeff",
        capability=(9, 0),
        memory=2**30,
        l2=256 * 1024,
        driver="13.0",
        emulated=True,
    )


def test_without_a_driver_there_are_none(plain: PlainSandbox, tmp_path: Path) -> None:
    assert devices(plain, tmp_path / "libcuda.so.1") == []  # type: ignore[arg-type]


def test_a_driver_without_devices_has_none(plain: PlainSandbox, tmp_path: Path) -> None:
    needs()
    library = tmp_path / "libcuda.so.1"
    library.write_bytes(build.driver().read_bytes())
    assert devices(plain, library) == []  # type: ignore[arg-type]


def test_what_is_no_driver_is_an_error_that_says_so(plain: PlainSandbox) -> None:
    with pytest.raises(ScorerError) as caught:
        devices(plain, "libm.so.6")  # type: ignore[arg-type]
    words = str(caught.value)
    assert words.startswith("the CUDA devices of this machine cannot be told: refused: AttributeError: ")
    assert words.endswith("see whether nvidia-smi works")


def test_a_device_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    with hold(DEVICE, 0, tmp_path), pytest.raises(ScorerError) as caught, hold(DEVICE, 0.1, tmp_path):
        pass
    assert str(caught.value) == (
        f"device 1 (H200) was in use for all of 0.1 s by process {os.getpid()}; wait for its end, or end it"
    )
    with hold(DEVICE, 0, tmp_path):
        pass


def test_whoever_waits_gets_it_when_it_is_free(tmp_path: Path) -> None:
    got: list[str] = []
    first = ExitStack()
    first.enter_context(hold(DEVICE, 0, tmp_path))

    def wait() -> None:
        with hold(DEVICE, 30, tmp_path):
            got.append("second")

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.1)
    got.append("first")
    first.close()
    waiting.join(30)
    assert got == ["first", "second"]


def test_two_devices_are_held_at_the_same_time(tmp_path: Path) -> None:
    other = Device(0, "H200", "GPU-0", (9, 0), 1, 1, "13.0")
    with hold(DEVICE, 0, tmp_path), hold(other, 0, tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == ["GPU-0.lock", "GPU-1.lock"]


def test_threads_take_turns(tmp_path: Path) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(5):
            with hold(DEVICE, 60, tmp_path):
                inside += 1
                most = max(most, inside)
                time.sleep(0.002)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == 1


def test_all_users_of_the_machine_can_use_the_lock(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    before = os.umask(0o077)
    try:
        with hold(DEVICE, 0, folder):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
    assert stat.S_IMODE((folder / "GPU-1.lock").stat().st_mode) == 0o666


@ROOT
def test_a_lock_that_another_user_made_is_used(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    with hold(DEVICE, 0, folder):
        pass
    os.chown(folder / "GPU-1.lock", 12345, 12345)
    with hold(DEVICE, 0, folder):
        assert (folder / "GPU-1.lock").read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("what", ["link", "pipe", "folder"])
def test_what_is_no_file_is_no_lock(tmp_path: Path, what: str) -> None:
    place = tmp_path / "GPU-1.lock"
    if what == "link":
        place.symlink_to(tmp_path / "elsewhere")
    elif what == "pipe":
        os.mkfifo(place)
    else:
        place.mkdir()
    with (
        pytest.raises(ScorerError, match=r"^the lock of a device cannot be used: .*remove"),
        hold(DEVICE, 0, tmp_path),
    ):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "locks").symlink_to(tmp_path / "real")
    with (
        pytest.raises(ScorerError, match=r"^the lock of a device cannot be used: .*locks is no folder"),
        hold(DEVICE, 0, tmp_path / "locks"),
    ):
        pass


@pytest.mark.parametrize(("mode", "mends"), [(0o777, 0o1777), (0o720, 0o700)])
def test_a_folder_in_which_others_can_replace_a_lock_is_refused(
    tmp_path: Path, mode: int, mends: int
) -> None:
    folder = tmp_path / "locks"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(ScorerError) as caught, hold(DEVICE, 0, folder):
        pass
    assert str(caught.value) == (
        f"the lock of a device cannot be used: {folder} lets others take a lock away from whoever holds it "
        f"(chmod +t {folder} forbids that); remove what is there"
    )
    folder.chmod(mends)
    with hold(DEVICE, 0, folder):
        pass


@ROOT
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    with hold(DEVICE, 0, folder):
        pass
    os.chown(folder, 12345, 12345)
    with pytest.raises(ScorerError) as caught, hold(DEVICE, 0, folder):
        pass
    assert str(caught.value) == (
        f"the lock of a device cannot be used: {folder} belongs to the user 12345, who can take a lock away from "
        f"whoever holds it (root can make it for all: install -d -m 1777 {folder}); remove what is there"
    )


def test_a_file_that_has_another_name_is_not_emptied(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("kept\n", encoding="ascii")
    folder = tmp_path / "locks"
    folder.mkdir()
    (folder / "GPU-1.lock").hardlink_to(kept)
    with pytest.raises(ScorerError) as caught, hold(DEVICE, 0, folder):
        pass
    assert str(caught.value) == (
        f"the lock of a device cannot be used: {folder}/GPU-1.lock has another name too; remove it"
    )
    assert kept.read_text(encoding="ascii") == "kept\n"


def test_what_describes_no_device_is_an_error_that_says_so() -> None:
    text = b'{"head": {"devices": [{}]}, "blocks": []}'
    code = f"import os, time; os.write(fd, {len(text).to_bytes(8, 'little') + text!r}); time.sleep(20)"
    sandbox = Liar(code)
    with pytest.raises(ScorerError) as caught:
        devices(sandbox)  # type: ignore[arg-type]
    sandbox.close()
    assert str(caught.value) == (
        "the CUDA devices of this machine cannot be told: what came is no description of them; see whether "
        "nvidia-smi works"
    )


def test_a_lock_file_that_was_removed_meanwhile_locks_nobody_out(tmp_path: Path) -> None:
    """A cleaner of /tmp may remove a file that is held: who waits for it must not then hold what nobody sees."""
    first = ExitStack()
    first.enter_context(hold(DEVICE, 0, tmp_path))
    (tmp_path / "GPU-1.lock").rename(tmp_path / "removed")
    second = ExitStack()
    lock = second.enter_context(hold(DEVICE, 5, tmp_path))
    assert os.path.samestat(os.fstat(lock.descriptor), (tmp_path / "GPU-1.lock").stat())
    with pytest.raises(ScorerError), hold(DEVICE, 0, tmp_path):
        pass
    second.close()
    first.close()


def _wait(ready: Event, end: Event) -> None:
    ready.set()
    end.wait(30)


def test_a_process_that_was_forked_meanwhile_keeps_nobody_waiting(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready, end = context.Event(), context.Event()
    with hold(DEVICE, 0, tmp_path):
        child = context.Process(target=_wait, args=(ready, end))
        child.start()
        ready.wait(30)
    with hold(DEVICE, 0, tmp_path):
        pass
    end.set()
    child.join(30)
    assert child.exitcode == 0


def test_a_device_stays_held_by_a_launcher_that_outlives_its_end(tmp_path: Path) -> None:
    with hold(DEVICE, 0, tmp_path) as lock:
        theirs = os.dup(lock.descriptor)
        lock.users += 1
    try:
        with pytest.raises(ScorerError), hold(DEVICE, 0, tmp_path):
            pass
    finally:
        os.close(theirs)
    with hold(DEVICE, 0, tmp_path):
        pass


def test_a_device_is_told_apart_by_the_driver_of_the_kernel_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "version"
    module.write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23 10:11:16 UTC 2025\n"
    )
    monkeypatch.setattr("pytest_upskill.kernels.devices.DRIVER_MODULE", module)
    with machine() as here:
        (device,) = devices(here.sandbox, here.driver)
    assert device.driver == "580.95.05, CUDA 13.0"


def test_a_gpu_that_cuda_does_not_find_is_no_machine_without_one(
    plain: PlainSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr("pytest_upskill.kernels.devices.NODES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(ScorerError) as error:
        devices(plain, tmp_path / "libcuda.so.1")  # type: ignore[arg-type]
    assert str(error.value) == (
        f"there is a GPU ({tmp_path}/nvidia0) and CUDA finds none: see whether nvidia-smi works; where "
        "/dev/nvidia-uvm is missing, 'nvidia-modprobe -u -c=0' as root makes it"
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices(plain, tmp_path / "libcuda.so.1") == []  # type: ignore[arg-type]
