"""The errors that a person sees: one sentence that says what, where, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_upskill.types import Fault, RateLimits, Stage

_LONGEST = 1000


class UpskillError(Exception):
    """A mistake that the user can mend. Its text is shown without a traceback."""


class FileMistake(UpskillError):
    """A mistake in what a person wrote. One printable line, whatever the file holds."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class ConfigError(FileMistake):
    """An option, an ini value or upskill.yaml is wrong."""


class SuiteError(FileMistake):
    """A skill or its cases cannot be read."""


class CallError(UpskillError):
    """A call did not yield a reply.

    Args:
        message: the whole sentence, shown once per model.
        short: a few words for each further sample; the message itself when empty.
        fatal: no other call to this model can succeed (no key, key refused).
        fault: whether asking again may help. `final`: it does not (a bad request, a refusal). `limited`: too many
            requests, nothing was served. `failed`: the server failed before it served. `unreachable`: there was
            no connection. `lost`: the request went out and no whole reply came back; it may have been billed.
        retry_after: seconds that the server asks to wait.
        limits: what the server said of its limits beside the refusal.
    """

    def __init__(
        self,
        message: str,
        *,
        short: str = "",
        fatal: bool = False,
        fault: Fault = "final",
        retry_after: float | None = None,
        limits: RateLimits | None = None,
    ) -> None:
        super().__init__(message)
        self.short = short or message
        self.fatal = fatal
        self.fault: Fault = fault
        self.retry_after = retry_after
        self.limits = limits


class ScorerError(UpskillError):
    """A reply could not be judged: the sample is an error, not a miss. `stages` are the steps until then."""

    def __init__(self, message: str, stages: tuple[Stage, ...] = ()) -> None:
        super().__init__(message)
        self.stages = stages


class NotApplicable(ScorerError):
    """A check cannot be applied here, as where there is no GPU: the sample is a skip with this reason."""


def one_line(text: str) -> str:
    """Return a text of at most 1000 characters with all that does not print (line ends too) escaped."""
    if len(text) <= _LONGEST and text.isprintable():
        return text
    line = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text[: _LONGEST + 1])
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def at(path: Path | str, line: int | None = None, column: int | None = None) -> str:
    """Return `path:line:column` as far as they are known."""
    return ":".join(str(part) for part in (path, line, column) if part is not None)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` for the known word that is nearest, or nothing."""
    import difflib

    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean '{found[0]}'?)" if found else ""


def listing(words: Iterable[str]) -> str:
    """Return the words sorted and separated by commas, or `none`."""
    return ", ".join(sorted(words)) or "none"
