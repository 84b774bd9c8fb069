"""What `import pytest_upskill` offers."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

import pytest_upskill


def test_every_public_name_is_there() -> None:
    for name in pytest_upskill.__all__:
        assert getattr(pytest_upskill, name).__name__ == name
    assert sorted(pytest_upskill.__all__) == pytest_upskill.__all__


def test_the_version_is_that_of_the_installed_package() -> None:
    assert pytest_upskill.__version__ == importlib.metadata.version("pytest-upskill")


def test_other_names_are_refused_as_by_any_module() -> None:
    with pytest.raises(AttributeError, match=r"^module 'pytest_upskill' has no attribute 'nothing'$"):
        pytest_upskill.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_the_import_takes_nothing_with_it() -> None:
    code = "import sys, pytest_upskill; sys.exit(any(n.startswith('pytest_upskill.') for n in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
