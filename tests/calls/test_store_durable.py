"""The store beside other processes, and when its own is killed or stopped."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from pytest_upskill.calls.store import Store, StoreError
from pytest_upskill.types import Reply

WRITER = """
import asyncio, sys
from pathlib import Path
from pytest_upskill.calls.store import Store
from pytest_upskill.types import Reply

async def main(folder, name, count):
    store = Store(Path(folder))
    async def one(number):
        await store.put(f"{name}-{number}".encode(), Reply(f"reply {name} {number} " + "x" * 2000))
        print(f"{name}-{number}", flush=True)
    for start in range(0, count, 4):
        await asyncio.gather(*(one(start + step) for step in range(4)))
    await store.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def writer(folder: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def missing(folder: Path, names: Iterable[str]) -> set[str]:
    wanted = {name.encode() for name in names}
    return {key.decode() for key in wanted - Store(folder).present(list(wanted))}


def test_what_put_returned_for_is_there_for_another_process(tmp_path: Path) -> None:
    with writer(tmp_path, "a", 10_000_000) as process:
        if process.stdout is None:
            raise RuntimeError("no standard output")
        lines = [process.stdout.readline().strip() for _ in range(20)]
        assert missing(tmp_path, lines) == set()
        process.kill()


def test_nothing_that_put_returned_for_is_lost_to_a_kill(tmp_path: Path) -> None:
    moments = random.Random(1)
    told: list[str] = []
    for turn in range(6):
        with writer(tmp_path, f"turn{turn}", 10_000_000) as process:
            if process.stdout is None:
                raise RuntimeError("no standard output")
            told.append(process.stdout.readline().strip())
            time.sleep(moments.uniform(0.0, 0.05))
            process.kill()
            told += [line.strip() for line in process.stdout if line.endswith("\n")]
    assert len(told) > 6
    assert missing(tmp_path, told) == set()


def test_processes_that_begin_a_store_at_once_and_write_to_it_all_succeed(tmp_path: Path) -> None:
    processes = [writer(tmp_path, name, 40) for name in "abcd"]
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert missing(tmp_path, out.split()) == set()
    with contextlib.closing(sqlite3.connect(tmp_path / "store.sqlite3")) as connection:
        assert connection.execute("SELECT count(*) FROM replies").fetchone() == (160,)


def test_a_store_can_be_made_by_many_at_once(tmp_path: Path) -> None:
    failures: list[BaseException] = []
    for turn in range(20):
        together = threading.Barrier(8)

        def make(folder: Path = tmp_path / str(turn), together: threading.Barrier = together) -> None:
            together.wait()
            try:
                asyncio.run(put_one(folder))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=make) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert failures == []


async def put_one(folder: Path) -> None:
    store = Store(folder)
    await store.put(b"key", Reply("yes"))
    await store.close()


def test_a_writer_waits_while_another_process_writes(tmp_path: Path) -> None:
    asyncio.run(put_one(tmp_path))
    other = sqlite3.connect(tmp_path / "store.sqlite3", check_same_thread=False, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.3, other.execute, ["COMMIT"])
    timer.start()
    begun = time.perf_counter()
    asyncio.run(put_one(tmp_path))
    assert time.perf_counter() - begun > 0.2
    timer.join()
    other.close()


def test_the_loop_goes_on_while_the_disk_is_waited_for(tmp_path: Path) -> None:
    async def turns_while_waiting() -> int:
        store = Store(tmp_path)
        await store.put(b"first", Reply("yes"))
        other = sqlite3.connect(tmp_path / "store.sqlite3", check_same_thread=False, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.ensure_future(store.put(b"second", Reply("yes")))
        turns = 0
        for _ in range(20):
            await asyncio.sleep(0.005)
            turns += not waiting.done()
        other.execute("COMMIT")
        other.close()
        await waiting
        await store.close()
        return turns

    assert asyncio.run(turns_while_waiting()) == 20


def test_replies_that_wait_together_are_written_in_one_transaction(tmp_path: Path) -> None:
    written: list[int] = []

    class Counting(Store):
        def _write(self, statements: Sequence[tuple[str, tuple[object, ...]]]) -> StoreError | None:
            written.append(len(statements))
            return super()._write(statements)

    async def put_many() -> None:
        store = Counting(tmp_path)
        await asyncio.gather(*(store.put(str(n).encode(), Reply("yes")) for n in range(100)))
        await store.close()

    asyncio.run(put_many())
    assert sum(written) == 100
    assert len(written) <= 2


@pytest.mark.parametrize("turns", range(6))
def test_a_reply_whose_waiter_was_cancelled_is_written_all_the_same(turns: int, tmp_path: Path) -> None:
    async def cancel() -> None:
        store = Store(tmp_path)
        waiting = [asyncio.ensure_future(store.put(str(n).encode(), Reply("yes"))) for n in range(3)]
        for _ in range(turns + 1):
            await asyncio.sleep(0)
        # As the end of a loop does: everything that runs, the store's own task too.
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.wait(waiting)
        await store.close()

    asyncio.run(cancel())
    assert missing(tmp_path, "012") == set()


def test_a_store_that_breaks_during_the_run_tells_everybody_who_waits(tmp_path: Path) -> None:
    async def use() -> list[BaseException | None]:
        store = Store(tmp_path)
        await store.put(b"first", Reply("yes"))
        with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as other:
            other.execute("DROP TABLE replies")
        found = await asyncio.gather(
            *(store.put(str(n).encode(), Reply("yes")) for n in range(5)), return_exceptions=True
        )
        await store.close()
        return found

    found = asyncio.run(asyncio.wait_for(use(), 10))
    assert {str(error) for error in found} == {
        f"{tmp_path / 'store.sqlite3'}: cannot be written: no such table: replies; move it away, or name another "
        "folder with --upskill-cache-dir"
    }
