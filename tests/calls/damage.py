"""A store to be damaged, and ways to damage it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from pytest_upskill.calls.store import Store
from pytest_upskill.types import Reply, Usage

COUNT = 300
PAGE = 4096
ENDPOINT = "openai:m"


def key(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def reply(number: int) -> Reply:
    return Reply(f"{number} " + "x" * 600, "m-1", Usage(10, 5), "stop", 0.5)


KEYS = [key(number) for number in range(COUNT)]


async def filled(store: Store, numbers: Iterable[int]) -> None:
    await asyncio.gather(*(store.put(key(number), reply(number), ENDPOINT) for number in numbers))


def made(folder: Path) -> Path:
    """Make a store as a run leaves it."""

    async def fill() -> None:
        store = Store(folder)
        await filled(store, range(COUNT))
        await store.add_batch("batch_1", ENDPOINT, KEYS[:3])
        await store.close()

    asyncio.run(fill())
    return folder


def spoil(folder: Path, change: Callable[[bytearray], object]) -> None:
    path = folder / "store.sqlite3"
    data = bytearray(path.read_bytes())
    change(data)
    # In place: a process that has it open must see it.
    with path.open("r+b") as file:
        file.write(data)
        file.truncate(len(data))


def zero_page(number: int) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        data[number * PAGE : (number + 1) * PAGE] = bytes(PAGE)

    return change


def cut(data: bytearray) -> None:
    del data[len(data) // 2 :]


def empty(data: bytearray) -> None:
    data.clear()


def garbage(data: bytearray) -> None:
    data[:] = b"no database" * 100


def used(folder: Path, use: Callable[[Store], object]) -> tuple[int, list[str]]:
    """Use a store, then everything else; return how many replies were there and what was said."""
    said: list[str] = []

    async def run() -> int:
        store = Store(folder, said.append)
        result = use(store)
        if asyncio.iscoroutine(result):
            await result
        there = [store.get(one) for one in KEYS]
        assert [answer for number, answer in enumerate(there) if answer not in (None, reply(number))] == []
        await filled(store, range(COUNT))
        assert [store.get(one) for one in KEYS] == [reply(number) for number in range(COUNT)]
        assert store.present(KEYS) == set(KEYS)
        await store.close()
        return COUNT - there.count(None)

    return asyncio.run(run()), said
