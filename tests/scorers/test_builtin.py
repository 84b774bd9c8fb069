from __future__ import annotations

import subprocess
import sys

from pytest_upskill.scorers.builtin import builtin_scorers

NAMES = {
    "contains",
    "contains_any",
    "data",
    "equals",
    "file",
    "json_schema",
    "max_latency",
    "max_output_tokens",
    "not_contains",
    "python",
    "regex",
}


def test_the_scorers_have_the_names_of_the_keys_of_expected() -> None:
    assert set(builtin_scorers()) == NAMES


def test_what_may_take_long_or_run_code_of_others_is_isolated() -> None:
    isolated = {name for name, scorer in builtin_scorers().items() if scorer.isolated}
    assert isolated == {"data", "file", "json_schema", "python", "regex"}


def test_making_the_scorers_imports_no_library() -> None:
    code = (
        "import sys; from pytest_upskill.scorers.builtin import builtin_scorers; builtin_scorers(); "
        "print([name for name in ('jsonschema', 'yaml', 'pydantic', 'asyncio') if name in sys.modules])"
    )
    command = [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
