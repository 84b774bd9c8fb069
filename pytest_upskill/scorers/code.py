"""The check `python`: a function of the user, beside the skill or importable."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from pytest_upskill.errors import ScorerError, listing, nearest
from pytest_upskill.scorers.evidence import described, fold, scored
from pytest_upskill.scorers.failures import failure, last_line
from pytest_upskill.scorers.modules import SkillModules, file_beside
from pytest_upskill.scorers.subject import check_options, kind, subject, within
from pytest_upskill.types import Check, Reply, Score, ScoringContext

_TARGET = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Python:
    """Hit when the function `module:function` says so of `(reply)` or `(reply, case)`.

    The function returns a bool, a Score or a list of Scores; an AssertionError is a miss, any other
    exception an error of the sample.
    """

    isolated = True
    advice = "make the function faster"

    def __init__(self) -> None:
        self._modules = SkillModules()

    def validate(self, check: Check, context: ScoringContext) -> None:
        check_options(check)
        if not isinstance(check.value, str) or not _TARGET.fullmatch(check.value):
            raise ValueError(f'python needs "module:function", not {kind(check.value)}')
        module, _, name = check.value.partition(":")
        file = file_beside(context.root, module)
        if file is not None and module.partition(".")[0] in sys.stdlib_module_names:
            raise ValueError(
                f"{described(check)}: Python has a module of this name itself; rename {file.name}"
            )
        if file is not None:
            _check_name(described(check), file, name, context.root)
        elif not _importable(module):
            raise ValueError(
                f"{described(check)}: there is no {module.replace('.', '/')}.py beside the skill, "
                f"and no module '{module.partition('.')[0]}' can be imported"
            )

    def modules(self, check: Check) -> list[str]:
        """Return the module that a valid check names: its skill differs where the module does."""
        return [str(check.value).partition(":")[0]]

    def score(self, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        place = subject(reply, check)
        if place.missing:
            return [scored(reply, check, False, place.missing, within(check, described(check)))]
        root = context.root.resolve()
        with self._modules.of(root):
            result = self._call(replace(reply, text=place.text), check, replace(context, root=root))
        return [_filled(check, item) for item in _scores(result, reply, check)]

    def _call(self, reply: Reply, check: Check, context: ScoringContext) -> object:
        function = _load(check, context.root)
        arguments = (reply, context.case) if _takes_case(function, check) else (reply,)
        try:
            return function(*arguments)
        except AssertionError as error:
            place = last_line(error, context.root)
            evidence = str(error) or (f"{place[1]} ({place[0]})" if place else "AssertionError")
            return scored(reply, check, False, evidence, within(check, described(check)))
        # Also what is no Exception: sys.exit() or pytest.fail() must not end the process.
        except BaseException as error:  # noqa: BLE001 - a user's scorer may raise anything
            raise ScorerError(f"{described(check)} raised {failure(error, context.root)}") from None


def _load(check: Check, root: Path) -> Callable[..., object]:
    module, _, name = str(check.value).partition(":")
    try:
        function: object = getattr(importlib.import_module(module), name)
    except BaseException as error:  # noqa: BLE001 - a user's module may raise anything
        raise ScorerError(f"{described(check)} cannot be imported: {failure(error, root)}") from None
    if not callable(function):
        raise ScorerError(f"{described(check)} is not a function but {type(function).__name__}")
    return function


def _takes_case(function: Callable[..., object], check: Check) -> bool:
    parameters = list(inspect.signature(function).parameters.values())
    places = [each for each in parameters if each.kind in _POSITIONAL]
    needed = [each for each in places if each.default is inspect.Parameter.empty]
    variable = any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in parameters)
    if len(needed) > 2 or not (places or variable):
        raise ScorerError(f"{described(check)} must take (reply) or (reply, case)")
    return variable or len(needed) == 2 or [each.name for each in places][1:2] == ["case"]


def _scores(result: object, reply: Reply, check: Check) -> list[Score]:
    if isinstance(result, bool):
        evidence = "returned True" if result else "returned False; an AssertionError or a Score can say why"
        return [scored(reply, check, result, evidence, "")]
    items = result if isinstance(result, list) else [result]
    scores = [item for item in items if isinstance(item, Score)]
    if not items or len(scores) < len(items):
        what = (
            "an empty list"
            if not items
            else f"a value of type {type(result).__name__}"
            if result is not None
            else "nothing"
        )
        raise ScorerError(
            f"{described(check)} returned {what}; it must return True, False, a Score or a list of Scores"
        )
    return scores


def _filled(check: Check, score: Score) -> Score:
    expected = fold(str(score.expected)) or within(check, described(check))
    return Score(bool(score.hit), fold(str(score.evidence)), expected, check.scorer)


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False


def _check_name(words: str, file: Path, name: str, root: Path) -> None:
    shown = file.relative_to(root).as_posix()
    try:
        tree = ast.parse(file.read_bytes(), filename=shown)
    except SyntaxError as error:
        raise ValueError(f"{words}: {shown}:{error.lineno} is not valid Python: {error.msg}") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{words}: {shown} cannot be read: {error}") from None
    defined = dict(_defined(tree.body))
    if isinstance(defined.get(name), ast.AsyncFunctionDef):
        raise ValueError(f"{words}: '{name}' is an async function; write it as a plain one")
    if name in defined or "*" in defined:
        return
    functions = [key for key, node in defined.items() if isinstance(node, ast.FunctionDef)]
    raise ValueError(
        f"{words}: there is no function '{name}' in {shown} beside the skill "
        f"(it defines: {listing(functions)}){nearest(name, functions)}"
    )


def _defined(body: list[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Yield the names that a module's top level binds, also within `if`, `try` and `with`."""
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node
            case ast.Import() | ast.ImportFrom():
                yield from ((alias.asname or alias.name.partition(".")[0], node) for alias in node.names)
            case ast.Assign():
                yield from ((target.id, node) for target in node.targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name, node
            case ast.If() | ast.Try() | ast.With():
                for part in ("body", "orelse", "finalbody"):
                    yield from _defined(getattr(node, part, []))
                for handler in getattr(node, "handlers", []):
                    yield from _defined(handler.body)
            case _:
                pass
