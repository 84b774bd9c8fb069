"""The process between us and a sandboxed command: it starts it, watches its limits, and leaves nothing of it.

It runs outside the sandbox, as a process of its own, because a process alone can adopt the orphans of a tree (one that
calls setsid and forks twice leaves its group, not its adopter), and so that the tree dies with whoever asked for it,
even by SIGKILL. What it imports is little, for it is started for every command.
"""

from __future__ import annotations

import marshal
import os
import resource
import select
import time

from pytest_upskill.kernels.sandbox import kernel, tree
from pytest_upskill.kernels.sandbox.plan import FIRST_OWN_UID, OWN_UID, Plan, receive
from pytest_upskill.kernels.sandbox.watch import Watch

_EVERY_MS = 50
_CPU, _FILE_SIZE, _KILLED = 24, 25, 9
_BY_SIGNAL = 128
_LAST_SIGNAL = 64
_TICK = 1 / os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """The command could not be started."""


def main(control: int) -> None:
    """Read a plan from the control socket, do it, and answer with what became of it."""
    try:
        plan = receive(control)
    except EOFError:
        return
    start = time.monotonic()
    try:
        answer = _supervise(plan, control, start)
    except (Failed, OSError) as error:
        answer = ("failed", str(error))
        tree.end_all(None, {})
    try:
        os.write(control, marshal.dumps(answer))
    except OSError:
        # Whoever asked is gone, and the tree with it.
        return


def _supervise(plan: Plan, control: int, start: float) -> tuple[int | float | str | None, ...]:
    own = FIRST_OWN_UID + os.getpid() if plan.own_uid else None
    kernel.adopt_orphans()
    if own is not None:
        _give(plan.workdir, own)
    child, told = _start(plan, own)
    # Held here, these would keep the other side from seeing that the command is gone.
    for descriptor in (0, 1, 2, *plan.keep):
        os.close(descriptor)
    watch = Watch(plan)
    ended = _wait(plan, control, child, watch, start)
    statuses: dict[int, int] = {}
    left = tree.end_all(None if plan.bubblewrap else own, statuses)
    if not ended and watch.disk_is_over([]):
        ended = "disk"
    if told is not None and not ended and b'"exit-code"' not in os.read(told, 65536):
        raise Failed("bwrap did not start it")
    return ("done", *_outcome(plan, statuses.get(child), ended), time.monotonic() - start, left)


def _wait(plan: Plan, control: int, child: int, watch: Watch, start: float) -> str:
    """Wait for the command; return the limit that it passed, `killed`, or nothing where it ended by itself."""
    poll = select.poll()
    ending = os.pidfd_open(child)
    poll.register(ending, select.POLLIN)
    poll.register(control, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll(_EVERY_MS)}
        if control in ready:
            return "killed"
        if ending in ready:
            return ""
        if time.monotonic() - start > plan.wall:
            return "wall"
        over = watch.over()
        if over:
            return over


def _outcome(plan: Plan, status: int | None, ended: str) -> tuple[int | None, int | None, str]:
    if status is None:
        return None, None, ended or "killed"
    code = os.waitstatus_to_exitcode(status)
    number = -code if code < 0 else None
    if plan.bubblewrap and _BY_SIGNAL < code <= _BY_SIGNAL + _LAST_SIGNAL:
        # bwrap says a signal as a shell does.
        number = code - _BY_SIGNAL
    if number is None:
        return (None, None, ended) if ended else (code, None, "exited")
    return None, number, ended or _by_signal(plan, number)


def _by_signal(plan: Plan, number: int) -> str:
    times = os.times()
    # The kernel counts in finer steps than it tells.
    used = times.children_user + times.children_system + _TICK
    if number == _CPU or (number == _KILLED and used >= plan.cpu):
        return "cpu"
    return "disk" if number == _FILE_SIZE else "signal"


