"""The SDK clients of a run, shared by the models that call one server with one key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import asyncio

    from pytest_upskill.providers.posts import Posts


@dataclass(frozen=True, slots=True)
class Address:
    """What makes a client: the SDK, the server, and the key; None where the choice is the SDK's."""

    sdk: str
    url: str | None
    key: str | None = field(repr=False)


class _Shared:
    __slots__ = ("posts", "users")

    def __init__(self, posts: Posts) -> None:
        self.posts = posts
        self.users = 1


class SharedClients:
    """Hands out one client for each address and loop, and closes it with its last user."""

    def __init__(self) -> None:
        # By loop, as connections belong to the loop on which they were made. Weakly: a loop that was left
        # without closing takes its clients with it.
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Address, _Shared]] = (
            WeakKeyDictionary()
        )

    def take(self, address: Address, make: Callable[[], Posts]) -> Posts:
        """Return the running loop's client for an address, made if nobody has it; to be given back."""
        clients = self._of_loop()
        shared = clients.get(address)
        if shared is None:
            shared = clients[address] = _Shared(make())
        else:
            shared.users += 1
        return shared.posts

    async def give_back(self, address: Address) -> None:
        """Take note that a user is done, on the loop on which the client was taken."""
        clients = self._of_loop()
        shared = clients[address]
        shared.users -= 1
        if shared.users == 0:
            del clients[address]
            await shared.posts.close()

    def _of_loop(self) -> dict[Address, _Shared]:
        import asyncio

        return self._loops.setdefault(asyncio.get_running_loop(), {})
