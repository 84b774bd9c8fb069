"""The Markdown pages of the project, taken apart so that tests can run what they say.

Conventions of the pages: a block whose info string names a file (```json skills/x/skill_meta.json) is that
file; a `console` block is a shell session whose lines that begin with `$ ` are run; what stands below a
command is compared with what it prints, `...` stands for any lines. A paragraph that begins with
`**Needs a key**` or `**Needs a server**` marks the console block below it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = (
    "README.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")),
    "example_project/README.md",
)
_FENCE = re.compile(r"^```(?P<info>[^`\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
_NEEDS = re.compile(r"\*\*Needs a (key|server)\*\*")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, the file that it names, its text, and what it needs."""

    language: str
    file: str
    text: str
    needs: str
    line: int


@dataclass(frozen=True, slots=True)
class Step:
    """A command of a console block and the lines that a page shows below it."""

    command: str
    shown: tuple[str, ...]


def page(name: str) -> str:
    """Return the text of a page."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str) -> list[Block]:
    """Return the fenced blocks of a page in their order."""
    text = page(name)
    found, end = [], 0
    for match in _FENCE.finditer(text):
        words = match["info"].split()
        needs = _NEEDS.match(text[end : match.start()].strip().rsplit("\n\n", 1)[-1])
        found.append(
            Block(
                language=words[0] if words else "",
                file=words[1] if len(words) > 1 else "",
                text=match["text"],
                needs=needs[1] if needs else "",
                line=text.count("\n", 0, match.start()) + 1,
            )
        )
        end = match.end()
    return found


def links(name: str) -> list[str]:
    """Return the targets of the links of a page, those in blocks left out."""
    return _LINK.findall(_FENCE.sub("", page(name)))


def steps(block: Block) -> list[Step]:
    """Return the commands of a console block."""
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return [Step(command, tuple(shown)) for command, shown in found]


def first_difference(shown: tuple[str, ...], printed: str) -> str | None:
    """Return what a page shows and the command did not print, or None; times and rules are not compared."""
    actual = [_masked(line) for line in printed.splitlines()]
    at, anchored = 0, True
    for part in _parts(shown):
        wanted = [_masked(line) for line in part]
        places = range(at, at + 1) if anchored else range(at, len(actual) - len(wanted) + 1)
        place = next((n for n in places if actual[n : n + len(wanted)] == wanted), None)
        if place is None:
            return "\n".join(part)
        at, anchored = place + len(wanted), False
    rest = [line for line in actual[at:] if line]
    return "\n".join(rest) if shown and shown[-1] != "..." and rest else None


def _parts(shown: tuple[str, ...]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for line in shown:
        if line == "...":
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def _masked(line: str) -> str:
    line = re.sub(r"\d+\.\d+s\b", "0.0s", line.rstrip())
    line = re.sub(r" +\d+\.\d+ s\b", " 0.0 s", line)
    return re.sub(r"^=+ (.*?) =+$", r"= \1 =", line)
