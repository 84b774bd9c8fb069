"""Plugins of the whole suite: they must be named in a conftest.py that is read before collection begins."""

from __future__ import annotations

pytest_plugins = ["pytester"]
