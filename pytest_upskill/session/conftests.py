"""Refusing our hooks in a conftest.py where xdist's controller would never see them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_upskill.errors import listing


def refuse_deep(path: Path, names: Mapping[str, object], manager: pytest.PytestPluginManager) -> None:
    """Raise a UsageError for a conftest.py with hooks of ours that is not the rootdir's.

    Raises:
        pytest.UsageError: with the hooks and where they belong.
    """
    config = next((plugin for plugin in manager.get_plugins() if isinstance(plugin, pytest.Config)), None)
    if config is None or path.parent == config.rootpath:
        return
    found = listing(name for name in names if name.startswith("pytest_upskill_"))
    raise pytest.UsageError(
        f"{path}: {found}: the hooks of pytest-upskill are called in the controlling process, which does not read "
        f"this file under pytest-xdist: move them to {config.rootpath / 'conftest.py'} or into a plugin"
    )
