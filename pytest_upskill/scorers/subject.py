"""What a check looks at: the whole reply, or the fenced block that names a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_upskill.scorers.evidence import quoted
from pytest_upskill.scorers.fences import Block, fenced_blocks, named_block
from pytest_upskill.types import Check, Reply


@dataclass(frozen=True, slots=True)
class Subject:
    """The text to judge, its name in words, and the evidence for a miss where there is no such text."""

    text: str
    where: str = "the reply"
    missing: str = ""


def subject(reply: Reply, check: Check) -> Subject:
    """Return the text that a check looks at: with the option `output_file`, that file's fenced block."""
    name = check.options.get("output_file")
    if name is None:
        return Subject(reply.text)
    blocks = fenced_blocks(reply.text)
    block = named_block(blocks, str(name))
    if block is None:
        return Subject("", str(name), f"no fenced block names '{name}'; the reply has: {block_list(blocks)}")
    return Subject(block.text, str(name))


def within(check: Check, words: str) -> str:
    """Return the check in words, with the file that it looks at."""
    name = check.options.get("output_file")
    return words if name is None else f"{words} in {name}"


def block_list(blocks: Sequence[Block]) -> str:
    """Return the names of the blocks in words, for evidence."""
    names = (block.name or f"an unnamed {block.language} block".replace("  ", " ") for block in blocks)
    return ", ".join(dict.fromkeys(names)) or "no fenced block"


def check_options(check: Check) -> None:
    """Raise `ValueError` when an option that stands beside the check has a wrong type."""
    sensitive = check.options.get("case_sensitive", False)
    if not isinstance(sensitive, bool):
        raise ValueError(f"case_sensitive must be true or false, not {kind(sensitive)}")
    name = check.options.get("output_file")
    if name is not None and (not isinstance(name, str) or not name.strip()):
        raise ValueError(f"output_file must be the name of a file, not {kind(name)}")


def case_sensitive(check: Check, default: bool) -> bool:
    """Return whether upper and lower case count."""
    return bool(check.options.get("case_sensitive", default))


def strings(check: Check) -> list[str]:
    """Return a check's value, a string or a list of strings. Raises `ValueError` for anything else."""
    value = check.value
    items = value if isinstance(value, list) else [value]
    if not items:
        raise ValueError(f"{check.scorer} needs at least one string, not an empty list")
    for item in items:
        if not isinstance(item, str):
            raise ValueError(f"{check.scorer} needs a string or a list of strings, not {kind(item)}")
        if not item:
            raise ValueError(f"{check.scorer} needs a string that is not empty")
    return [item for item in items if isinstance(item, str)]


def kind(value: object) -> str:
    """Return a value in words for an error message: short ones as they are, others by their kind."""
    if isinstance(value, str):
        return quoted(value) if value.strip() else "an empty string"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return "an object" if isinstance(value, dict) else str(value)
