"""The native dialect, registered as any other: skill_meta.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_upskill.protocols import Scorer
    from pytest_upskill.types import CaseFile


class Native:
    file = "skill_meta.json"

    def read(self, path: Path, scorers: Mapping[str, Scorer]) -> CaseFile:
        # pydantic is imported when the first skill is read, not when the dialect is registered.
        from pytest_upskill.suite.cases import read_native

        return read_native(path, scorers)
