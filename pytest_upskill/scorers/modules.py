"""The Python modules beside a skill, each skill's apart from every other's."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType


class SkillModules:
    """The modules of the skills of one process, by the skill's folder.

    Two skills may each have a `checks.py` and a `helpers.py`: a skill's modules are importable only while
    its own code runs. Once a module's file has changed, all modules of its skill are loaded anew.
    """

    def __init__(self) -> None:
        self._own: dict[Path, dict[str, ModuleType]] = {}
        self._stamps: dict[Path, dict[Path, tuple[int, int]]] = {}

    @contextmanager
    def of(self, root: Path) -> Iterator[None]:
        """Make the modules beside a skill importable, before all others, for the time of the block."""
        if self._stamps.get(root) != self._fingerprint(root):
            self._own.pop(root, None)
        hidden = _take(
            {name: module for name, module in _beside(root).items() if not _is_under(module, root)}
        )
        shared = _beside(root).keys()
        sys.modules.update(self._own.get(root, {}))
        sys.path.insert(0, str(root))
        importlib.invalidate_caches()
        try:
            yield
        finally:
            with suppress(ValueError):
                sys.path.remove(str(root))
            self._own[root] = _take(
                {name: each for name, each in _beside(root).items() if name not in shared}
            )
            self._stamps[root] = self._fingerprint(root)
            sys.modules.update(hidden)

    def _fingerprint(self, root: Path) -> dict[Path, tuple[int, int]]:
        files = [Path(module.__file__) for module in self._own.get(root, {}).values() if module.__file__]
        stats = [(file, file.stat()) for file in files if file.is_file()]
        return {file: (stat.st_mtime_ns, stat.st_size) for file, stat in stats}


def file_beside(root: Path, module: str) -> Path | None:
    """Return the file of a module beside the skill, or None where there is none."""
    base = root.joinpath(*module.split("."))
    choices = (base.with_name(f"{base.name}.py"), base / "__init__.py")
    return next((path for path in choices if path.is_file()), None)


def _beside(root: Path) -> dict[str, ModuleType]:
    """Return the loaded modules that have the name of a module beside the skill."""
    names = {path.stem for path in root.glob("*.py")} | {
        path.parent.name for path in root.glob("*/__init__.py")
    }
    # The standard library is never hidden: half of it is loaded already and holds on to itself.
    names -= sys.stdlib_module_names
    return {name: each for name, each in list(sys.modules.items()) if name.partition(".")[0] in names}


def _is_under(module: ModuleType, root: Path) -> bool:
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and Path(file).is_relative_to(root)


def _take(modules: dict[str, ModuleType]) -> dict[str, ModuleType]:
    for name in modules:
        del sys.modules[name]
    return modules
