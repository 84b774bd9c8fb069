"""The prompt of a sample: the same in every arm but for the skill block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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


def skill_block(skill: Skill, inject: Inject = "body") -> str:
    """Return the skill as a model gets it: the body, the list of its other files, `references/` with `all`."""
    parts = [f'<skill name="{skill.name}">', skill.body.strip()]
    if skill.files:
        parts.append("Files of this skill: " + ", ".join(skill.files))
    if inject == "all":
        for name in skill.files:
            if name.startswith("references/"):
                text = (skill.root / name).read_text(encoding="utf-8", errors="replace")
                parts.append(f"## {name}\n\n{text.strip()}")
    parts.append("</skill>")
    return "\n\n".join(parts)


def user_text(case: Case) -> str:
    """Return the case's input and then its files, each in a fenced block that names it."""
    return "\n\n".join([case.input, *(_fenced(name, text) for name, text in case.files.items())])


def build(case: Case, arm: Arm, block: str) -> Prompt:
    """Return the prompt of a case in an arm; `block` is the skill block of that arm."""
    system = BASE if arm == WITHOUT else f"{BASE}\n\n{block}"
    return Prompt(system, user_text(case))


def telling_lines(text: str) -> frozenset[str]:
    """Return the lines of a text by which it can be recognised: those of at least 12 characters."""
    return frozenset(line for part in text.splitlines() if len(line := part.strip()) >= _SHORTEST_LINE)


def leaked_line(prompt: Prompt, body: frozenset[str], case: Case) -> str | None:
    """Return a line of the skill's body that a prompt without the skill holds, or None.

    Args:
        prompt: what the model would get.
        body: the `telling_lines` of the skill's body.
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
    return f"{fence}{name}\n{text.rstrip()}\n{fence}"
