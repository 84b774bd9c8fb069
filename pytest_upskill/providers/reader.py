"""An offline extractive reader: it answers only with passages of the text that it is given."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache

from pytest_upskill.errors import CallError, listing, nearest
from pytest_upskill.providers.passages import Index, block_end, cut, estimate, fence, split, split_plain
from pytest_upskill.suite.prompt import BASE
from pytest_upskill.types import JSON, Model, Reply, Request, Usage

NOTHING_TO_READ = "There is nothing to read: the request holds neither a skill nor a file."
NO_QUESTION = "There is no question to look up."
NO_MATCH = "Nothing in the text matches the question."
MAX_TOKENS = 180
_MARKDOWN = (".md", ".markdown", ".mdx")
_KEPT_INDEXES = 64

Files = tuple[tuple[str, str], ...]


class Reader:
    """Answers with the best passages of the skill and the files, in their order; never with its own words.

    A free check, without a network, that a skill's text carries, where one would look, what its cases expect.
    Its one parameter is `max_tokens`, the length of an answer in estimated tokens.
    """

    version = "1"
    deterministic = True

    def __init__(self, model: Model) -> None:
        self._model = model
        self._index = lru_cache(maxsize=_KEPT_INDEXES)(_index)

    async def open(self) -> None:
        """Check the parameters. Raises `CallError` for one that the reader does not know."""
        _max_tokens(self._model, self._model.parameters)

    async def complete(self, request: Request, timeout: float) -> Reply:
        """Answer at once; `timeout` is in seconds and never reached."""
        start = time.perf_counter()
        budget = _max_tokens(self._model, {**self._model.parameters, **request.parameters})
        text, whole = self._answer(request, budget)
        return Reply(
            text=text,
            model="reader-1",
            usage=Usage(_input_tokens(request), estimate(text)),
            stop_reason="stop" if whole else "length",
            latency=time.perf_counter() - start,
        )

    async def close(self) -> None:
        """Forget the texts that were read."""
        self._index.cache_clear()

    def _answer(self, request: Request, budget: int) -> tuple[str, bool]:
        question, files = _question_and_files(request)
        index = self._index(request.system.replace(BASE, "", 1), files)
        if not index.passages:
            return NOTHING_TO_READ, True
        if not question.strip():
            return NO_QUESTION, True
        ranked = index.rank(question)
        return _extract(index, ranked, budget) if ranked else (NO_MATCH, True)


def _max_tokens(model: Model, parameters: Mapping[str, JSON]) -> int:
    for key in parameters:
        if key != "max_tokens":
            message = (
                f"Model '{model.name}': the reader has no parameter '{key}'{nearest(key, ['max_tokens'])}; "
                f"it knows {listing(['max_tokens'])}. Take '{key}' out of the model in upskill.yaml."
            )
            raise CallError(message, short=f"unknown parameter '{key}'", fatal=True)
    value = parameters.get("max_tokens", MAX_TOKENS)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        message = (
            f"Model '{model.name}': max_tokens must be a whole number above 0, not {value!r}; "
            "mend it in upskill.yaml."
        )
        raise CallError(message, short="bad max_tokens", fatal=True)
    return value


def _input_tokens(request: Request) -> int:
    return estimate(request.system) + sum(estimate(message.content) for message in request.messages)


def _index(system: str, files: Files) -> Index:
    passages = split(system)
    for name, text in files:
        passages += split(text, name) if name.lower().endswith(_MARKDOWN) else split_plain(text, name)
    return Index(passages)


def _question_and_files(request: Request) -> tuple[str, Files]:
    """Return the last user message without its file blocks, and the file blocks of all of them."""
    question = ""
    files: list[tuple[str, str]] = []
    for message in request.messages:
        if message.role == "user":
            question, found = _take_files(message.content)
            files += found
    return question, tuple(files)


def _take_files(text: str) -> tuple[str, list[tuple[str, str]]]:
    lines = text.splitlines()
    rest: list[str] = []
    files: list[tuple[str, str]] = []
    number = 0
    while number < len(lines):
        opener = fence(lines[number])
        end = block_end(lines, number) if opener and opener.info else None
        if opener and end is not None:
            files.append((opener.info.split()[-1], "\n".join(lines[number + 1 : end])))
            number = end
        else:
            rest.append(lines[number])
        number += 1
    return "\n".join(rest), files


def _extract(index: Index, ranked: list[int], budget: int) -> tuple[str, bool]:
    """Return the best passages that fit the budget, and whether the best of all is whole."""
    chosen: list[int] = []
    sections: set[int] = set()
    left = budget
    for number in ranked:
        section = index.sections[number]
        heading = index.passages[number].heading
        cost = index.costs[number] + (0 if section in sections else index.heading_costs[heading])
        if cost <= left:
            chosen.append(number)
            sections.add(section)
            left -= cost
        elif not chosen:
            return cut(_compose(index, [number]), budget), False
    return _compose(index, sorted(chosen)), True


def _compose(index: Index, numbers: list[int]) -> str:
    parts: list[str] = []
    last = 0
    for number in numbers:
        if index.sections[number] != last:
            last = index.sections[number]
            parts.append(index.passages[number].heading)
        parts.append(index.passages[number].text)
    return "\n\n".join(part for part in parts if part)
