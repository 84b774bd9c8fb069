"""What must not leave the machine in a report: keys, passwords, and where on it the project lies."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from pytest_upskill.types import JSON

HIDDEN = "***"
_SECRET = re.compile(
    r"api.?key|authorization|password|passwd|secret|cookie|(^|[_-])token$|headers$", re.IGNORECASE
)


def without_secrets(parameters: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return parameters with the values of keys that name a secret hidden, at any depth."""
    return {key: HIDDEN if _SECRET.search(key) else _inner(value) for key, value in parameters.items()}


def _inner(value: JSON) -> JSON:
    if isinstance(value, dict):
        return without_secrets(value)
    return [_inner(item) for item in value] if isinstance(value, list) else value


def public_url(url: str | None) -> str | None:
    """Return an address without user, password, query and fragment."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def public_text(text: str | None, rootdir: Path) -> str | None:
    """Return a message with paths below the rootdir made relative to it, and the home folder as `~`."""
    if text is None:
        return None
    for folder, shown in ((rootdir, ""), (Path.home(), f"~{os.sep}")):
        if len(folder.parts) > 1:  # not the root of a file system
            text = text.replace(f"{folder}{os.sep}", shown)
    return text


def public_path(path: Path, start: Path) -> str:
    """Return a path relative to a folder, also where it does not lie below it."""
    return Path(os.path.relpath(path, start)).as_posix()
