"""The sentences by themselves."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.providers.failures import Failures, provider_message, shorten


@given(
    st.recursive(st.none() | st.booleans() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
@settings(deadline=None)
def test_any_error_body_yields_words(body: object) -> None:
    assert isinstance(provider_message(body), str)


@given(st.text(min_size=1), st.integers(4, 50))
def test_shortened_text_is_one_line_of_at_most_that_length(text: str, longest: int) -> None:
    short = shorten(text, longest)
    assert len(short) <= longest
    assert short == " ".join(short.split()) or short.endswith("...")


@given(st.text("abc", min_size=4, max_size=12), st.text("abc ", max_size=400), st.text("abc ", max_size=400))
def test_a_secret_is_masked_wherever_it_stands(secret: str, before: str, after: str) -> None:
    failures = Failures("GLM", "M", "http://H", "/P", "K", (secret,))
    for status in (400, 401, 500):
        err = _StatusError(status, {"error": {"message": before + secret + after}})
        assert secret not in str(failures.of(err, 1.0)).partition("): ")[2]


class _StatusError(Exception):
    def __init__(self, status_code: int, body: object) -> None:
        super().__init__("status")
        self.status_code = status_code
        self.body = body


def test_an_unforeseen_error_is_told_with_its_type() -> None:
    failures = Failures("glm", "m", "http://h/v1", "/p", "k", ())
    told = failures.of(ZeroDivisionError("division by zero"), 1.0)
    assert str(told) == "glm: the call to http://h/v1 failed: ZeroDivisionError: division by zero"
    assert (told.short, told.fatal, told.fault) == ("call failed", False, "final")
