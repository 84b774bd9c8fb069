"""The prompt of a sample: the same in every arm but for the skill block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pytest_upskill.errors import one_line
from pytest_upskill.suite.skill import Folder, Tree
from pytest_upskill.suite.text import decoded
from pytest_upskill.types import WITHOUT, Arm, Case, Skill

BASE = (
    "Do the task that the user gives you and reply with the result itself. "
    "Put each file that you write into a fenced code block of its own whose info string ends with the "
    "file's path, as in ```toml settings.toml"
)
_SHORTEST_LINE = 12
Inject = Literal["body", "all"]


@dataclass(frozen=True, slots=True)
class Prompt:
    system: str
    user: str


def skill_block(skill: Skill, inject: Inject = "body", tree: Tree | None = None) -> str:
    """Return the skill as a model gets it: the body, the list of its other files, `references/` with `all`.

    Args:
        skill: what was read.
        inject: how much of it a model gets.
        tree: where its files are read; without one in its folder, as they are now.

    Raises:
        SuiteError: a reference cannot be read.
    """
    parts = [skill.body.strip()]
    if skill.files:
        parts.append("Files of this skill: " + ", ".join(skill.files))
    if inject == "all":
        parts += _references(skill, tree or Folder(skill.root))
    text = "\n\n".join(parts)
    tag = _tag(text)
    name = one_line(skill.name).replace('"', "'")
    return f'<{tag} name="{name}">\n\n{text}\n\n</{tag}>'


def _references(skill: Skill, tree: Tree) -> Iterator[str]:
    names = [name for name in skill.files if name.startswith("references/")]
    for name, data in zip(names, tree.read(names), strict=True):
        try:
            text = decoded(data)
        except UnicodeDecodeError:
            continue  # a picture: its name stands in the list of files
        yield f"## {name}\n\n{text.strip()}"


def _tag(text: str) -> str:
    # One that the skill itself does not close: a skill about skills stays one block.
    tag, count = "skill", 1
    while f"</{tag}" in text.lower():
        count += 1
        tag = f"skill-{count}"
    return tag


def user_text(case: Case) -> str:
    """Return the case's input, what its checks ask of the form, and its files, each in a fenced block that names it."""
    brief = [case.brief] if case.brief else []
    return "\n\n".join([case.input, *brief, *(_fenced(name, text) for name, text in case.files.items())])


def build(case: Case, arm: Arm, block: str) -> Prompt:
    """Return the prompt of a case in an arm; `block` is the skill block of that arm."""
    system = BASE if arm == WITHOUT else f"{BASE}\n\n{block}"
    return Prompt(system, user_text(case))


def telling_lines(text: str) -> frozenset[str]:
    """Return the lines of a text by which it can be recognised: those of at least 12 characters."""
    return frozenset(line for part in text.splitlines() if len(line := part.strip()) >= _SHORTEST_LINE)


def leaked_line(prompt: Prompt, body: frozenset[str], case: Case) -> str | None:
    """Return a line of the skill that a prompt without it holds, or None.

    Args:
        prompt: what the model would get.
        body: the `telling_lines` of the skill's block.
        case: a line that the case itself holds, or our own preamble, does not count.
    """
    found = body & (telling_lines(prompt.system) | telling_lines(prompt.user))
    if not found:
        return None
    return min(found - telling_lines(user_text(case)) - telling_lines(BASE), default=None)


def _fenced(name: str, text: str) -> str:
    # A fence longer than any in the text, so that a Markdown file stays one block.
    fence = "```"
    while fence in text:
        fence += "`"
    end = "" if not text or text.endswith("\n") else "\n"
    return f"{fence}{name}\n{text}{end}{fence}"
