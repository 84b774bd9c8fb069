"""What a server says of its limits in the headers of an answer."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Mapping
from typing import Final

from pytest_upskill.types import RateLimits, Window

Raw = Iterable[tuple[bytes, bytes]]
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ms|us|µs|ns|d|h|m|s)", re.ASCII)
_SECONDS: Final[Mapping[str, float]] = {
    "d": 86400.0,
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "ns": 1e-9,
}
_LONGEST_RESET = 31 * 86400.0  # what is longer is no duration: some servers send the time of day
_ANTHROPIC = "anthropic-ratelimit-"
_OPENAI = "x-ratelimit-"
_TOKENS = ("tokens", "input-tokens", "output-tokens")
_FIELDS = ("limit", "remaining", "reset")

Found = dict[str, dict[str, str]]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait, never NaN or infinite; None when it does not say.

    Args:
        headers: of the answer, by lower-case names. A date is measured from the answer's own Date, so that
            clocks need not agree.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    said = headers.get("retry-after")
    seconds = _number(said)
    if seconds is not None or said is None:
        return seconds
    until = _http_date(said)
    if until is None:
        return None
    wait = until - _now(headers.get("date"))
    return wait if wait >= 0 else None


def rate_limits(raw: Raw) -> RateLimits | None:
    """Return what the headers of an answer, as bytes, say of rate limits; None when they say nothing."""
    found: Found = {}
    date: str | None = None
    for name, value in raw:
        key = name.lower()
        if b"-ratelimit-" in key:
            _take(found, key.decode("latin-1"), value.decode("latin-1"))
        elif key == b"date":
            date = value.decode("latin-1")
    if not found:
        return None
    requests = _window(found.get("requests", {}), date)
    tokens = _tightest([_window(found.get(kind, {}), date) for kind in _TOKENS])
    return RateLimits(requests, tokens) if requests or tokens else None


def _take(found: Found, name: str, value: str) -> None:
    if name.startswith(_ANTHROPIC):
        kind, _, what = name[len(_ANTHROPIC) :].rpartition("-")
    elif name.startswith(_OPENAI):
        what, _, kind = name[len(_OPENAI) :].partition("-")
    else:
        return
    if what in _FIELDS and (kind == "requests" or kind in _TOKENS):
        found.setdefault(kind, {})[what] = value


def _window(said: Mapping[str, str], date: str | None) -> Window | None:
    limit = _number(said.get("limit")) or None  # a limit of nothing is none
    window = Window(limit, _number(said.get("remaining")), _reset(said.get("reset"), date))
    return None if window == Window() else window


def _tightest(windows: list[Window | None]) -> Window | None:
    return min((window for window in windows if window), key=_part_left, default=None)


def _part_left(window: Window) -> float:
    if window.limit is None or window.remaining is None:
        return math.inf
    return window.remaining / window.limit


def _reset(said: str | None, date: str | None) -> float | None:
    """Return seconds from a number, a duration such as `1h2m3.5s`, or a moment in RFC 3339."""
    if said is None:
        return None
    seconds = _number(said)
    if seconds is None:
        seconds = _duration(said.strip())
    if seconds is None:
        moment = _rfc3339(said.strip())
        seconds = None if moment is None else max(0.0, moment - _now(date))
    return seconds if seconds is not None and seconds <= _LONGEST_RESET else None


def _number(said: str | None) -> float | None:
    """Return a number that is not negative; None for all else that a header can hold."""
    text = (said or "").strip()
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def _duration(text: str) -> float | None:
    seconds, end = 0.0, 0
    for part in _PART.finditer(text):
        if part.start() != end:
            return None
        seconds += float(part[1]) * _SECONDS[part[2]]
        end = part.end()
    return seconds if text and end == len(text) else None


def _now(date: str | None) -> float:
    then = None if date is None else _http_date(date)
    return time.time() if then is None else then


def _http_date(text: str) -> float | None:
    from datetime import UTC
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text)
        # The oldest of the three forms of RFC 9110 has no zone: all are in GMT.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _rfc3339(text: str) -> float | None:
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
