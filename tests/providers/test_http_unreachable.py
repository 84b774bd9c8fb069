"""What a person reads when a server cannot be reached or breaks off."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.answers import HANG, RESET, TRUNCATED, Answer
from tests.loopback import Server
from tests.providers.api import Kind, base, both, clean, dead_port, failure

__all__ = ["clean"]


@both
def test_no_reply_in_time_is_lost(kind: Kind) -> None:
    with Server(script=[HANG]) as server:
        assert failure(kind, server.url, timeout=0.1, fault="lost") == (
            f"glm: no whole reply from {base(kind, server.url)} within 0.1 s",
            "timed out",
            False,
        )
    assert len(server.requests) == 1


STALLED = Answer(200, b'{"choices": [', promised=500, then="hang")


@both
@pytest.mark.parametrize(
    "answer", [Answer(200, b" " * 1000, trickle=0.05), STALLED], ids=["trickles", "stalls"]
)
def test_a_body_that_does_not_end_does_not_outlast_the_timeout(kind: Kind, answer: Answer) -> None:
    with Server(script=[answer]) as server:
        started = time.perf_counter()
        assert failure(kind, server.url, timeout=0.3, fault="lost")[1:] == ("timed out", False)
        assert 0.3 <= time.perf_counter() - started < 5


@both
@pytest.mark.parametrize("body", [b'{"error": {"mess', b""], ids=["trickles", "stalls"])
def test_nor_does_that_of_a_refusal(kind: Kind, body: bytes) -> None:
    with Server(script=[Answer(500, body, promised=500, then="hang")]) as server:
        assert failure(kind, server.url, timeout=0.2, fault="lost")[1:] == ("timed out", False)


CUT = Answer(200, b'{"choices": [', promised=500, then="reset")


@both
@pytest.mark.parametrize("fault", [TRUNCATED, CUT, RESET], ids=["closed", "reset", "before-the-head"])
def test_a_dropped_connection_is_lost_and_tried_once(kind: Kind, fault: Answer) -> None:
    with Server(script=[fault]) as server:
        assert failure(kind, server.url, fault="lost") == (
            f"glm: {base(kind, server.url)} dropped the connection before the reply was whole",
            "dropped",
            False,
        )
    assert server.counts["requests"] == 1


@both
def test_a_body_that_cannot_be_decompressed_is_lost(kind: Kind) -> None:
    with Server(script=[Answer(200, b"no gzip", {"content-encoding": "gzip"})]) as server:
        assert failure(kind, server.url, fault="lost") == (
            f"glm: {base(kind, server.url)} sent a body that cannot be decompressed",
            "broken body",
            False,
        )


@both
def test_an_answer_that_is_not_http_is_lost(kind: Kind) -> None:
    with garbage(b"220 mail.example ready\r\n") as url:
        message, short, fatal = failure(kind, url, fault="lost")
    assert message.startswith(f"glm: {base(kind, url)} answered with what is not HTTP: ")
    assert (short, fatal) == ("not HTTP", False)


@both
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_that_is_not_running_is_unreachable(kind: Kind, host: str) -> None:
    url = f"http://{host}:{dead_port()}"
    assert failure(kind, url, fault="unreachable") == (
        f"glm: nobody answers at {base(kind, url)} (connection refused): is the server running?",
        "connection refused",
        False,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not keep so short a queue")
@both
def test_a_server_that_takes_no_connection_is_unreachable_in_half_the_time(kind: Kind) -> None:
    with full() as url:
        started = time.perf_counter()
        assert failure(kind, url, timeout=0.6, fault="unreachable") == (
            f"glm: no connection to {base(kind, url)} within 0.3 s",
            "no connection",
            False,
        )
        assert time.perf_counter() - started < 5


@both
def test_an_unknown_host_is_unreachable(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert failure(kind, "http://models.example", fault="unreachable") == (
        "glm: no address is known for models.example (Name or service not known): is base_url right?",
        "host not found",
        False,
    )


@both
def test_a_host_whose_address_does_not_come_is_unreachable(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: object, **__: object) -> list[object]:
        time.sleep(0.4)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    assert failure(kind, "http://models.example", timeout=0.4, fault="unreachable") == (
        f"glm: no connection to {base(kind, 'http://models.example')} within 0.2 s",
        "no connection",
        False,
    )


@both
def test_a_server_without_tls_behind_https_is_unreachable(kind: Kind) -> None:
    with Server() as server:
        url = server.url.replace("http:", "https:")
        assert failure(kind, url, fault="unreachable") == (
            f"glm: no secure connection to {base(kind, url)} (wrong version number): "
            "does the server speak https, with a certificate that is trusted here (SSL_CERT_FILE)?",
            "TLS failed",
            False,
        )


@both
def test_a_proxy_that_is_down_is_named(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    port = dead_port()
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
    assert failure(kind, "http://models.example", fault="unreachable") == (
        f"glm: nobody answers at the proxy 127.0.0.1:{port}",
        "proxy does not answer",
        False,
    )


@both
def test_a_proxy_that_refuses_is_told_from_the_server(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("https_proxy", proxy.url)
        assert failure(kind, "https://models.example", fault="unreachable") == (
            f"glm: the proxy opens no connection to {base(kind, 'https://models.example')} (404 Scripted)",
            "proxy refuses",
            False,
        )


@contextmanager
def garbage(said: bytes) -> Iterator[str]:
    """Serve one connection with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(5)


@contextmanager
def full() -> Iterator[str]:
    """Listen on a port whose queue is full, so that the kernel answers to no greeting."""
    with ExitStack() as held:
        listening = held.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield f"http://127.0.0.1:{address[1]}"
