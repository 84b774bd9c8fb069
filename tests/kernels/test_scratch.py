"""Scratch folders are removed whatever lies in them, and nothing outside is touched."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_upskill.kernels.scratch import scratch
from tests.kernels.sandbox.boxes import NOBODY

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sandboxed programs run on Linux")


def test_it_is_real_private_and_gone_afterwards() -> None:
    with scratch("upskill-test-") as folder:
        assert folder.name.startswith("upskill-test-")
        assert folder == folder.resolve()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "file").touch()
    assert not folder.exists()


def test_it_is_gone_after_an_error_too() -> None:
    with pytest.raises(KeyError), scratch("upskill-test-") as folder:
        raise KeyError
    assert not folder.exists()


def test_it_may_be_gone_before() -> None:
    with scratch("upskill-test-") as folder:
        folder.rmdir()


def test_folders_that_are_closed_to_their_owner_go_and_what_links_lead_to_keeps_its_mode() -> None:
    def work() -> None:
        with scratch("upskill-outside-") as outside:
            outside.chmod(0o755)
            (outside / "kept").touch(0o600)
            with scratch("upskill-test-") as folder:
                lock(folder, outside)
            assert not folder.exists()
            assert stat.S_IMODE(outside.stat().st_mode) == 0o755
            assert stat.S_IMODE((outside / "kept").stat().st_mode) == 0o600

    as_nobody(work)


def test_folders_deeper_than_there_are_descriptors_go() -> None:
    with scratch("upskill-test-") as folder:
        here = os.open(folder, os.O_RDONLY)
        for _ in range(1500):
            os.mkdir("deep", dir_fd=here)
            inner = os.open("deep", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
        os.close(here)
    assert not folder.exists()


def lock(folder: Path, outside: Path) -> None:
    """Leave folders that are closed to their owner, with links that lead out."""
    for mode in (0o000, 0o100, 0o400, 0o500):
        locked = folder / f"locked-{mode:o}"
        (locked / "in" / "it").mkdir(parents=True)
        (locked / "link").symlink_to(outside)
        (locked / "file").symlink_to(outside / "kept")
        (locked / "in").chmod(mode)
        locked.chmod(mode)
    (folder / "link").symlink_to(outside)
    folder.chmod(0)


def as_nobody(work: Callable[[], None]) -> None:
    """Do something as a user whom modes hold: root is let through everywhere."""
    if os.geteuid():
        work()
        return
    child = os.fork()
    if not child:
        status = 1
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
