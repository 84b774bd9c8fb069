"""What Python code imports, found by reading it: nothing is imported or executed."""

from __future__ import annotations

import ast
import importlib.util
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Protocol, runtime_checkable

from pytest_upskill.types import Check

_INSTALLED = frozenset({"site-packages", "dist-packages"})


@runtime_checkable
class UsesModules(Protocol):
    """A scorer whose checks name Python modules."""

    def modules(self, check: Check) -> Sequence[str]:
        """Return the modules that a check names, dotted, as an import statement would."""


@dataclass(frozen=True, slots=True)
class _Import:
    """One name that a file imports. `level` counts the dots of a relative import; 0 is an absolute one."""

    name: str
    level: int = 0


class Imports:
    """Follows imports from module to module, as far as they stay within some folders.

    Args:
        within: tells whether a folder is one of these. What is installed is never followed.
    """

    def __init__(self, within: Callable[[Path], bool]) -> None:
        self._within = within
        self._parsed: dict[Path, tuple[_Import, ...]] = {}
        self._found: dict[str, list[Path]] = {}

    def reached(self, modules: Iterable[str], files: Iterable[Path], beside: Path) -> Iterator[Path]:
        """Yield the files of modules, those that they import, and so on; also where one was looked for in vain.

        Args:
            modules: dotted names to begin with.
            files: further files to begin with.
            beside: the folder in which a module is looked for before `sys.path`.
        """
        folders = [beside, *self._path()]
        waiting = deque(file for file in files if self._follows(file))
        seen: set[Path] = set()
        for name in modules:
            waiting.extend(self._places(_Import(name), folders, beside))
        while waiting:
            place = waiting.popleft()
            if place in seen:
                continue
            seen.add(place)
            yield place
            real = place.resolve()
            if real != place:
                yield real
            for found in self._imports(real):
                waiting.extend(each for each in self._places(found, folders, place) if each not in seen)

    def _path(self) -> list[Path]:
        entries = (Path(entry).resolve() for entry in dict.fromkeys(sys.path))
        return [folder for folder in entries if self._follows(folder)]

    def _follows(self, folder: Path) -> bool:
        return _INSTALLED.isdisjoint(folder.parts) and self._within(folder)

    def _places(self, found: _Import, folders: Sequence[Path], file: Path) -> Iterator[Path]:
        parts = found.name.split(".") if found.name else []
        if found.level:
            folder = file.parents[min(found.level, len(file.parents)) - 1]
            yield folder / "__init__.py"
            yield from _search(parts, [folder])
        elif parts[0] not in sys.stdlib_module_names:
            places = list(_search(parts, folders))
            if not any(place.is_file() for place in places):
                places += _search(parts, self._elsewhere(parts[0]))
            yield from places

    def _elsewhere(self, name: str) -> list[Path]:
        """Return the folders in which a package is that Python finds by other means than `sys.path`."""
        if name not in self._found:
            try:
                spec = importlib.util.find_spec(name)
            except (ImportError, ValueError):
                spec = None
            folders = dict.fromkeys(Path(place).resolve().parent for place in _locations(spec))
            self._found[name] = [folder for folder in folders if self._follows(folder)]
        return self._found[name]

    def _imports(self, file: Path) -> tuple[_Import, ...]:
        if file not in self._parsed:
            self._parsed[file] = tuple(dict.fromkeys(_read(file)))
        return self._parsed[file]


def _locations(spec: ModuleSpec | None) -> list[str]:
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return list(spec.submodule_search_locations)
    return [spec.origin] if spec.has_location and spec.origin else []


def _search(parts: Sequence[str], folders: Sequence[Path]) -> Iterator[Path]:
    """Yield where a module and the packages around it are looked for, up to where each is found."""
    for part in parts:
        following = []
        for folder in folders:
            package, module = folder / part / "__init__.py", folder / f"{part}.py"
            yield package
            yield module
            if package.is_file():
                following = [package.parent]
                break
            if module.is_file():
                following = []
                break
            following.append(package.parent)  # a package may do without a file of its own
        folders = following


def _read(file: Path) -> Iterator[_Import]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return  # what is wrong with it is said where it is used
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (_Import(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module or node.level:
                yield _Import(module, node.level)
            # What is imported from a package may be a module of it.
            names = (alias.name for alias in node.names if alias.name != "*")
            yield from (_Import(f"{module}.{name}".lstrip("."), node.level) for name in names)
