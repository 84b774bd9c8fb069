"""What a person sees of a score: the check in words, and short evidence from the reply."""

from __future__ import annotations

import difflib
import json
import re

from pytest_upskill.types import Check, Reply, Score

_LIMIT = 160
_QUOTED = 80
_MARGIN = 40
# Only the head of a long text is searched for what is nearest: evidence has to stay cheap.
_SEARCHED = 20_000
_MOST_WORDS = 400
_WORD = re.compile(r"[\w.+#-]{2,40}")


def scored(reply: Reply, check: Check, hit: bool, evidence: str, expected: str) -> Score:
    """Return a score whose texts are one line each and at most 160 characters long."""
    if not hit and reply.truncated:
        evidence = f"the reply was cut off at max_tokens; {evidence}"
    return Score(hit, fold(evidence), _cut(expected, _LIMIT), check.scorer)


def fold(text: str, limit: int = _LIMIT) -> str:
    """Return the text on one line, with single spaces, no control characters and at most `limit` long."""
    line = " ".join(text[: limit * 8].split())
    # A reply may hold terminal escapes or lone surrogates, which neither a terminal nor XML can show.
    return _cut("".join(char if char.isprintable() else "?" for char in line), limit)


def quoted(text: str, limit: int = _QUOTED) -> str:
    """Return the text in double quotes on one line; its spaces stay as they are."""
    return json.dumps(_cut(text, limit), ensure_ascii=False)


def described(check: Check) -> str:
    """Return the check as a person would name it: `regex /^fix/`, `python "checks:valid"`, else its name."""
    if check.scorer == "regex":
        patterns = check.value if isinstance(check.value, list) else [check.value]
        return _cut(f"regex {', '.join(f'/{pattern}/' for pattern in patterns)}", _LIMIT)
    if check.scorer == "python" and isinstance(check.value, str):
        return f"python {quoted(check.value)}"
    return check.scorer


def around(text: str, start: int, end: int) -> str:
    """Return the text between two offsets with a little of what stands around it."""
    end = min(end, start + _LIMIT - 2 * _MARGIN)
    left, right = max(0, start - _MARGIN), min(len(text), end + _MARGIN)
    return fold(f"{'...' if left else ''}{text[left:right]}{'...' if right < len(text) else ''}")


def closest(text: str, wanted: str, where: str) -> str:
    """Return evidence for a miss: what in the text comes nearest to what was wanted."""
    head = text[:_SEARCHED]
    if not head.strip():
        return f"{where} is empty"
    lowered = head.lower()
    place = lowered.find(wanted.lower())
    if place >= 0:
        way = "nearest" if wanted in head else "differs in case"
        return f"{way}: {around(head, place, place + len(wanted))}"
    folded, words = " ".join(lowered.split()), " ".join(wanted.lower().split())
    place = folded.find(words)
    if words and place >= 0:
        return f"differs in white space: {around(' '.join(head.split()), place, place + len(words))}"
    span = _shared_part(lowered, wanted.lower()) or _similar_word(lowered, wanted.lower())
    return f"nearest: {around(head, *span)}" if span else f"nothing like it in {where}"


def _shared_part(text: str, wanted: str) -> tuple[int, int] | None:
    """Return where the longest beginning or end of what was wanted stands, if it is half of it or more."""
    start = _longest(text, [wanted[:size] for size in range(1, min(len(wanted), 200))])
    end = _longest(text, [wanted[-size:] for size in range(1, min(len(wanted), 200))])
    part = max(start, end, key=len)
    if len(part) < max(3, len(wanted) / 2):
        return None
    place = text.find(part)
    return place, place + len(part)


def _longest(text: str, parts: list[str]) -> str:
    low, high = 0, len(parts)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if parts[middle] in text else (low, middle)
    return parts[low - 1] if low else ""


def _similar_word(text: str, wanted: str) -> tuple[int, int] | None:
    key = max(wanted.split(), key=len, default="")
    places: dict[str, int] = {}
    for match in _WORD.finditer(text):
        word = match.group().rstrip(".")
        if len(key) <= 2 * len(word) <= 4 * len(key) and word not in places:
            places[word] = match.start()
            if len(places) == _MOST_WORDS:
                break
    found = difflib.get_close_matches(key[:_MARGIN], places, n=1, cutoff=0.55)
    return (places[found[0]], places[found[0]] + len(found[0])) if found else None


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
