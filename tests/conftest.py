"""Plugins of the whole suite, and what holds for every process that it starts."""

from __future__ import annotations

import os

# They must be named in a conftest.py that is read before collection begins.
pytest_plugins = ["pytester"]

# Hundreds of tests start pytest. Where compiled modules may not be kept, each would compile all of them anew, and
# take three times as long.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
