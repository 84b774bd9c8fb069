"""What headers say of waiting and of limits."""

from __future__ import annotations

import math
import time
from email.utils import formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.providers.headers import rate_limits, retry_after
from pytest_upskill.types import RateLimits, Window

DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


def limits(**named: str) -> RateLimits | None:
    """Return what headers say; `_` in a name is `-`."""
    return rate_limits((name.replace("_", "-").encode(), value.encode()) for name, value in named.items())


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0.25 "}, 0.25),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "86400"}, 86400.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "1"}, 1.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": DATE}, 30.0),
        ({"retry-after": "Wednesday, 21-Oct-26 07:28:30 GMT", "date": DATE}, 30.0),
        ({"retry-after": "Wed Oct 21 07:28:30 2026", "date": DATE}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 09:28:30 +0200", "date": DATE}, 30.0),
        ({"retry-after": DATE, "date": DATE}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:27:00 GMT", "date": DATE}, None),
        *[
            ({"retry-after": rubbish, "date": DATE}, None)
            for rubbish in (
                "",
                "-1",
                "nan",
                "inf",
                "1e999",
                "1_000",
                "0x10",
                "soon",
                "1 2",
                "\u0661",
                "99 Oct",
                "1,2",
            )
        ],
    ],
)
def test_the_wait_that_a_server_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.parametrize("own", [{}, {"date": "yesterday"}])
def test_a_date_without_the_servers_own_is_measured_from_now(own: dict[str, str]) -> None:
    until = formatdate(time.time() + 100, usegmt=True)
    assert retry_after({"retry-after": until, **own}) == pytest.approx(100, abs=2)


SAID = st.text(st.characters(max_codepoint=255), max_size=20) | st.sampled_from(
    [DATE, "1", "1s", "-5", "9" * 400]
)


@given(SAID, SAID, SAID)
@settings(deadline=None)
def test_no_header_yields_a_wait_that_is_no_time(seconds: str, milliseconds: str, date: str) -> None:
    wait = retry_after({"retry-after": seconds, "retry-after-ms": milliseconds, "date": date})
    assert wait is None or (wait >= 0 and math.isfinite(wait))


def test_openais_headers_tell_both_windows() -> None:
    assert limits(
        x_ratelimit_limit_requests="60",
        x_ratelimit_limit_tokens="150000",
        x_ratelimit_remaining_requests="59",
        x_ratelimit_remaining_tokens="149984",
        x_ratelimit_reset_requests="1s",
        x_ratelimit_reset_tokens="6m0s",
    ) == RateLimits(Window(60, 59, 1), Window(150000, 149984, 360))


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("1s", 1.0),
        ("12ms", 0.012),
        ("6m0s", 360.0),
        ("1h2m3.5s", 3723.5),
        ("2d", 172800.0),
        ("2m59.56s", 179.56),
        ("0s", 0.0),
        ("59.70", 59.7),
        ("60", 60.0),
        ("1792567680", None),
        *[(rubbish, None) for rubbish in ("", "-1s", "s", "1x", "1s1", "1 s", "nan", "infs", "later")],
    ],
)
def test_a_reset_is_a_number_or_a_duration(said: str, seconds: float | None) -> None:
    found = limits(x_ratelimit_limit_requests="1", x_ratelimit_reset_requests=said)
    assert found is not None
    assert found.requests is not None
    assert found.requests.limit == 1
    assert found.requests.reset == (None if seconds is None else pytest.approx(seconds))


def test_anthropics_headers_tell_both_windows_by_the_servers_clock() -> None:
    assert limits(
        Date=DATE,
        Anthropic_RateLimit_Requests_Limit="50",
        Anthropic_RateLimit_Requests_Remaining="49",
        Anthropic_RateLimit_Requests_Reset="2026-10-21T07:28:01Z",
        anthropic_ratelimit_tokens_limit="40000",
        anthropic_ratelimit_tokens_remaining="39000",
        anthropic_ratelimit_tokens_reset="2026-10-21T09:28:02.500+02:00",
    ) == RateLimits(Window(50, 49, 1), Window(40000, 39000, 2.5))


def test_of_several_token_windows_the_one_with_the_least_part_left_counts() -> None:
    assert limits(
        anthropic_ratelimit_tokens_limit="100",
        anthropic_ratelimit_input_tokens_limit="80",
        anthropic_ratelimit_input_tokens_remaining="40",
        anthropic_ratelimit_output_tokens_limit="1000",
        anthropic_ratelimit_output_tokens_remaining="100",
    ) == RateLimits(None, Window(1000, 100))


def test_a_reset_that_is_over_is_now() -> None:
    found = limits(date=DATE, anthropic_ratelimit_requests_reset="2026-10-21T07:27:00Z")
    assert found == RateLimits(Window(reset=0.0))


@pytest.mark.parametrize("said", ["-1", "nan", "inf", "many", "", "1e999"])
def test_what_is_no_count_is_unknown(said: str) -> None:
    assert limits(x_ratelimit_limit_requests=said, x_ratelimit_remaining_requests=said) is None


def test_a_limit_of_nothing_is_no_limit_and_nothing_left_is_known() -> None:
    found = limits(x_ratelimit_limit_tokens="0", x_ratelimit_remaining_tokens="0")
    assert found == RateLimits(None, Window(None, 0))


@pytest.mark.parametrize(
    "name",
    [
        "content-type",
        "x-ratelimit-limit",
        "x-ratelimit-limit-images",
        "anthropic-ratelimit-unified-reset",
        "x-ratelimit-",
    ],
)
def test_other_headers_say_nothing(name: str) -> None:
    assert rate_limits([(name.encode(), b"1"), (b"date", DATE.encode())]) is None


NAME = st.builds(
    "{}{}-{}".format,
    st.sampled_from(["x-ratelimit-", "anthropic-ratelimit-", ""]),
    st.sampled_from(["limit", "remaining", "reset", "requests", "tokens"]),
    st.sampled_from(["limit", "reset", "requests", "tokens", "input-tokens"]),
)


@given(st.dictionaries(NAME, SAID), SAID)
@settings(deadline=None)
def test_no_header_yields_a_limit_that_is_no_number(said: dict[str, str], date: str) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in {**said, "date": date}.items()]
    found = rate_limits(raw)
    for window in (found.requests, found.tokens) if found else ():
        for number in (window.limit, window.remaining, window.reset) if window else ():
            assert number is None or (number >= 0 and math.isfinite(number))
