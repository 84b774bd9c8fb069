"""The fenced blocks of a Markdown text, and the files that they name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_OPENING = re.compile(r"(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>.*)")
_LIST_ITEM = re.compile(r" *(?:[-*+]|\d{1,9}[.)]) {1,4}(?=\S)")
_INFO_WORD = re.compile(r"""\{?(?:[\w-]+=)?(?:"[^"]*"|'[^']*')|\S+""")
_TITLE = re.compile(r"(?:#{1,6}\s+)?(?:(?:[-*+]|\d{1,3}[.)])\s+)?")
_FILE_COLON = re.compile(r"\**(?:file|filename|path)\**:\**\s*", re.IGNORECASE)
_COMMENT = re.compile(r"(?:#|//|--|;|%|/\*|<!--)\s*(?P<rest>\S.*?)(?:\*/|-->)?")
_PATH = re.compile(r"/?(?:[\w@+~.\[\]-]+/)*[\w@+~.\[\]-]+")
_SUFFIX = re.compile(r"\.[A-Za-z]\w*$")
_NO_SUFFIX = frozenset({"Dockerfile", "Makefile", "Justfile", "Procfile", "LICENSE", "README"})
_NAME_KEYS = frozenset({"title", "file", "filename", "name", "path"})
_LONGEST_LINE = 300
_MARKS = ("**", "__", "`", "*", "_")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    `language` is lower case and `name` the file that the block names, each empty where the text does not
    say; `start_line` is the 1-based line of the opening fence; `text` ends with a newline unless it is empty.
    """

    info: str
    language: str
    name: str
    text: str
    start_line: int


@dataclass(frozen=True, slots=True)
class _Fence:
    indent: int
    mark: str
    info: str


def fenced_blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a text in their order, an unclosed one at the end included."""
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    blocks: list[Block] = []
    at = free = depth = 0
    while at < len(lines):
        fence = _opening(lines[at], depth)
        if fence is None:
            depth = _list_depth(lines[at], depth)
            at += 1
            continue
        end = _closing(lines, at + 1, fence)
        blocks.append(_block(lines[at + 1 : end], lines[free:at], fence, at + 1))
        at = free = end + 1
    return blocks


def named_block(blocks: Sequence[Block], path: str) -> Block | None:
    """Return the block that names a file: by its whole path, else by the part of it that is unique.

    The last one wins where a file is given twice, as it would on disk.
    """
    wanted = _parts(path)
    whole = [block for block in blocks if block.name and _parts(block.name) == wanted]
    if whole:
        return whole[-1]
    near = [block for block in blocks if block.name and _overlap(_parts(block.name), wanted)]
    return near[-1] if len({block.name for block in near}) == 1 else None


def suffix_of(path: str) -> str:
    """Return the lower-case suffix of a path without its dot, or nothing."""
    match = _SUFFIX.search(path)
    return match.group()[1:].lower() if match else ""


def _opening(line: str, depth: int) -> _Fence | None:
    match = _OPENING.fullmatch(line)
    if match is None or len(match["indent"]) > depth + 3:
        return None
    if match["fence"][0] == "`" and "`" in match["info"]:
        return None
    return _Fence(len(match["indent"]), match["fence"], match["info"].strip())


def _closing(lines: Sequence[str], start: int, fence: _Fence) -> int:
    for at in range(start, len(lines)):
        bare = lines[at].strip()
        if (
            len(bare) >= len(fence.mark)
            and not bare.strip(fence.mark[0])
            and _indent(lines[at]) <= fence.indent + 3
        ):
            return at
    return len(lines)


def _list_depth(line: str, depth: int) -> int:
    # A fence within a list item may be indented by as much as the item's text.
    if not line.strip():
        return depth
    item = _LIST_ITEM.match(line)
    return len(item.group()) if item else min(depth, _indent(line))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _block(body: Sequence[str], before: Sequence[str], fence: _Fence, line: int) -> Block:
    content = [text[min(fence.indent, _indent(text)) :] for text in body]
    language, name = _read_info(fence.info[:_LONGEST_LINE])
    name = name or _comment_name(content) or _title_name(before)
    return Block(
        fence.info, language or suffix_of(name), name, "".join(f"{text}\n" for text in content), line
    )


def _read_info(info: str) -> tuple[str, str]:
    language, name = "", ""
    for position, word in enumerate(_INFO_WORD.findall(info)):
        key, equals, value = word.partition("=")
        head, colon, tail = word.rpartition(":")
        if equals and key.strip("{") in _NAME_KEYS:
            name = value.strip("\"'{}") or name
        elif colon and _path(tail):
            name = _path(tail)
            language = language or ("" if head[:1].isdigit() else head.lower())
        elif position == 0 and not _path(word):
            language = word.strip("{}.").lower()
        else:
            name = _path(word, loose=True) or name
    return language, name


def _comment_name(content: Sequence[str]) -> str:
    first = content[0] if content else ""
    match = _COMMENT.fullmatch(first.strip()) if len(first) <= _LONGEST_LINE else None
    return _path(_FILE_COLON.sub("", match["rest"].strip(), count=1)) if match else ""


def _title_name(before: Sequence[str]) -> str:
    line = next((text.strip() for text in list(before[-2:])[::-1] if text.strip()), "")
    if len(line) > _LONGEST_LINE:
        return ""
    title = _TITLE.sub("", line, count=1) if _TITLE.match(line) else line
    return _path(_bare(_FILE_COLON.sub("", title, count=1)))


def _bare(text: str) -> str:
    text = text.strip().removesuffix(":").strip()
    for mark in _MARKS:
        if len(text) > 2 * len(mark) and text.startswith(mark) and text.endswith(mark):
            return _bare(text[len(mark) : -len(mark)])
    return text


def _path(word: str, *, loose: bool = False) -> str:
    """Return the word as a relative path, or nothing where it does not look like one."""
    path = word.replace("\\", "/")
    while path.startswith("./"):
        path = path[2:]
    if not _PATH.fullmatch(path):
        return ""
    named = _SUFFIX.search(path) or path.rpartition("/")[2] in _NO_SUFFIX or (loose and "/" in path)
    return path if named else ""


def _parts(path: str) -> list[str]:
    return [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]


def _overlap(one: list[str], other: list[str]) -> bool:
    shorter = min(len(one), len(other))
    return shorter > 0 and one[-shorter:] == other[-shorter:]
