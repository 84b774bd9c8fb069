"""Work out the next version and its heading from the entries of a changelog."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

GROUPS = ("Breaking", "Added", "Changed", "Fixed")


def next_version(last: str, groups: Iterable[str]) -> str:
    """Return the version that follows `last` when entries of these groups are released.

    Raises:
        ValueError: there is nothing to release, a group is unknown, or `last` is not like 1.8.3.
    """
    released = set(groups)
    unknown = released.difference(GROUPS)
    if not released or unknown:
        raise ValueError(
            f"groups must be some of {', '.join(GROUPS)}, not {', '.join(sorted(unknown)) or 'none'}"
        )
    major, minor, patch = _numbers(last)
    if "Breaking" in released:
        return f"{major + 1}.0.0"
    return f"{major}.{minor + 1}.0" if "Added" in released else f"{major}.{minor}.{patch + 1}"


def heading(version: str, day: date, *, yanked: bool = False) -> str:
    """Return the heading of a release, as in `## 2.1.0 - 2026-04-30`."""
    _numbers(version)
    return f"## {version} - {day.isoformat()}{' [YANKED]' if yanked else ''}"


def in_order(entries: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return (group, text) entries in the order of the groups, otherwise as they came."""
    return sorted(entries, key=lambda entry: GROUPS.index(entry[0]))


def _numbers(version: str) -> tuple[int, int, int]:
    parts = version.split(".")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        raise ValueError(f"{version!r} is not a version like 1.8.3")
    return int(parts[0]), int(parts[1]), int(parts[2])
