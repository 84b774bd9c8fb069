"""What concerns all skills of a project at once: upskill.yaml, hooks of ours, options of ours in the ini file."""

from __future__ import annotations

import configparser
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pytest_upskill.config import CONFIG_FILE
from pytest_upskill.errors import listing
from pytest_upskill.suite.revisions import Comparison
from pytest_upskill.suite.text import shown

_HOOKS = "pytest_upskill_"
_INI_FILES = (
    "pytest.toml",
    ".pytest.toml",
    "pytest.ini",
    ".pytest.ini",
    "pyproject.toml",
    "tox.ini",
    "setup.cfg",
)
_OPTION = "upskill_"
_FLAG = "--upskill-"


def differs_for_all(
    comparison: Comparison, ref: str, rootdir: Path, ini: Path | None, plugins: Iterable[object]
) -> str:
    """Return why all skills count as changed, or nothing.

    Args:
        comparison: of the repository that holds the rootdir.
        ref: what it was compared with, in words.
        rootdir: the folder of conftest.py and, in it or above it, of upskill.yaml.
        ini: pytest's own ini file, also where it lies elsewhere (`-c`).
        plugins: of the run; those with hooks of ours count, as conftest.py does.
    """
    folder = rootdir.resolve()
    for path in (place / CONFIG_FILE for place in (folder, *folder.parents)):
        if comparison.touches(path):
            return f"{shown(path)} differs from {ref}"
    own = [folder / "conftest.py", *_hook_files(plugins), *_ini_files(folder, ini)]
    files = [path for path in dict.fromkeys(own) if comparison.touches(path)]
    before = comparison.read(files)
    for path in files:
        words = _difference(path, before.get(path, b""), path.read_bytes() if path.is_file() else b"")
        if words is not None:
            return f"{shown(path)} differs from {ref}{words}"
    return ""


def _hook_files(plugins: Iterable[object]) -> Iterator[Path]:
    for plugin in plugins:
        file = getattr(plugin, "__file__", None)
        if isinstance(file, str) and any(name.startswith(_HOOKS) for name in vars(plugin)):
            yield Path(file).resolve()


def _ini_files(folder: Path, ini: Path | None) -> Iterator[Path]:
    if ini is not None:
        yield ini.resolve()
    yield from (folder / name for name in _INI_FILES)


def _difference(path: Path, before: bytes, now: bytes) -> str | None:
    """Return in what a file differs that concerns us, or None where in nothing."""
    if path.suffix == ".py":
        return " and holds hooks of pytest-upskill" if _HOOKS.encode() in before + now else None
    old, new = _options(path, before), _options(path, now)
    if old is None or new is None:
        return None if old == new else ""
    names = [name for name in old.keys() | new.keys() if old.get(name) != new.get(name)]
    return f" in {listing(names)}" if names else None


def _options(path: Path, data: bytes) -> dict[str, object] | None:
    """Return what a file sets of our options, `addopts` too where it holds a flag; None where it cannot be read."""
    try:
        text = data.decode("utf-8-sig")
        tables = _toml(text) if path.suffix == ".toml" else _ini(text)
    except (ValueError, configparser.Error):
        return None
    return {
        key: value
        for table in tables
        for key, value in table.items()
        if key.startswith(_OPTION) or (key == "addopts" and _FLAG in str(value))
    }


def _toml(text: str) -> Iterator[dict[str, Any]]:
    data = tomllib.loads(text)
    own = data.get("tool", {}).get("pytest", {})
    return (table for table in (data.get("pytest"), own, own.get("ini_options")) if isinstance(table, dict))


def _ini(text: str) -> Iterator[dict[str, Any]]:
    parser = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
    parser.read_string(text)
    sections = (name for name in ("pytest", "tool:pytest") if parser.has_section(name))
    return (dict(parser.items(name)) for name in sections)
