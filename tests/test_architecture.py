"""What holds of the package's source as a whole: read from its syntax trees, nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import pytest_upskill

PACKAGE = "pytest_upskill"
ROOT = Path(pytest_upskill.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
# A module may import those of a lower rank and of its own room. What stands highest may import all.
RANKS = {
    "types": 0,
    "errors": 1,
    "protocols": 1,
    "suite": 2,
    "calls": 3,
    "verdicts": 3,
    "scorers": 3,
    "providers": 3,
    "kernels": 4,
}
HIGHEST = 5
NO_PYTEST = (
    "types",
    "protocols",
    "errors",
    "suite",
    "calls",
    "verdicts",
    "scorers",
    "kernels",
    "providers",
    "config",
    "cli",
)
# Why an import that only the type checker sees may point the other way; empty is best.
TYPES_ALONE: dict[tuple[str, str], str] = {}
MOST_LINES = 300


@dataclass(frozen=True)
class Import:
    module: str
    line: int
    at_top: bool
    types_alone: bool


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name_of(path: Path) -> str:
    parts = (PACKAGE, *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(part for part in parts if part != "__init__")


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def rank_of(module: str) -> int:
    return RANKS.get(room_of(module), HIGHEST)


def imports(path: Path) -> Iterator[Import]:
    yield from _imports(tree(path), at_top=True, types_alone=False)


def _imports(node: ast.AST, *, at_top: bool, types_alone: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, at_top, types_alone)
        elif isinstance(child, ast.ImportFrom):
            module = child.module or ""
            for alias in child.names:
                inner = f"{module}.{alias.name}"
                found = inner if _is_module(inner) else module
                yield Import(found, child.lineno, at_top, types_alone)
        else:
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            checking = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            yield from _imports(child, at_top=at_top and not function, types_alone=types_alone or checking)


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split(".")[1:])
    return name.startswith(f"{PACKAGE}.") and (path.with_suffix(".py").is_file() or path.is_dir())


def places(found: Iterator[tuple[Path, int, str]]) -> list[str]:
    return [f"{path.relative_to(ROOT.parent)}:{line}: {words}" for path, line, words in found]


def of_ours(path: Path) -> Iterator[Import]:
    return (found for found in imports(path) if found.module.split(".")[0] == PACKAGE)


def test_the_rooms_are_those_that_are_there() -> None:
    assert {room_of(name_of(path)) for path in FILES} >= set(RANKS)


def wrong_ways() -> Iterator[tuple[Path, int, str]]:
    for path in FILES:
        here = name_of(path)
        for found in of_ours(path):
            if (here, found.module) in TYPES_ALONE and found.types_alone:
                continue
            own_room = room_of(here) == room_of(found.module)
            above = rank_of(found.module) == HIGHEST
            if (
                not own_room
                and not (above and rank_of(here) == HIGHEST)
                and rank_of(found.module) >= rank_of(here)
            ):
                yield path, found.line, f"{here} imports {found.module}"


def test_imports_point_one_way() -> None:
    assert places(wrong_ways()) == []


def test_every_exception_from_that_is_still_needed() -> None:
    there = {(name_of(path), found.module) for path in FILES for found in of_ours(path) if found.types_alone}
    assert set(TYPES_ALONE) <= there


def test_the_core_knows_no_pytest() -> None:
    found = (
        (path, found.line, f"imports {found.module}")
        for path in FILES
        if room_of(name_of(path)) in NO_PYTEST
        for found in imports(path)
        if found.module.split(".")[0] in ("pytest", "_pytest", "xdist", "pluggy")
    )
    assert places(found) == []


def test_verdicts_are_pure() -> None:
    allowed = {"suite", "types", "errors", "verdicts"}
    found = (
        (path, found.line, f"imports {found.module}")
        for path in FILES
        if room_of(name_of(path)) == "verdicts"
        for found in imports(path)
        if (found.module.startswith(PACKAGE) and room_of(found.module) not in allowed)
        or found.module.split(".")[0] in ("os", "io", "pathlib", "subprocess", "socket", "random", "time")
    )
    assert places(found) == []


@pytest.mark.parametrize("name", ["__init__", "plugin"])
def test_what_every_run_imports_takes_nothing_of_ours_with_it(name: str) -> None:
    path = ROOT / f"{name}.py"
    found = (
        (path, found.line, f"imports {found.module} at its top")
        for found in of_ours(path)
        if found.at_top and not found.types_alone
    )
    assert places(found) == []


def test_heavy_libraries_are_never_imported_at_the_top_of_what_every_run_imports() -> None:
    heavy = {"yaml", "pydantic", "jsonschema", "asyncio", "sqlite3", "openai", "anthropic", "httpx", "torch"}
    early = ("plugin", "options", "hookspecs", "errors", "types", "protocols", "config", "builtin")
    found = (
        (path, found.line, f"imports {found.module} at its top")
        for path in FILES
        if room_of(name_of(path)) in early
        for found in imports(path)
        if found.at_top and not found.types_alone and found.module.split(".")[0] in heavy
    )
    assert places(found) == []


def test_no_control_flow_hangs_on_assert() -> None:
    found = (
        (path, node.lineno, "assert")
        for path in FILES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Assert)
    )
    assert places(found) == []


def test_no_module_is_long() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in FILES
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MOST_LINES
    }
    assert long == {}


def test_no_function_is_long() -> None:
    found = (
        (path, node.lineno, f"{node.name} has {(node.end_lineno or 0) - node.lineno + 1} lines")
        for path in FILES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= 50
        and path.name != "hookspecs.py"
    )
    assert places(found) == []


def test_every_hook_is_documented_with_an_example() -> None:
    hooks = [
        node
        for node in tree(ROOT / "hookspecs.py").body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    assert hooks
    missing = [
        hook.name
        for hook in hooks
        if "Example:\n" not in (text := ast.get_docstring(hook) or "") or "```python\n" not in text
    ]
    assert missing == []


def test_every_module_says_what_it_is() -> None:
    silent = [name_of(path) for path in FILES if tree(path).body and not ast.get_docstring(tree(path))]
    assert silent == []


def test_annotations_are_never_evaluated_on_import() -> None:
    missing = [
        name_of(path)
        for path in FILES
        if any(isinstance(node, ast.Import | ast.ImportFrom) for node in tree(path).body)
        and "from __future__ import annotations" not in path.read_text(encoding="utf-8")
    ]
    assert missing == []
