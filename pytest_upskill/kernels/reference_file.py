"""The trusted Python file beside a skill that says what a kernel has to compute."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

from pytest_upskill.errors import at, listing, nearest, one_line

FUNCTION: Final = "reference"
_MOST_BYTES: Final = 256 * 1024


def read_reference(name: str, root: Path, given: Collection[str]) -> str:
    """Return the text of a reference; `given` are the names that it may take.

    Raises `ValueError` where the file is not there or not inside, is no Python, or has no fitting function.
    """
    shown = one_line(name)
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise ValueError(
            f"kernel: the reference '{shown}' lies outside of the skill's folder; move it beside SKILL.md"
        )
    if path.exists() and not path.is_file():
        raise ValueError(f"kernel: the reference '{shown}' is no file")
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"kernel: there is no file '{shown}' beside the skill{_near(path)}") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"kernel: the reference '{shown}' cannot be read: {error}") from None
    if len(data) > _MOST_BYTES:
        raise ValueError(f"kernel: the reference '{shown}' has more than {_MOST_BYTES // 1024} KB")
    _check_takes(_function(text, shown), shown, given)
    return text


def _near(path: Path) -> str:
    beside = [file.name for file in path.parent.glob("*.py")] if path.parent.is_dir() else []
    return nearest(path.name, beside)


def _function(text: str, shown: str) -> ast.FunctionDef:
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise ValueError(f"kernel: {at(shown, error.lineno)} is not valid Python: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        why = str(error) or "it is nested too deeply"
        raise ValueError(f"kernel: {shown} is not valid Python: {why}") from None
    functions = {node.name: node for node in _functions(tree.body)}
    function = functions.get(FUNCTION)
    if isinstance(function, ast.FunctionDef):
        return function
    if function is not None:
        raise ValueError(f"kernel: '{FUNCTION}' in {shown} is an async function; write it as a plain one")
    raise ValueError(
        f"kernel: {shown} has no function '{FUNCTION}' (it defines: {listing(functions)})"
        f"{nearest(FUNCTION, functions)}"
    )


def _check_takes(function: ast.FunctionDef, shown: str, given: Collection[str]) -> None:
    """Check that all that a function has to get is there. Raises `ValueError`."""
    arguments = function.args
    places = [*arguments.posonlyargs, *arguments.args]
    needed = places[: len(places) - len(arguments.defaults)]
    needed += [
        each
        for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is None
    ]
    for each in needed:
        if each.arg not in given:
            hint = nearest(each.arg, given) or f"; it can take {', '.join(given)}"
            raise ValueError(
                f"kernel: {shown}:{each.lineno}: {FUNCTION}() takes '{each.arg}', which it cannot get{hint}"
            )


def _functions(body: Sequence[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the functions at a module's top level, also within `if`, `try` and `with`."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        elif isinstance(node, ast.If | ast.Try | ast.With):
            for part in ("body", "orelse", "finalbody"):
                yield from _functions(getattr(node, part, []))
