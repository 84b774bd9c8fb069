"""What a compiler printed, shortened to what a person needs: the first error, its line, how many more there are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

MAIN = "kernel.cu"
PRELUDE = "prelude.cuh"
_MOST_DETAILS = 3
_LONGEST = 1000
_LONGEST_LINE = 300
# Only so much is read: a template can print without end.
_READ = 2**18
_SHAPES = tuple(
    re.compile(shape)
    for shape in (
        r"(?P<file>[^\s()][^()]{0,400})\((?P<line>\d{1,9})\): "
        r"(?:catastrophic |internal )?error(?: #[\w-]+)?: (?P<text>.*)",
        r"(?P<file>[^\s:][^:]{0,400}):(?P<line>\d{1,9}):(?:\d{1,9}:)? (?:fatal )?error: (?P<text>.*)",
        r"(?P<tool>ptxas) [^,;]{1,400}, line \d{1,9}; (?:error|fatal)\s*: (?P<text>.*)",
        r"(?P<tool>cc1plus|cc1|g\+\+|gcc): (?:fatal )?error: (?P<text>.*)",
        r"(?P<tool>nvcc|cicc|ptxas|cudafe\+\+) (?:error|fatal)\s*: (?P<text>.*)",
        r"(?P<end>At end of source): (?:catastrophic |internal )?error(?: #[\w-]+)?: (?P<text>.*)",
    )
)
_CARET = re.compile(r"[\s|]*\^[\s~^]*")
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?")
_IN_INCLUDE = re.compile(r".*/include/")
# What ptxas says after its errors.
_ABORTED = "Ptx assembly aborted due to errors"
_BACKTRACE = "detected during"


@dataclass(frozen=True, slots=True)
class _Error:
    """`file` is empty where a tool speaks of no file. `details` are the lines below that belong to it."""

    file: str
    line: int
    text: str
    tool: str
    details: tuple[str, ...]


def shortened(printed: str, source: str, folder: Path, trusted: Sequence[Path]) -> str:
    """Return the first error of a compiler in a few lines, empty where there is none.

    The line of code beside it comes from `source` and never from what was printed; of files that are neither the
    source nor in a `trusted` folder nothing is told but their names. An error in the source itself can name words that
    it took from another file by `#include`: that the compiler cannot read what is secret is the sandbox's part.

    Args:
        printed: what the compiler printed.
        source: the code that was compiled, the file `kernel.cu` in `folder`.
        folder: where it was compiled; its path is taken out.
        trusted: folders with the compiler's own headers.
    """
    lines = _cleaned(printed, folder)
    found = list(_errors(lines))
    if not found:
        return ""
    told = list(_told(found[0], source.split("\n"), trusted))
    if len(found) > 1:
        told.append(f"and {len(found) - 1} more error{'s' if len(found) > 2 else ''}")
    return "\n".join(_cut(line) for line in told)[:_LONGEST]


def _cleaned(printed: str, folder: Path) -> list[str]:
    text = _ESCAPE.sub("", printed[:_READ].replace(f"{folder}/", "").replace("\t", "    "))
    return [_plain(line).rstrip() for line in text.split("\n")]


def _errors(lines: Sequence[str]) -> Iterator[_Error]:
    for number, line in enumerate(lines):
        match = _match(line)
        if match is None or match["text"] == _ABORTED:
            continue
        named = match.groupdict()
        yield _Error(
            file=named.get("file") or "",
            line=int(named.get("line") or 0),
            text=match["text"],
            tool=named.get("tool") or named.get("end") or "",
            details=tuple(_details(lines[number + 1 :])),
        )


def _match(line: str) -> re.Match[str] | None:
    return next((match for shape in _SHAPES if (match := shape.fullmatch(line))), None)


def _details(below: Iterable[str]) -> Iterator[str]:
    """Yield what the compiler says of an error, without the line of code that it shows."""
    kept: list[str] = []
    for line in below:
        if _CARET.fullmatch(line):
            kept = kept[:-1]
            break
        if not line.startswith("   ") or line.strip().startswith(_BACKTRACE):
            break
        kept.append(line.strip())
    return iter(kept)


def _told(error: _Error, source: Sequence[str], trusted: Sequence[Path]) -> Iterator[str]:
    if error.file == MAIN:
        yield f"line {error.line}: {error.text}"
        yield from (f"    {detail}" for detail in error.details[:_MOST_DETAILS])
        code = source[error.line - 1].strip() if 0 < error.line <= len(source) else ""
        if code:
            yield f"    | {_plain(code.expandtabs(4))}"
    elif not error.file:
        yield f"{error.tool.lower()}: {error.text}"
    elif _is_trusted(error.file, trusted):
        yield f"{_IN_INCLUDE.sub('', error.file).removeprefix('./')}:{error.line}: {error.text}"
    else:
        yield f"an error in the included file {error.file}, line {error.line}"


def _is_trusted(file: str, trusted: Sequence[Path]) -> bool:
    path = Path(os.path.normpath(file))
    return str(path) == PRELUDE or any(folder in path.parents for folder in trusted)


def _plain(line: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in line)


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 3]}..."
