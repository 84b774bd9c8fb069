"""The ids of cases: `[a-z0-9-]`, at most 64 characters, made from the input where the file gives none."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection

RESERVED_ID = "gate"
ID_FORM = "must be made of a-z, 0-9 and '-', at most 64 characters"
_ID = re.compile(r"[a-z0-9-]{1,64}")
_SLUG_LENGTH = 48


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def make_id(text: str, taken: Collection[str]) -> str:
    """Return an id for the case with this input that is not among `taken`."""
    slug, digest = _slug(text), _digest(text)
    name = slug if slug and slug != RESERVED_ID else f"case-{digest}"
    if name in taken and slug:
        # The digest keeps the id when cases above this one come and go; a number would not.
        name = f"{slug}-{digest}"
    plain, count = name, 1
    while name in taken:
        count += 1
        name = f"{plain}-{count}"
    return name


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _slug(text: str) -> str:
    """Return the first words of the input, or nothing where it holds more than ASCII."""
    if not text.isascii():
        return ""
    slug = ""
    for word in re.findall(r"[a-z0-9]+", text.lower()):
        longer = f"{slug}-{word}" if slug else word[:_SLUG_LENGTH]
        if len(longer) > _SLUG_LENGTH:
            break
        slug = longer
    return slug
