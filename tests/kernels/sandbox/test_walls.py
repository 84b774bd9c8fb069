"""What a program in the sandbox cannot reach, by level and user; each attack is first shown to work outside."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernels.sandbox.boxes import KEY, NOBODY
from tests.kernels.sandbox.conftest import Box

SECRET = "the-secret-of-this-test"


@dataclass(frozen=True)
class Targets:
    """What there is to attack, all of it open to both users unless a wall stands before it."""

    home: Path
    store: Path
    tcp: int
    udp: int
    abstract: str
    local: Path
    letters: Path
    packets: Path
    victim: int
    shown: Path
    segment: int
    semaphore: int
    queue: int


@pytest.fixture(scope="module", name="targets")
def _targets(any_box: Box, open_folder: Path) -> Iterator[Targets]:
    name = f"{any_box.level}-{any_box.user.name}".replace(" ", "-")
    folder = open_folder / name
    home, store = folder / "home", folder / "store"
    for place in (folder, home, store):
        place.mkdir(parents=True)
    (home / "secret.h").write_text(f"#error {SECRET}\n", encoding="ascii")
    (store / "verdicts").write_text("true\n", encoding="ascii")
    # The sandbox may read it: it lies beside the program.
    shown = any_box.program.with_name(f"{name}.h")
    shown.touch()
    if any_box.user.process:
        for place in (home, store, home / "secret.h", store / "verdicts", shown):
            os.chown(place, NOBODY, NOBODY)
    with (
        socket.socket() as tcp,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
        _local() as abstract,
        _local() as local,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as letters,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as packets,
        _shared() as shared,
    ):
        for one in (tcp, udp):
            one.bind(("127.0.0.1", 0))
        abstract.bind(f"\0upskill-{name}-{os.getpid()}")
        local.bind(str(folder / "socket"))
        letters.bind(str(folder / "letters"))
        packets.bind(str(folder / "packets"))
        places = folder / "socket", folder / "letters", folder / "packets"
        for path in places:
            path.chmod(0o777)
        for one in (tcp, abstract, local, packets):
            one.listen(100)
        with _victim(any_box) as victim:
            words = f"upskill-{name}-{os.getpid()}"
            ports = tcp.getsockname()[1], udp.getsockname()[1]
            yield Targets(home, store, *ports, words, *places, victim.pid, shown, *shared)
            victim.kill()
    shutil.rmtree(folder)


@contextmanager
def _shared() -> Iterator[tuple[int, int, int]]:
    """Memory, a semaphore and a queue of System V, which a number reaches from everywhere; open to all users."""
    libc = ctypes.CDLL(None)
    how = 0o1666
    made = libc.shmget(0, 4096, how), libc.semget(0, 1, how), libc.msgget(0, how)
    try:
        yield made
    finally:
        libc.shmctl(made[0], 0, None)
        libc.semctl(made[1], 0, 0)
        libc.msgctl(made[2], 0, None)


def _local() -> socket.socket:
    return socket.socket(socket.AF_UNIX)


def _victim(box: Box) -> subprocess.Popen[bytes]:
    user = NOBODY if box.user.process else None
    return subprocess.Popen(["sleep", "60"], user=user, group=user, env={KEY: "secret"})


ATTACKS = {
    "reads a file of the home": "read:{home}/secret.h",
    "lists the home": "list:{home}",
    "reads the verdicts": "read:{store}/verdicts",
    "writes into the store": "write:{store}/new",
    "writes to the verdicts": "write:{store}/verdicts",
    "links the verdicts into its own folder": "link:{store}/verdicts",
    "changes the mode of the verdicts": "mode:{store}/verdicts",
    "changes the time of the verdicts": "age:{store}/verdicts",
    "connects by TCP": "tcp:{tcp}",
    "sends by UDP": "udp:{udp}",
    "connects to an abstract socket": "abstract:{abstract}",
    "connects to a socket in the file system": "local:{local}",
    "connects to a socket of packets": "packet:{packets}",
    "writes to a socket in the file system from one of a pair": "dgram:{letters}",
    "has the kernel keep more for a socket": "swell",
    "keeps a descriptor where no process has it": "mail",
    "talks to the kernel by netlink": "netlink",
    "signals another process of the user": "signal:{victim}",
    "signals its parent": "signal:{parent}",
    "reads the environment of another process": "environ:{victim}",
    "reads the environment of its parent": "environ:{parent}",
    "opens the memory of another process": "mem:{victim}",
    "has another process die first": "doom:{victim}",
    "traces another process": "trace:{victim}",
    "changes the limits of another process": "starve:{victim}",
    "slows another process": "slow:{victim}",
    "becomes root of a user namespace": "user",
    "becomes root of a user namespace by clone": "userclone",
    "sets up io_uring": "ring",
    "reads the user's keyring": "keys",
    "takes a file that no folder holds": "memfd",
    "takes memory that no process holds": "shared",
    "writes into the memory that others share": "segment:{segment}",
    "raises the semaphore of others": "semaphore:{semaphore}",
    "writes into the queue of others": "queue:{queue}",
    "keeps others from writing to what it may read": "lease:{shown}",
    "changes the flags of what it may read": "flags:{shown}",
    "sees who opens what it may read": "watch:{shown}",
    "hides from its watch": "hide",
    # Last, for it leaves nothing to attack.
    "empties the verdicts by opening them": "empty:{store}/verdicts",
    "empties the verdicts by their name": "truncate:{store}/verdicts",
    "deletes the verdicts": "unlink:{store}/verdicts",
}


@dataclass(frozen=True)
class Told:
    """Which attacks worked in the sandbox, there with the nodes of a driver, and without it."""

    inside: dict[str, bool]
    with_device: dict[str, bool]
    outside: dict[str, bool]


@pytest.fixture(scope="module", name="told")
def _told(any_box: Box, targets: Targets) -> Told:
    """A program is started once for all attacks, at last where they work and leave nothing to attack."""
    words = tuple(word.format(**vars(targets), parent=any_box.user.pid) for word in ATTACKS.values())
    inside, with_device = any_box.attack(*words), any_box.attack(*words, devices=True)
    return Told(*(_answers(ran.stdout) for ran in (inside, with_device, any_box.without.attack(*words))))


def _answers(text: str) -> dict[str, bool]:
    said = [line.rpartition(" ")[2] == "yes" for line in text.splitlines()]
    return dict(zip(ATTACKS, said, strict=True))


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_attack_that_works_outside_works_inside(attack: str, told: Told) -> None:
    if attack == "changes the flags of what it may read" and not told.outside[attack]:
        pytest.skip("files of this file system have no flags")
    assert told.outside[attack]
    assert not told.inside[attack]
    # A driver keeps its own memory in such files; whatever is in them counts as the process' memory.
    assert told.with_device[attack] == (attack == "takes a file that no folder holds")


def test_with_a_device_a_driver_can_start(any_box: Box) -> None:
    assert any_box.attack("start", devices=True).stdout == "refused: nothing\n"
    assert any_box.without.attack("start").stdout == "refused: nothing\n"
    # What compilers do without.
    assert any_box.attack("start").stdout != "refused: nothing\n"


def test_the_removal_of_what_is_left_changes_no_mode_outside(box: Box, open_folder: Path) -> None:
    outside = open_folder / f"outside-{box.level}-{box.user.name}"
    outside.mkdir(0o755)
    if box.user.process:
        os.chown(outside, NOBODY, NOBODY)
    # Under Landlock there is no chmod with which a folder could be closed to its owner.
    closed = "yes" if box.level == "bubblewrap" else "no"
    assert box.attack(f"lock:{outside}").stdout == f"lock:{outside} {closed}\n"
    assert stat.S_IMODE(outside.stat().st_mode) == 0o755
