"""What child processes of ours are given of this one, and their end in words."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

_SECRET_NAME = re.compile(
    r"KEY|TOKEN|SECRET|PASS|CRED|AUTH|PRIVATE|COOKIE|SESSION|(?:^|_)PATS?(?:$|_)|DSN|CONNECTION_STRING",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


def public_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that neither by their name nor by a password in a URL may be a secret."""
    return {
        name: value
        for name, value in environment.items()
        if not _SECRET_NAME.search(name) and not _SECRET_VALUE.search(value)
    }


def own_path() -> list[str]:
    """Return where this process imports from, so that a child imports from there too."""
    # What the suite can import the scorers can import too: a conftest's folder, `pythonpath`, a checkout.
    return [str(Path(entry).absolute()) for entry in sys.path if isinstance(entry, str)]


def exit_words(code: int | None) -> str:
    """Return in words how a process ended that had this exit code; None where it has not ended."""
    if code is None:
        return "did not answer"
    if code < 0:
        return f"was killed by signal {-code} ({signal.strsignal(-code)})"
    return f"ended with exit code {code}"
