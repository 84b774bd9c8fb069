"""The worker's side of the broker: says what was collected, and asks for one answer at a time."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from pytest_upskill.session.answers import Answer, Place, from_dict

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


class BrokerSource:
    """Asks the controller. Connects on a thread: the controller serves only after this worker's collection."""

    def __init__(self, worker_input: dict[str, Any], worker: str) -> None:
        self._address = ("127.0.0.1", int(worker_input["port"]))
        self._authkey = bytes.fromhex(worker_input["authkey"])
        self._worker = worker
        self._places: list[tuple[str, str]] = []
        self._connection: Connection | None = None
        self._greeting: threading.Thread | None = None

    def collected(self, places: list[tuple[str, str]]) -> None:
        """Tell the controller which items were collected, without waiting for it."""
        self._places = places
        self._greeting = threading.Thread(target=self._greet, name="upskill-greeting", daemon=True)
        self._greeting.start()

    def sample(self, place: Place) -> Answer:
        return self._ask("sample", place)

    def gate(self, place: Place) -> Answer:
        return self._ask("gate", place)

    def _greet(self) -> None:
        try:
            self._connect().send_bytes(
                json.dumps({"ask": "collected", "worker": self._worker, "places": self._places}).encode()
            )
        except (OSError, EOFError):
            self._connection = None

    def _ask(self, kind: str, place: Place) -> Answer:
        if self._greeting is not None:
            self._greeting.join()
            self._greeting = None
        try:
            connection = self._connection or self._connect()
            connection.send_bytes(json.dumps({"ask": kind, "root": place[0], "name": place[1]}).encode())
            message = json.loads(connection.recv_bytes())
        except (OSError, EOFError) as error:
            self._drop()
            return Answer(error=f"the controller does not answer: {type(error).__name__}")
        except BaseException:
            # A time limit may strike half-way through a message: the rest of it must not answer the next one.
            self._drop()
            raise
        if "failed" in message:
            return Answer(error=f"the controller failed: {message['failed']}")
        return from_dict(message["answer"])

    def _connect(self) -> Connection:
        from multiprocessing.connection import Client

        self._connection = Client(self._address, family="AF_INET", authkey=self._authkey)
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
