"""Markdown cut into passages, and the passages ranked against a question with BM25."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

K1 = 1.2
B = 0.5
_LONGEST_HEADING = 200
_TOKEN = re.compile(r"\w+|[^\w\s]")
_WORD = re.compile(r"\w+(?:[.\-/]\w+)*")
_PARTS = re.compile(r"[._\-/]+")
_FENCE = re.compile(r"\s*(`{3,}|~{3,})[ \t]*([^`]*)$")
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(\S.*)")
_ITEM = re.compile(r" ?(?:[-*+]|\d{1,9}[.)])[ \t]+\S|\s*\|")
_LONE_TAG = re.compile(r"\s*</?[A-Za-z][^<>]*>\s*$")
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        a about an and are as at be by can do does for from had has have how i if in into is it its me my no
        not of on or our should so some such than that the their them then there these they this to was we
        were what when where which who why will with would you your
        """,
    )
)


@dataclass(frozen=True, slots=True)
class Passage:
    """A paragraph, a list item, a table row or a fenced block with the sentence before it.

    `heading` is the line of the heading right above it; `path` the words of all headings above it.
    """

    text: str
    heading: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Fence:
    """A line that opens or closes a fenced block."""

    mark: str
    info: str

    def closes(self, other: Fence) -> bool:
        return not self.info and self.mark.startswith(other.mark)

    def restarts(self, other: Fence) -> bool:
        return bool(self.info) and self.mark.startswith(other.mark)


def estimate(text: str) -> int:
    """Estimate the tokens of a text: each word and each punctuation mark is one."""
    return sum(1 for _ in _TOKEN.finditer(text))


def cut(text: str, tokens: int) -> str:
    """Return the beginning of a text, at most so many estimated tokens."""
    end = 0
    for count, match in enumerate(_TOKEN.finditer(text)):
        if count == tokens:
            return text[:end]
        end = match.end()
    return text


def terms(text: str) -> Iterator[str]:
    """Yield the stems of a text: a compound such as `sm_90a` or `build.toml` whole and in its parts."""
    for word in _WORD.findall(text.lower()):
        parts = [part for part in _PARTS.split(word) if len(part) > 1]
        if parts != [word] and word not in _STOP_WORDS:
            yield word
        yield from (_stem(part) for part in parts if part not in _STOP_WORDS)


