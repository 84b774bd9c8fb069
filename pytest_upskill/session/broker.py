"""The broker: serves the controller's answers to xdist workers over a loopback socket.

One JSON message each way. A connection begins with the authkey's challenge, as in `multiprocessing.connection`,
and belongs to one worker; a worker that dies takes only its own connection with it.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from pytest_upskill.session.controller import Controller

INPUT_KEY = "pytest_upskill"


class Broker:
    """A listening socket, made before workers start and served only once one of them has found a skill."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._authkey = os.urandom(32).hex()
        self._collected: dict[str, threading.Event] = {}
        self._controller: Controller | None = None
        self._lock = threading.Lock()
        self.failure: str | None = None

    @property
    def worker_input(self) -> dict[str, str | int]:
        """What a worker needs to call back."""
        return {"port": self._socket.getsockname()[1], "authkey": self._authkey}

    def serve(self, controller: Controller) -> None:
        """Begin to accept workers; further calls do nothing."""
        with self._lock:
            if self._controller is not None:
                return
            self._controller = controller
        threading.Thread(target=self._accept, name="upskill-broker", daemon=True).start()

    def wait_collected(self, worker: str, seconds: float) -> bool:
        """Wait until a worker has said what it collected."""
        return self._event(worker).wait(seconds)

    def close(self) -> None:
        self._socket.close()

    def _event(self, worker: str) -> threading.Event:
        with self._lock:
            return self._collected.setdefault(worker, threading.Event())

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._socket.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(accepted,), name="upskill-worker", daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        from multiprocessing import AuthenticationError
        from multiprocessing.connection import Connection, answer_challenge, deliver_challenge

        authkey = bytes.fromhex(self._authkey)
        with Connection(accepted.detach()) as connection:
            try:
                deliver_challenge(connection, authkey)
                answer_challenge(connection, authkey)
                while True:
                    self._answer(connection, json.loads(connection.recv_bytes()))
            except (EOFError, OSError, AuthenticationError):
                return

    def _answer(self, connection: Connection, message: dict[str, Any]) -> None:
        controller = self._controller
        if controller is None:
            return
        if message["ask"] == "collected":
            try:
                controller.select((root, name) for root, name in message["places"])
            except Exception as error:  # noqa: BLE001 - told to the run by the main thread, which waits for this
                self.failure = str(error)
            self._event(message["worker"]).set()
            return
        ask = controller.sample if message["ask"] == "sample" else controller.gate
        try:
            answer = ask((message["root"], message["name"]))
        except Exception as error:  # noqa: BLE001 - the worker must get an answer
            connection.send_bytes(json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode())
            return
        connection.send_bytes(json.dumps({"answer": answer.as_dict()}).encode())
