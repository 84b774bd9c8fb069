"""Claims: of all processes that share a store, one at a time has a key, and a process that dies has none."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_upskill.calls import claims as module
from pytest_upskill.calls.claims import Claims, claimed
from pytest_upskill.calls.means import Means, Setting
from pytest_upskill.calls.measure import Measurer, Requests
from pytest_upskill.calls.store import Store
from pytest_upskill.types import Outcome, Reply
from tests.calls.fakes import MODEL, Fake, Has, case, gate, prompt_of, scoring, suite

KEY, OTHER = (hashlib.sha256(name).digest() for name in (b"one", b"other"))
# Each line it reads is a claim to take or to release; it answers with what it got.
HOLDER = """
import sys
from pathlib import Path
from pytest_upskill.calls.claims import Claims
claims = Claims(Path(sys.argv[1]))
print("ready", flush=True)
for line in sys.stdin:
    verb, key = line.split()
    print({"take": claims.take, "release": claims.release}[verb](bytes.fromhex(key)), flush=True)
"""


class Holder:
    """Another process with claims in the same folder."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-c", HOLDER, str(folder)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self.answer()

    def answer(self) -> str:
        if self.process.stdout is None:
            raise RuntimeError("no standard output")
        return self.process.stdout.readline().strip()

    def tell(self, verb: str, key: bytes) -> str:
        if self.process.stdin is None:
            raise RuntimeError("no standard input")
        self.process.stdin.write(f"{verb} {key.hex()}\n")
        self.process.stdin.flush()
        return self.answer()


@contextmanager
def holding(folder: Path) -> Iterator[Holder]:
    holder = Holder(folder)
    with holder.process:
        try:
            yield holder
        finally:
            holder.process.kill()


@contextmanager
def opened(folder: Path) -> Iterator[Claims]:
    claims = Claims(folder)
    try:
        yield claims
    finally:
        claims.close()


def test_a_key_that_another_process_has_cannot_be_taken_until_it_is_released(tmp_path: Path) -> None:
    with opened(tmp_path) as claims, holding(tmp_path) as holder:
        assert holder.tell("take", KEY) == "True"
        assert not claims.take(KEY)
        assert claims.take(OTHER)
        assert holder.tell("take", OTHER) == "False"
        holder.tell("release", KEY)
        assert claims.take(KEY)
        claims.release(OTHER)
        assert holder.tell("take", OTHER) == "True"


def test_what_a_killed_process_had_is_free(tmp_path: Path) -> None:
    with opened(tmp_path) as claims, holding(tmp_path) as holder:
        assert holder.tell("take", KEY) == "True"
        assert not claims.take(KEY)
        holder.process.kill()
        holder.process.wait(10)
        assert claims.take(KEY)


def test_a_key_is_taken_once_in_a_process_as_well(tmp_path: Path) -> None:
    with opened(tmp_path) as claims:
        assert claims.take(KEY)
        assert not claims.take(KEY)
        claims.release(KEY)
        assert claims.take(KEY)


def test_two_claims_of_one_process_on_one_folder_keep_each_other_out(tmp_path: Path) -> None:
    with (
        opened(tmp_path) as first,
        opened(tmp_path / "x" / "..") as second,
        opened(tmp_path / "other") as third,
    ):
        assert first.take(KEY)
        assert not second.take(KEY)
        assert third.take(KEY)
        second.release(KEY)  # not its own
        assert not second.take(KEY)
        first.release(KEY)
        assert second.take(KEY)


def test_closing_one_of_two_claims_of_a_process_lets_nothing_go_of_the_other(tmp_path: Path) -> None:
    with holding(tmp_path) as holder, opened(tmp_path) as first:
        assert first.take(KEY)
        with opened(tmp_path) as second:
            assert second.take(OTHER)
        assert holder.tell("take", OTHER) == "True"
        assert holder.tell("take", KEY) == "False"
        first.close()
        assert holder.tell("take", KEY) == "True"


