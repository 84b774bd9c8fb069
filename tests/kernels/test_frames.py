"""Messages arrive as they were sent; what is none is told as such, whatever it is."""

from __future__ import annotations

import socket
import struct
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.kernels import frames

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def received(data: bytes, most: int = 100) -> tuple[dict[str, Any], list[bytes]]:
    """Return what is received where this was sent, and the other side is gone then."""
    ours, theirs = socket.socketpair()

    def send() -> None:
        with theirs:
            theirs.sendall(data)

    sending = threading.Thread(target=send)
    with ours:
        sending.start()
        try:
            return frames.receive(ours, most)
        finally:
            ours.shutdown(socket.SHUT_RD)
            sending.join()


def framed(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"head": {}, "blocks": [1e999]}', "cannot convert float infinity to integer"),
        (b'{"head": {}, "blocks": [NaN]}', "cannot convert float NaN to integer"),
        (b'{"head": {}}', "'blocks'"),
        (b'{"head": {}, "blocks": [-1]}', "its blocks are too long"),
        (b'{"head": {}, "blocks": [60, 60]}', "its blocks are too long"),
    ],
)
def test_what_is_no_message_is_told(text: bytes, words: str) -> None:
    with pytest.raises(frames.Broken) as caught:
        received(framed(text))
    assert str(caught.value) == f"what came is no message: {words}"


def test_what_is_too_deep_is_no_message() -> None:
    with pytest.raises(frames.Broken, match=r"^what came is no message: "):
        received(framed(b'{"head": {}, "blocks": ' + b"[" * 100000 + b"]" * 100000 + b"}"))


@given(st.binary(max_size=200) | st.binary(max_size=200).map(framed))
@settings(deadline=None, max_examples=50)
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with pytest.raises(frames.Broken):
        received(data)


@given(JSON, JSON)
@settings(deadline=None, max_examples=50)
def test_no_json_raises_anything_else(head: object, blocks: object) -> None:
    import json

    try:
        received(framed(json.dumps({"head": head, "blocks": blocks}).encode()))
    except frames.Broken:
        return


@given(st.dictionaries(st.text(), st.integers() | st.text()), st.lists(st.binary(max_size=20), max_size=4))
@settings(deadline=None, max_examples=50)
def test_a_message_arrives_as_it_was_sent(head: dict[str, Any], blocks: list[bytes]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        frames.send(theirs, head, blocks)
        assert frames.receive(ours, 80) == (head, blocks)
