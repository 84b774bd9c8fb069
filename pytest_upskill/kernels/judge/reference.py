"""The trusted file beside the skill: its functions, called by the names of what they take."""

from __future__ import annotations

import inspect
import linecache
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from pytest_upskill.errors import ScorerError, nearest
from pytest_upskill.scorers.evidence import fold

_MODULE = "upskill_reference"


class Reference:
    """A reference file that was loaded into a module of its own.

    Args:
        text: the file's text.
        name: the file's name, for messages.

    Raises `ScorerError` when the file cannot be run, or has no function `reference`.
    """

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self._module = ModuleType(_MODULE)
        self._module.__file__ = name
        # A dataclass looks its module up; a traceback its lines.
        sys.modules[_MODULE] = self._module
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        with self._told("the reference cannot be loaded"):
            exec(compile(text, name, "exec"), self._module.__dict__)  # noqa: S102 - it is the user's own file
        if not self.has("reference"):
            raise ScorerError(
                f"{name}: it defines no function 'reference'; write 'def reference(...)' that takes inputs, sizes "
                "and scalars by their names in the signature and returns the outputs"
            )

    def has(self, function: str) -> bool:
        return callable(getattr(self._module, function, None))

    def call(self, function: str, values: Mapping[str, Any], where: str) -> Any:  # noqa: ANN401 - the user's own
        """Return what a function of the file returns; it gets those of the values that it takes by name.

        `where` says for a message what it was called for. Raises `ScorerError` with file and line.
        """
        found: Callable[..., Any] = getattr(self._module, function)
        given, named = self._chosen(function, found, values)
        with self._told(f"{function}() failed on {where}"):
            return found(*given, **named)

    def mistake(self, function: str, sentence: str) -> ScorerError:
        """Return the error that says what is wrong with a function, at the line where it begins."""
        code = getattr(getattr(self._module, function), "__code__", None)
        line = f":{code.co_firstlineno}" if code is not None and code.co_filename == self.name else ""
        return ScorerError(f"{self.name}{line}: {sentence}")

    def _chosen(
        self, function: str, found: Callable[..., Any], values: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        given: list[Any] = []
        named: dict[str, Any] = {}
        for name, parameter in inspect.signature(found).parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                named.update({key: values[key] for key in values if key not in named})
            elif parameter.kind is parameter.VAR_POSITIONAL:
                continue
            elif name in values and parameter.kind is parameter.POSITIONAL_ONLY:
                given.append(values[name])
            elif name in values:
                named[name] = values[name]
            elif parameter.default is parameter.empty:
                raise self.mistake(
                    function,
                    f"{function}() takes '{name}'{nearest(name, values)}, and what it can take is "
                    f"{', '.join(values)}",
                )
        return given, named

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - a user's file may raise anything, SystemExit too
            line = self._line(error)
            message = fold(error.msg if isinstance(error, SyntaxError) else str(error), 400)
            words = f"{type(error).__name__}: {message}" if message else type(error).__name__
            raise ScorerError(f"{self.name}{f':{line}' if line else ''}: {what}: {words}") from None

    def _line(self, error: BaseException) -> int | None:
        if isinstance(error, SyntaxError) and error.filename == self.name:
            return error.lineno
        frames = [each for each in traceback.extract_tb(error.__traceback__) if each.filename == self.name]
        return frames[-1].lineno if frames else None