def test_closed_claims_can_be_used_again(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    claims.close()
    assert claims.take(KEY)
    claims.close()
    claims.close()
    assert claims.take(KEY)
    claims.close()


def test_no_claim_is_given_twice_to_many_threads(tmp_path: Path) -> None:
    got: list[bool] = []
    with opened(tmp_path) as claims:
        together = threading.Barrier(8)

        def take() -> None:
            together.wait()
            got.extend(claims.take(b"%d" % number) for number in range(50))

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert sum(got) == 50


def test_claims_make_no_file_before_one_is_taken(tmp_path: Path) -> None:
    Claims(tmp_path / "folder").close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_where_nothing_can_be_locked_every_process_makes_its_calls(
    tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, place: int) -> bool:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(module, "lock_byte", refuse)
    monkeypatch.setattr(module, "unlock_byte", refuse)
    with opened(tmp_path) as claims:
        assert claims.take(KEY)
        claims.release(KEY)
        assert claims.take(KEY)


def test_a_folder_that_cannot_be_used_keeps_nobody_from_calling(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with opened(tmp_path / "file") as claims:
        assert claims.take(KEY)
        claims.release(KEY)
        assert claims.take(KEY)


# Waiting for the reply that another process is getting.


async def waited(store: Store, claims: Claims) -> Reply | None:
    return await asyncio.wait_for(claimed(claims, store, KEY, 60), 10)


def test_a_claim_that_is_free_is_ours_at_once(tmp_path: Path) -> None:
    async def use() -> None:
        store = Store(tmp_path)
        with opened(tmp_path) as claims:
            assert await waited(store, claims) is None
            assert not claims.take(KEY)
        await store.close()

    asyncio.run(use())


def test_a_reply_that_is_there_is_returned_and_the_claim_let_go(tmp_path: Path) -> None:
    async def use() -> None:
        store = Store(tmp_path)
        await store.put(KEY, Reply("yes"))
        with opened(tmp_path) as claims:
            assert await waited(store, claims) == Reply("yes")
            assert claims.take(KEY)
        await store.close()

    asyncio.run(use())


def test_the_reply_of_the_other_process_comes_as_soon_as_it_is_stored(tmp_path: Path) -> None:
    async def use() -> float:
        store, other = Store(tmp_path), Store(tmp_path)
        with opened(tmp_path) as claims, holding(tmp_path) as holder:
            assert holder.tell("take", KEY) == "True"
            waiting = asyncio.ensure_future(waited(store, claims))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            await other.put(KEY, Reply("yes"))
            begun = time.perf_counter()
            assert await waiting == Reply("yes")  # though the claim is still held
            taken = time.perf_counter() - begun
            assert holder.tell("take", KEY) == "False"
        await store.close()
        await other.close()
        return taken

    assert asyncio.run(use()) < 0.5


def test_the_claim_of_a_process_that_dies_without_a_reply_becomes_ours(tmp_path: Path) -> None:
    async def use() -> None:
        store = Store(tmp_path)
        with opened(tmp_path) as claims, holding(tmp_path) as holder:
            assert holder.tell("take", KEY) == "True"
            waiting = asyncio.ensure_future(waited(store, claims))
            await asyncio.sleep(0.05)
            holder.process.kill()
            assert await waiting is None
            assert not claims.take(KEY)
        await store.close()

    asyncio.run(use())


def test_a_store_that_cannot_be_read_lets_the_claim_go(tmp_path: Path) -> None:
    async def use() -> None:
        store = Store(tmp_path / "store")
        (tmp_path / "store" / "store.sqlite3").mkdir(parents=True)
        with opened(tmp_path) as claims:
            with pytest.raises(Exception, match="cannot be used as a store"):
                await waited(store, claims)
            assert claims.take(KEY)
        await store.close()

    asyncio.run(use())


def test_a_process_that_has_a_claim_and_does_nothing_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    async def use() -> None:
        store = Store(tmp_path)
        with opened(tmp_path) as claims, holding(tmp_path) as holder:
            assert holder.tell("take", KEY) == "True"
            holder.process.send_signal(signal.SIGSTOP)
            assert await claimed(claims, store, KEY, 0.1) is None
            assert not claims.has(KEY)
            claims.release(KEY)  # not ours
            holder.process.send_signal(signal.SIGCONT)
            assert holder.tell("take", KEY) == "False"
            assert not claims.take(KEY)
        await store.close()

    asyncio.run(use())


def test_a_run_says_that_it_waits_for_another_and_in_the_end_makes_the_call_itself(tmp_path: Path) -> None:
    said: list[str] = []
    model = replace(MODEL, deadline=0.2, timeout=0.1)
    first, second = gate(suite(case("a")), model).samples
    provider = Fake()
    requests = Requests(prompt_of, {"m": provider})

    async def use() -> list[Outcome]:
        store, claims = Store(tmp_path), Claims(tmp_path)
        means = Means({"m": provider}, Setting(notice=said.append), store, claims)
        made = Measurer(requests, means, scoring({"has": Has()}))
        assert means.words() == ""
        waiting = [asyncio.ensure_future(made.measure(sample)) for sample in (first, second)]
        await asyncio.sleep(0.1)
        assert means.words() == "1 reply is awaited from another run"
        found = await asyncio.wait_for(asyncio.gather(*waiting), 5)
        assert means.words() == ""
        await made.close()
        return found

    with holding(tmp_path) as holder:
        assert holder.tell("take", requests.key(first)) == "True"
        found = asyncio.run(use())
    assert [(one.hit, one.source) for one in found] == [(True, "call")] * 2
    assert len(provider.requests) == 2
    assert said == [
        "m: another run that shares the store has been asking for the same replies for 0 s: they are asked for here as "
        "well"
    ]
