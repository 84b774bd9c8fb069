"""The links and paths in a skill's body that lead nowhere."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from pytest_upskill.suite.findings import Finding

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
_LINK = re.compile(r"\]\(\s*(?:<([^<>]*)>|([^()\s]*(?:\([^()\s]*\)[^()\s]*)*))[^()]*\)")
_DEFINITION = re.compile(r" {0,3}\[[^\]]+\]:\s*<?([^\s>]+)>?")
# `references/<name>.md` and `scripts/*.py` are patterns and name no file.
_PATH = re.compile(r"(?<![\w/.~$}>*-])((?:references|scripts|assets)/[\w./+-]*+)(?![<{\[*$])")
_ELSEWHERE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|/|\\|~")


def lint_links(body: str, first: int, path: Path) -> Iterator[Finding]:
    """Yield the links that lead nowhere, and the bare paths into the skill's folders that do.

    Args:
        body: the skill's body.
        first: the line of SKILL.md at which it begins.
        path: SKILL.md.
    """
    seen: set[str] = set()
    for number, name, is_link in _names(body, first):
        if name in seen:
            continue
        seen.add(name)
        if not _is_there(path.parent / name):
            # A bare path may be one of the reader's own project.
            yield Finding("error" if is_link else "warning", path, number, f"'{name}' is not there")
        elif name.startswith("../"):
            yield Finding("warning", path, number, f"'{name}' lies outside the skill's folder")
        elif name.count("/") > 1:
            yield Finding("warning", path, number, f"'{name}' lies more than one level deep")


def _names(body: str, first: int) -> Iterator[tuple[int, str, bool]]:
    fence = ""
    for number, line in enumerate(body.split("\n"), first):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not mark[2].strip():
                fence = ""
        elif mark and not (mark[1][0] == "`" and "`" in mark[2]):
            fence = mark[1]
        else:
            yield from ((number, name, True) for name in map(_target, _targets(line)) if name)
        yield from (
            (number, name, False) for name in map(_path, _PATH.findall(_LINK.sub("](", line))) if name
        )


def _targets(line: str) -> Iterator[str]:
    text = _CODE.sub("", line)
    yield from (bracketed or bare for bracketed, bare in _LINK.findall(text))
    yield from _DEFINITION.findall(text)


def _target(link: str) -> str:
    """Return the file that a link names, relative to the skill, or nothing for a link to elsewhere."""
    name = unquote(re.split(r"[#?]", link, maxsplit=1)[0])
    return "" if not name or _ELSEWHERE.match(name) else posixpath.normpath(name)


def _path(text: str) -> str:
    name = text.rstrip("./-+")
    return posixpath.normpath(name) if "/" in name else ""


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False
