"""The prompt of each sample: ours, or what a plugin makes of it."""

from __future__ import annotations

from typing import Any

from pytest_upskill.calls.measure import PromptOf
from pytest_upskill.errors import CallError
from pytest_upskill.suite.matrix import Suite
from pytest_upskill.suite.prompt import Prompt, build, skill_block
from pytest_upskill.types import OLD, WITH, WITHOUT, Arm, Case


def prompt_of(hook: Any) -> PromptOf:  # noqa: ANN401 - pluggy's caller of `pytest_upskill_prompt`
    """Return what makes the prompts of a run."""
    blocks: dict[Suite, str] = {}

    def standard(suite: Suite, case: Case, arm: Arm) -> Prompt:
        if arm == OLD and suite.old is not None:
            return build(case, arm, suite.old.block)
        if suite not in blocks:
            blocks[suite] = skill_block(suite.skill, suite.first.inject)
        return build(case, arm, blocks[suite])

    def asked(suite: Suite, case: Case, arm: Arm) -> Prompt:
        before = suite.old.skill if arm == OLD and suite.old is not None else None
        own = hook(skill=before or suite.skill, case=case, arm=arm)
        if own is None:
            return standard(suite, case, arm)
        if arm == OLD and _takes_for_without(hook, suite, case):
            raise CallError(
                "pytest_upskill_prompt makes the prompt of old_skill without a skill: put it into every prompt "
                "but that of without_skill (arm != 'without_skill')"
            )
        return Prompt(*own)

    return asked if hook.get_hookimpls() else standard


def _takes_for_without(hook: Any, suite: Suite, case: Case) -> bool:  # noqa: ANN401
    """Tell whether the same skill goes into the prompt of with_skill and not into that of old_skill."""
    old, with_, without = (hook(skill=suite.skill, case=case, arm=arm) for arm in (OLD, WITH, WITHOUT))
    return bool(old == without != with_)