def _give(folder: str, own: int) -> None:
    """Give the working folder to the own user; but no file that has another name elsewhere, as a store's may."""
    os.chown(folder, own, own)
    for above, folders, files, here in os.fwalk(folder, follow_symlinks=False):
        del above
        for name in (*folders, *files):
            status = os.stat(name, dir_fd=here, follow_symlinks=False)
            if name in folders or status.st_nlink == 1:
                os.chown(name, own, own, dir_fd=here, follow_symlinks=False)


def _start(plan: Plan, own: int | None) -> tuple[int, int | None]:
    """Start the command; return its process, and what bwrap tells its state on. Raises `Failed`."""
    command, kept, told = list(plan.command), list(plan.keep), None
    if plan.bubblewrap:
        told, tell = os.pipe()
        rules, write = os.pipe()
        os.write(write, plan.filter)
        os.close(write)
        command[1:1] = ["--json-status-fd", str(tell), "--seccomp", str(rules)]
        if own is not None:
            command = [str(own) if word == OWN_UID else word for word in command]
        kept += [tell, rules]
    failing, fail = os.pipe()
    supervisor, child = os.getpid(), os.fork()
    if not child:
        try:
            _enter(plan, own, supervisor, [*kept, fail])
            os.execve(command[0], command, plan.environment)  # noqa: S606 - what it is for
        except BaseException as error:  # noqa: BLE001 - nothing may go on in a copy of the supervisor
            os.write(fail, f"{command[0]}: {error}".encode(errors="replace"))
        finally:
            os._exit(127)
    for descriptor in (fail, *kept[len(plan.keep) :]):
        os.close(descriptor)
    text = os.read(failing, 4096).decode(errors="replace")
    os.close(failing)
    if text:
        raise Failed(text)
    return child, told


def _enter(plan: Plan, own: int | None, supervisor: int, kept: list[int]) -> None:
    # Without a session of its own it could push characters into the user's terminal.
    os.setsid()
    os.chdir(plan.workdir)
    kernel.restore_signals()
    _prefer_for_out_of_memory()
    for name, limit in plan.rlimits:
        _limit(name, limit)
    if plan.ruleset and own is not None:
        kernel.become(own, plan.reach, plan.groups)
    elif plan.ruleset:
        kernel.keep_capabilities(0)
    # After the change of user, which clears it.
    kernel.die_with(supervisor)
    if plan.count_others:
        _limit_processes(plan.processes)
    _keep(kept)
    if plan.ruleset:
        kernel.gain_no_privileges()
        kernel.restrict(plan.ruleset, plan.rules)
        kernel.filter_calls(plan.filter)


def _keep(kept: list[int]) -> None:
    """Close all descriptors but the first three and these; the last of them is for this process alone."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - pathlib costs the supervisor 10 ms
        if int(name) > 2 and int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                # The one that the listing itself was read through.
                continue
    for descriptor in kept[:-1]:
        os.set_inheritable(descriptor, True)


def _limit(name: int, limit: int) -> None:
    _, hard = resource.getrlimit(name)
    lower = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    higher = lower
    if name == resource.RLIMIT_CPU:
        # At the soft limit SIGXCPU tells which it was; at the hard one it is SIGKILL, as of anybody.
        higher = lower + 1 if hard == resource.RLIM_INFINITY else min(lower + 1, hard)
    resource.setrlimit(name, (lower, higher))


def _prefer_for_out_of_memory() -> None:
    """Have the kernel take this tree first where memory runs out, not the supervisor or anybody else."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
            file.write("1000")
    except OSError:
        return


def _limit_processes(most: int) -> None:
    """Let this user have so many processes more than now.

    The kernel counts processes that /proc does not show (of other containers with the same user), so that the count
    is found by trying to fork.
    """
    now = 1
    while not _can_fork(now):
        now *= 2
    _limit(resource.RLIMIT_NPROC, now + most)


def _can_fork(limit: int) -> bool:
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    if hard != resource.RLIM_INFINITY and limit >= hard:
        return True
    resource.setrlimit(resource.RLIMIT_NPROC, (limit, hard))
    try:
        pid = os.fork()
    except BlockingIOError:
        return False
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    return True