def _stem(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    for ending in ("ing", "ed", "es", "s", "e"):
        rest = 4 if ending == "ing" else 3  # `string` keeps its ending
        if word.endswith(ending) and len(word) - len(ending) >= rest and not word.endswith("ss"):
            word = word.removesuffix(ending)
            break
    # `wrapped` and `wrap`, `adding` and `add` meet where a doubled letter is written once.
    return word[:-1] if len(word) > 2 and word[-1] == word[-2] else word


def fence(line: str) -> Fence | None:
    """Return the fence that a line is, if it is one."""
    match = _FENCE.match(line)
    return Fence(match[1], match[2].strip()) if match else None


def block_end(lines: list[str], start: int) -> int | None:
    """Return the index of the line that closes the block opened at `start`, or None.

    A block that never closes, or in which another named block opens, is no block: its first line is stray.
    """
    opener = fence(lines[start])
    if opener is None:
        return None
    for number in range(start + 1, len(lines)):
        found = fence(lines[number])
        if found and found.closes(opener):
            return number
        if found and found.restarts(opener):
            return None
    return None


class _Scanner:
    """Collects the passages of one Markdown text, line by line."""

    def __init__(self, name: str) -> None:
        self.passages: list[Passage] = []
        self._name = name
        self._headings: list[tuple[int, str, str]] = []
        self._path = name
        self._open: list[str] = []
        self._bare_heading = False

    def line(self, line: str) -> None:
        heading = _HEADING.match(line)
        if heading:
            self._start(len(heading[1]), line.strip(), heading[2])
        elif not line.strip() or _LONE_TAG.match(line):
            self.flush()
        else:
            if _ITEM.match(line):
                self.flush()
            self._open.append(line.rstrip())

    def block(self, lines: list[str]) -> None:
        self.flush()
        text = "\n".join(lines)
        if self.passages and not self._bare_heading and self.passages[-1].text.endswith(":"):
            text = f"{self.passages.pop().text}\n\n{text}"
        self._add(text)

    def flush(self) -> None:
        if self._open:
            text = "\n".join(self._open).strip("\n")
            self._open.clear()
            self._add(text)

    def close(self) -> None:
        self.flush()
        if self._bare_heading:
            self._add("")

    def _start(self, level: int, line: str, words: str) -> None:
        self.flush()
        # A heading without text below it is a passage of its own: it may be all there is to find.
        if self._bare_heading and self._headings[-1][0] >= level:
            self._add("")
        self._headings = [known for known in self._headings if known[0] < level]
        # All passages below carry these words, so that a heading of a megabyte would be paid for each.
        self._headings.append((level, line, words[:_LONGEST_HEADING]))
        self._path = " ".join([self._name, *(known[2] for known in self._headings)])
        self._bare_heading = True

    def _add(self, text: str) -> None:
        heading = self._headings[-1][1] if self._headings else ""
        self.passages.append(Passage(text, heading, self._path))
        self._bare_heading = False


def split(text: str, name: str = "") -> list[Passage]:
    """Cut a Markdown text into passages; `name` (a file's) counts as a heading above all of them."""
    lines = text.splitlines()
    scanner = _Scanner(name)
    number = 0
    while number < len(lines):
        end = block_end(lines, number)
        if end is not None:
            scanner.block(lines[number : end + 1])
            number = end
        elif fence(lines[number]) is None:
            scanner.line(lines[number])
        else:
            scanner.flush()
        number += 1
    scanner.close()
    return scanner.passages


def split_plain(text: str, name: str) -> list[Passage]:
    """Cut a text that is not Markdown at its blank lines."""
    parts = re.split(r"\n[^\S\n]*(?:\n[^\S\n]*)+", "\n".join(text.splitlines()))
    return [Passage(part.strip("\n"), path=name) for part in parts if part.strip()]


class Index:
    """Passages ready to be ranked with Okapi BM25 (Robertson and Zaragoza 2009).

    The idf of a word in n of N passages is ln(1 + (N - n + 0.5) / (n + 0.5)), never negative. The words of
    the headings above a passage count as its own, but not for its length.
    """

    def __init__(self, passages: Iterable[Passage]) -> None:
        self.passages = tuple(passages)
        self.costs = tuple(estimate(passage.text) for passage in self.passages)
        self.heading_costs = {
            heading: estimate(heading) for heading in {passage.heading for passage in self.passages}
        }
        self.sections = tuple(self._sections())
        self.postings = self._weigh([list(terms(passage.text)) for passage in self.passages])

    def _sections(self) -> Iterator[int]:
        last, number = ("", ""), 0
        for passage in self.passages:
            number += (passage.heading, passage.path) != last
            last = (passage.heading, passage.path)
            yield number

    def _weigh(self, own: list[list[str]]) -> dict[str, list[tuple[int, float]]]:
        total = len(own)
        mean = sum(map(len, own)) / max(total, 1) or 1.0
        counts: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for number, (words, passage) in enumerate(zip(own, self.passages, strict=True)):
            norm = K1 * (1 - B + B * len(words) / mean)
            for term, count in Counter([*words, *terms(passage.path)]).items():
                counts[term].append((number, count * (K1 + 1) / (count + norm)))
        return {
            term: [
                (number, weight * math.log1p((total - len(found) + 0.5) / (len(found) + 0.5)))
                for number, weight in found
            ]
            for term, found in counts.items()
        }

    def rank(self, question: str) -> list[int]:
        """Return the numbers of the passages that share a word with the question, best first."""
        scores: dict[int, float] = defaultdict(float)
        for term in dict.fromkeys(terms(question)):
            for number, weight in self.postings.get(term, ()):
                scores[number] += weight
        return sorted(scores, key=lambda number: (-scores[number], number))
