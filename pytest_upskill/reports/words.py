"""Text for a terminal: plurals, and nothing in it that a terminal would obey."""

from __future__ import annotations

import textwrap
import unicodedata

from pytest_upskill.errors import one_line


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return `1 case`, `2 cases`; `plural` is the word for several where it does not end in a mere s."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def folded(text: str) -> str:
    """Return a text as one line of at most 1000 characters with single spaces, without control characters."""
    return one_line(" ".join(text.split()))


def wrapped(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """Return a text as lines of at most `width` columns, but for words that are longer; `first`, `rest` indent."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_on_hyphens=False,
        break_long_words=False,
    )


def quoted_line(text: str, most: int | None = None) -> str:
    """Return a line of somebody's text, tabs as spaces and what a terminal would obey escaped.

    Args:
        text: the line.
        most: how many characters of it are shown; None for all.
    """
    line = text if most is None else text[: most + 1]
    shown = "".join(letter if _harmless(letter) else ascii(letter)[1:-1] for letter in line.expandtabs(4))
    return shown if most is None or len(shown) <= most else f"{shown[: most - 3]}..."


def _harmless(letter: str) -> bool:
    # Spaces other than ours do not count as printable, but are in every text in Japanese.
    return letter.isprintable() or unicodedata.category(letter) == "Zs"
