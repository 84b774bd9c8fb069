"""The comments of C++ code, and the code without them and without what its strings hold."""

from __future__ import annotations

import re
from dataclasses import dataclass

# What is not closed goes on to the end, so that no text takes more than one pass.
_TOKEN = re.compile(
    r"""
    (?P<line>//(?:\\\r?\n|[^\n])*)
    | (?P<block>/\*.*?(?:\*/|\Z))
    | (?P<raw>\b(?:u8|[uUL])?R"(?P<mark>[^()\\\s"]{0,16})\(.*?(?:\)(?P=mark)"|\Z))
    | (?P<string>"(?:\\.|[^"\\\n])*"?)
    | (?P<letter>'(?:\\.|[^'\\\n])*'?)
    | (?P<word>[0-9][\w.']*|[A-Za-z_]\w*)
    """,
    re.DOTALL | re.VERBOSE,
)
_BLANK = re.compile(r"[^\n]")
_LINKAGE = '"C"'


@dataclass(frozen=True, slots=True)
class Code:
    """C++ code taken apart.

    `bare` has the same length and lines as the code: comments and strings are spaces there, but for `"C"`. `plain`
    is the code with spaces for comments alone. `comments` are what stands between the marks, in order.
    """

    bare: str
    plain: str
    comments: tuple[str, ...]


def lexed(code: str) -> Code:
    """Return code taken apart."""
    bare: list[str] = []
    plain: list[str] = []
    comments: list[str] = []
    at = 0
    for match in _TOKEN.finditer(code):
        if match["word"] is not None:
            continue
        before, found = code[at : match.start()], match[0]
        spaces = _BLANK.sub(" ", found)
        comment = match["line"] is not None or match["block"] is not None
        if comment:
            comments.append(found[2:].removesuffix("*/") if match["block"] else found[2:])
        bare += [before, found if found == _LINKAGE else spaces]
        plain += [before, spaces if comment else found]
        at = match.end()
    return Code("".join([*bare, code[at:]]), "".join([*plain, code[at:]]), tuple(comments))
