from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pytest_upskill.scorers.child import READY
from pytest_upskill.scorers.isolate import Judges
from pytest_upskill.scorers.wire import Job, pack_job
from pytest_upskill.types import Check, Reply, ScoringContext
from tests.scorers.pool import EVIL, Scoring, error_of, is_running, run, write_checks


def test_nothing_is_started_before_the_first_job() -> None:
    async def work(judges: Judges) -> None:
        assert not judges._processes

    assert run(work) == []


def test_one_process_serves_all_jobs_that_come_one_by_one(scoring: Scoring) -> None:
    async def work(judges: Judges) -> None:
        for _ in range(5):
            await scoring(judges, "regex", "a", "a")

    assert len(run(work, size=3)) == 1


def test_there_are_never_more_processes_than_the_size_and_none_after_close(scoring: Scoring) -> None:
    async def work(judges: Judges) -> None:
        results = await asyncio.gather(*(scoring(judges, "regex", str(at), str(at)) for at in range(20)))
        assert [scores[0].evidence for scores in results] == [str(at) for at in range(20)]

    pids = run(work, size=2)
    assert len(pids) == 2
    assert not any(map(is_running, pids))


def test_close_ends_what_is_being_scored(scoring: Scoring) -> None:
    async def main() -> None:
        judges = Judges(1, 30.0)
        busy = asyncio.ensure_future(scoring(judges, "regex", "(a+)+$", EVIL))
        queued = asyncio.ensure_future(scoring(judges, "regex", "a", "a"))
        while not judges._processes:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        await judges.close()
        for job in (busy, queued, scoring(judges, "regex", "a", "a")):
            assert await error_of(job) == "the run is over: nothing can be scored any more"
        assert not judges._processes
        await judges.close()

    start = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - start < 10


def test_close_during_the_start_of_a_process_leaves_none(scoring: Scoring) -> None:
    async def main() -> None:
        judges = Judges(1)
        job = asyncio.ensure_future(scoring(judges, "regex", "a", "a"))
        await asyncio.sleep(0)
        await judges.close()
        assert await error_of(job) == "the run is over: nothing can be scored any more"
        assert not judges._processes

    asyncio.run(main())


def test_a_job_that_is_cancelled_ends_its_process(scoring: Scoring) -> None:
    async def work(judges: Judges) -> None:
        job = asyncio.ensure_future(scoring(judges, "regex", "(a+)+$", EVIL))
        while not judges._processes:
            await asyncio.sleep(0.01)
        (process,) = judges._processes
        await asyncio.sleep(0.2)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        assert not is_running(process.pid)
        assert (await scoring(judges, "regex", "a", "a"))[0].hit

    run(work, limit=30.0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no process groups to kill")
def test_what_a_scorer_started_ends_with_it(context: ScoringContext, scoring: Scoring) -> None:
    write_checks(
        context,
        "import subprocess, time\n"
        "def f(reply):\n"
        "    child = subprocess.Popen(['sleep', '60'])\n"
        "    open(reply.text, 'w').write(str(child.pid))\n"
        "    time.sleep(60)\n",
    )
    note = context.root / "pid"

    async def work(judges: Judges) -> None:
        assert await error_of(scoring(judges, "python", "checks:f", str(note))) == (
            'python "checks:f" took longer than 1 s on this reply; make the function faster'
        )

    run(work, limit=1.0)
    deadline = time.monotonic() + 5
    while _is_alive(int(note.read_text())) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _is_alive(int(note.read_text()))


def test_the_pool_works_on_a_loop_of_another_thread(scoring: Scoring) -> None:
    found: list[bool] = []

    async def work(judges: Judges) -> None:
        assert "0.5 s" in await error_of(scoring(judges, "regex", "(a+)+$", EVIL))
        found.append((await scoring(judges, "regex", "a", "a"))[0].hit)

    thread = threading.Thread(target=lambda: run(work, limit=0.5))
    thread.start()
    thread.join(30)
    assert found == [True]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no alarm signal")
def test_a_process_without_a_parent_ends_a_catastrophic_job_by_itself(context: ScoringContext) -> None:
    check = Check("regex", "(a+)+$")
    job = pack_job(Job("pytest_upskill.scorers.text:Regex", Reply(EVIL), check, context))
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; from pytest_upskill.scorers.child import main; main(0.05)"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        if process.stdin and process.stdout:
            assert process.stdout.readline() == READY
            process.stdin.write(job)
            process.stdin.flush()
        assert process.wait(20) == -signal.SIGALRM


def test_a_process_that_dies_is_the_error_of_one_sample(context: ScoringContext, scoring: Scoring) -> None:
    write_checks(
        context,
        "import os, sys\n"
        "def dies(reply):\n    print('out of luck', file=sys.stderr, flush=True)\n    os._exit(3)\n"
        "def crashes(reply):\n    os.kill(os.getpid(), 11)\n"
        "def lives(reply):\n    return True\n",
    )

    async def work(judges: Judges) -> None:
        assert await error_of(scoring(judges, "python", "checks:dies", "")) == (
            'python "checks:dies": its process ended with exit code 3; its last words: out of luck'
        )
        assert await error_of(scoring(judges, "python", "checks:crashes", "")) == (
            'python "checks:crashes": its process was killed by signal 11 (Segmentation fault)'
        )
        assert (await scoring(judges, "python", "checks:lives", ""))[0].hit

    run(work)


def test_a_process_that_dies_between_two_jobs_is_replaced(scoring: Scoring) -> None:
    async def work(judges: Judges) -> None:
        await scoring(judges, "regex", "a", "a")
        (process,) = judges._processes
        os.kill(process.pid, 9)
        while process.alive:
            await asyncio.sleep(0.01)
        assert (await scoring(judges, "regex", "a", "a"))[0].hit

    run(work)


def _is_alive(pid: int) -> bool:
    # An orphan that nobody reaps stays in the table as a zombie.
    stat = Path(f"/proc/{pid}/stat")
    if not Path("/proc/self").exists():
        return is_running(pid)
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
