"""Where jobs are executed: on this machine, each of its devices by one thread, or wherever an executor takes them."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Executor, Future, ThreadPoolExecutor

from pytest_upskill.kernels.data import Job
from pytest_upskill.kernels.devices import Seen
from pytest_upskill.kernels.execute import Executed, execute
from pytest_upskill.kernels.judge import JudgePool


class Local:
    """This machine. Jobs wait for their turn here, and for those of other processes at the device's lock.

    Args:
        seen: the devices it has, one at least.
        hidden: environment variables that the processes may not see.
    """

    def __init__(self, seen: Seen, hidden: Collection[str]) -> None:
        self._seen = seen
        self._judges = JudgePool(hidden=hidden)
        self._threads = ThreadPoolExecutor(len(seen.devices), thread_name_prefix="upskill-device")

    def submit(self, job: Job) -> Future[Executed]:
        """Execute a job when its turn comes."""
        return self._threads.submit(execute, job, self._judges, None, self._seen)

    def close(self) -> None:
        """End what is executed, and the processes."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._judges.close()
        self._threads.shutdown(wait=True)


class Elsewhere:
    """An executor that somebody registered."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, job: Job) -> Future[Executed]:
        """Hand a job over: a function of this package and plain data, and plain data comes back."""
        return self._executor.submit(execute, job)

    def close(self) -> None:
        """Cancel what has not begun."""
        self._executor.shutdown(wait=False, cancel_futures=True)
