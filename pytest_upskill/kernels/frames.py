"""Messages between processes of ours: a JSON head and blocks of bytes, over a socket that nobody else knows."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Sequence
from typing import Any

_LENGTH = struct.Struct("<Q")
_LONGEST_HEAD = 2**24


class Broken(Exception):
    """The other side is gone, or what came from it is no message."""


def send(to: socket.socket, head: dict[str, Any], blocks: Sequence[bytes | memoryview] = ()) -> None:
    """Send a message. Raises `Broken` when the other side is gone."""
    text = json.dumps({"head": head, "blocks": [len(block) for block in blocks]}).encode()
    try:
        to.sendall(_LENGTH.pack(len(text)) + text)
        for block in blocks:
            to.sendall(block)
    except OSError as error:
        raise Broken(f"the other side is gone: {error}") from None


def receive(source: socket.socket, most: int) -> tuple[dict[str, Any], list[bytes]]:
    """Return the next message with at most `most` bytes of blocks. Raises `Broken`."""
    (length,) = _LENGTH.unpack(_exactly(source, _LENGTH.size))
    if length > _LONGEST_HEAD:
        raise Broken("what came is no message: its head is too long")
    try:
        message = json.loads(bytes(_exactly(source, length)))
        head, sizes = dict(message["head"]), [int(size) for size in message["blocks"]]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise Broken(f"what came is no message: {error}") from None
    if min(sizes, default=0) < 0 or sum(sizes) > most:
        raise Broken("what came is no message: its blocks are too long")
    return head, [bytes(_exactly(source, size)) for size in sizes]


def _exactly(source: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view, have = memoryview(data), 0
    while have < size:
        try:
            count = source.recv_into(view[have:])
        except OSError as error:
            raise Broken(f"the other side is gone: {error}") from None
        if not count:
            raise Broken("the other side is gone")
        have += count
    return data
