"""What stands in the store's tables, and how a reply becomes a row and a reply again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import NamedTuple
from zlib import crc32

from pytest_upskill.types import Reply, Usage

PUT = "INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
PUT_BATCH = "INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?, ?)"
_REPLY = tuple(field.name for field in fields(Reply) if field.name not in ("usage", "limits", "date"))
_USAGE = tuple(field.name for field in fields(Usage))
_LARGEST = 2**63 - 1


class Row(NamedTuple):
    """One stored reply, in the order of the columns; `created` is in seconds since 1970, `latency` in seconds."""

    key: bytes
    created: float
    endpoint: str
    input_tokens: float | None
    output_tokens: float | None
    latency: float | None
    checksum: int
    reply: bytes


class BatchRow(NamedTuple):
    """One open batch, in the order of the columns; `keys` is a JSON list of hexadecimal keys."""

    endpoint: str
    id: str
    created: float
    checksum: int
    keys: str


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A batch that was handed in and is not done; `created` is in seconds since 1970."""

    id: str
    endpoint: str
    created: float
    keys: frozenset[bytes]


def encode(reply: Reply) -> bytes:
    """Return the fields of a reply as JSON: those and nothing else, whatever the object carries."""
    usage = {name: getattr(reply.usage, name) for name in _USAGE}
    row = {**{name: getattr(reply, name) for name in _REPLY}, "usage": usage}
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def decode(data: bytes) -> Reply | None:
    """Return the reply, or None where it cannot be understood.

    What another version of the plugin wrote is read as far as it is known here: it has been paid for.
    """
    try:
        row = json.loads(data)
        usage = row["usage"]
        reply = Reply(
            row["text"],
            row.get("model"),
            Usage(usage.get("input_tokens"), usage.get("output_tokens")),
            row.get("stop_reason"),
            row.get("latency", 0.0),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return reply if isinstance(reply.text, str) else None


def row_of(key: bytes, reply: Reply, endpoint: str, created: float) -> Row:
    """Return the row of a reply."""
    return _row(key, reply, endpoint, created, encode(reply))


def row_of_data(key: bytes, data: bytes, endpoint: str, created: float) -> Row:
    """Return the row of a reply that was read as it is stored, understood or not."""
    return _row(key, decode(data), endpoint, created, data)


def _row(key: bytes, reply: Reply | None, endpoint: str, created: float, data: bytes) -> Row:
    sent = _column(reply.usage.input_tokens) if reply else None
    got = _column(reply.usage.output_tokens) if reply else None
    latency = _column(reply.latency) if reply else None
    return Row(key, created, tidy(endpoint), sent, got, latency, checksum(key, data), data)


def batch_row(name: str, endpoint: str, keys: Iterable[bytes], created: float) -> BatchRow:
    """Return the row of a batch."""
    text = json.dumps(sorted(key.hex() for key in keys))
    endpoint, name = tidy(endpoint), tidy(name)
    return BatchRow(endpoint, name, created, _of_batch(endpoint, name, text), text)


def batch_of(
    endpoint: object, name: object, created: object, check: object, keys: object
) -> StoredBatch | None:
    """Return the batch of a row as it was read, or None where it is damaged."""
    texts = (endpoint, name, keys)
    if not all(isinstance(text, bytes) for text in texts) or not isinstance(created, float):
        return None
    who, what, listed = (bytes(text).decode("utf-8", "replace") for text in texts)  # type: ignore[call-overload]
    if check != _of_batch(who, what, listed):
        return None
    return StoredBatch(what, who, created, frozenset(bytes.fromhex(key) for key in json.loads(listed)))


def intact(key: bytes, data: object, check: object) -> bool:
    """Tell whether a row is as it was written."""
    return isinstance(data, bytes) and check == checksum(key, data)


def checksum(key: bytes, data: bytes) -> int:
    """Return what belongs to a key and what is stored under it."""
    return crc32(data, crc32(key))


def _of_batch(endpoint: str, name: str, keys: str) -> int:
    return checksum(f"{endpoint}\0{name}".encode(), keys.encode())


def tidy(text: str) -> str:
    """Return the text without lone surrogates, which SQLite does not take."""
    return text.encode("utf-8", "replace").decode()


def _column(value: object) -> float | None:
    # What a column cannot hold stays in the reply itself: it must not keep the others from being written.
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if number and abs(value) <= _LARGEST else None  # type: ignore[return-value,arg-type]
