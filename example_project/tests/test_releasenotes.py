from __future__ import annotations

from datetime import date

import pytest

from releasenotes import heading, in_order, next_version


@pytest.mark.parametrize(
    ("groups", "version"),
    [
        (["Fixed"], "1.8.4"),
        (["Changed", "Fixed"], "1.8.4"),
        (["Added", "Fixed"], "1.9.0"),
        (["Breaking", "Added"], "2.0.0"),
    ],
)
def test_the_highest_group_decides_over_the_next_version(groups: list[str], version: str) -> None:
    assert next_version("1.8.3", groups) == version


def test_nothing_to_release_is_refused() -> None:
    with pytest.raises(ValueError, match="not none"):
        next_version("1.8.3", [])


def test_an_unknown_group_is_named() -> None:
    with pytest.raises(ValueError, match="not Removed"):
        next_version("1.8.3", ["Removed"])


def test_a_heading_holds_version_and_iso_date() -> None:
    assert heading("2.0.0", date(2026, 5, 5)) == "## 2.0.0 - 2026-05-05"


def test_a_withdrawn_release_keeps_its_heading_with_a_mark() -> None:
    assert heading("2.0.0", date(2026, 5, 5), yanked=True).endswith("2026-05-05 [YANKED]")


def test_what_is_no_version_gets_no_heading() -> None:
    with pytest.raises(ValueError, match="is not a version like"):
        heading("2.0", date(2026, 5, 5))


def test_entries_stand_in_the_order_of_their_groups_and_else_as_they_came() -> None:
    entries = [("Fixed", "one"), ("Breaking", "two"), ("Fixed", "three")]
    assert in_order(entries) == [("Breaking", "two"), ("Fixed", "one"), ("Fixed", "three")]
