"""What a person reads when a server cannot be reached or breaks off."""

from __future__ import annotations

import time

import pytest

from tests.answers import HANG, RESET, TRUNCATED, Answer
from tests.loopback import Server
from tests.providers.api import Kind, ask, base, both, clean, dead_port, failure

__all__ = ["clean"]


@both
def test_no_reply_in_time_is_not_fatal(kind: Kind) -> None:
    with Server(script=[HANG] * 3) as server:
        assert failure(kind, server.url, timeout=0.1) == (
            f"glm: no whole reply from {base(kind, server.url)} within 0.1 s",
            "timed out",
            False,
        )
    assert len(server.requests) == 3


@both
def test_a_body_that_trickles_in_does_not_outlast_the_timeout(kind: Kind) -> None:
    with Server(script=[Answer(200, b" " * 1000, trickle=0.05)]) as server:
        started = time.perf_counter()
        assert failure(kind, server.url, timeout=0.3)[1:] == ("timed out", False)
        assert time.perf_counter() - started < 10


@both
@pytest.mark.parametrize("fault", [TRUNCATED, RESET], ids=["mid-body", "before-the-head"])
def test_a_dropped_connection_is_not_fatal(kind: Kind, fault: Answer) -> None:
    with Server(script=[fault] * 3) as server:
        assert failure(kind, server.url) == (
            f"glm: {base(kind, server.url)} dropped the connection before the reply was whole",
            "dropped",
            False,
        )


@both
def test_a_dropped_connection_is_tried_again(kind: Kind) -> None:
    with Server(script=[RESET, TRUNCATED]) as server:
        assert ask(kind, server.url).text == "pong"
    assert server.counts["requests"] == 3


@both
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_that_is_not_running_is_fatal(kind: Kind, host: str) -> None:
    url = f"http://{host}:{dead_port()}"
    assert failure(kind, url) == (
        f"glm: nobody answers at {base(kind, url)} (connection refused): is the server running?",
        "connection refused",
        True,
    )


@both
def test_an_unknown_host_is_fatal(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert failure(kind, "http://models.example") == (
        "glm: no address is known for models.example (Name or service not known): is base_url right?",
        "host not found",
        True,
    )


@both
def test_a_server_without_tls_behind_https_is_fatal(kind: Kind) -> None:
    with Server() as server:
        url = server.url.replace("http:", "https:")
        assert failure(kind, url) == (
            f"glm: no secure connection to {base(kind, url)} (wrong version number): "
            "does the server speak https, with a certificate that is trusted here (SSL_CERT_FILE)?",
            "TLS failed",
            True,
        )


@both
def test_a_proxy_that_is_down_is_named(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    port = dead_port()
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
    assert failure(kind, "http://models.example") == (
        f"glm: nobody answers at the proxy 127.0.0.1:{port}",
        "proxy does not answer",
        True,
    )
