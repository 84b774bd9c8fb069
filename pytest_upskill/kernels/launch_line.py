"""How a reply says that its kernel is started: one comment of fixed form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pytest_upskill.errors import listing, nearest, one_line
from pytest_upskill.kernels.data import SIZES, Dims, Launch, Miss
from pytest_upskill.kernels.expressions import Expression, parse
from pytest_upskill.kernels.lexing import Code, lexed
from pytest_upskill.kernels.parameters import ELEMENT_SIZE

FORM: Final = "// launch: grid=(X, Y, Z) block=(X, Y, Z) smem=BYTES"
_GRID: Final = (2**31 - 1, 65_535, 65_535)
_BLOCK: Final = (1024, 1024, 64)
_THREADS: Final = 1024
_SHARED: Final = 227 * 1024
_KEYS: Final = ("grid", "block", "smem")
_LINE = re.compile(r"[\s*!</]*launch\s*:", re.IGNORECASE)
_KEY = re.compile(r"\b(?P<key>[A-Za-z_]\w*)\s*=(?!=)\s*")
_SHOWN: Final = 120
_LONGEST: Final = 2000
# What C++ writers put where the form has sizeof_T or a number.
_SIZE_OF = re.compile(r"\bsizeof\s*\(\s*([A-Za-z_][\w ]*?)\s*\)")
_BYTES: Final[Mapping[str, str]] = {
    "T": ELEMENT_SIZE, "double": "8", "float": "4", "int": "4", "unsigned int": "4", "unsigned": "4", "half": "2",
    "__half": "2", "__nv_bfloat16": "2", "float2": "8", "float4": "16",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Declaration:
    """What the comment says: three expressions each for grid and block, and the bytes of dynamic shared memory."""

    text: str
    grid: tuple[Expression, Expression, Expression]
    block: tuple[Expression, Expression, Expression]
    shared: Expression

    @property
    def names(self) -> tuple[str, ...]:
        """The names that it uses."""
        parts = (*self.grid, *self.block, self.shared)
        return tuple(dict.fromkeys(name for part in parts for name in part.names))

    def launch(self, sizes: Mapping[str, int], dtype: str) -> Launch:
        """Return how the kernel is started on sizes. Raises `Miss` where no device can start it like that."""
        names = {**sizes, ELEMENT_SIZE: SIZES[dtype]} if dtype else sizes
        grid = self._dims("grid", self.grid, names, _GRID)
        block = self._dims("block", self.block, names, _BLOCK)
        threads = block[0] * block[1] * block[2]
        if threads > _THREADS:
            raise self._miss(f"a block of {threads} threads; it has at most {_THREADS}", names)
        shared = self._value(self.shared, names)
        if not 0 <= shared <= _SHARED:
            raise self._miss(f"smem {shared}; it goes from 0 to {_SHARED} bytes", names)
        return Launch(grid, block, shared)

    def _dims(
        self, key: str, parts: tuple[Expression, ...], names: Mapping[str, int], most: tuple[int, ...]
    ) -> Dims:
        x, y, z = (self._value(part, names) for part in parts)
        for axis, value, limit in zip("xyz", (x, y, z), most, strict=True):
            if not 1 <= value <= limit:
                raise self._miss(f"{key}.{axis} {value}; it goes from 1 to {limit}", names)
        return x, y, z

    def _value(self, part: Expression, names: Mapping[str, int]) -> int:
        try:
            return part.value(names)
        except ValueError as error:
            raise Miss("extract", f"the launch comment cannot be worked out: {error}") from None

    def _miss(self, words: str, names: Mapping[str, int]) -> Miss:
        used = " ".join(f"{name}={names[name]}" for name in self.names if name in names)
        return Miss("extract", f"the launch comment gives {f'at {used} ' if used else ''}{words}")


def read_launch(source: str) -> Declaration:
    """Return what the launch comment of a source says; it may stand anywhere but in a string.

    Raises `Miss` where there is none, or another, or where it cannot be read.
    """
    return declared(lexed(source))


def declared(code: Code) -> Declaration:
    """Return what the launch comment of code says. Raises `Miss`."""
    found = list(dict.fromkeys(line for comment in code.comments for line in _lines(comment)))
    lines = [line for line in found if _KEY.search(line)]
    if not lines:
        near = f"; 'launch: {_short(found[0])}' is not of the form" if found else ""
        raise Miss("extract", f"no comment in the code says how it is launched{near}; write {FORM}")
    if len(lines) > 1:
        shown = " and ".join(f"'{_short(line)}'" for line in lines[:2])
        raise Miss("extract", f"the code has {len(lines)} launch comments: {shown}; one was asked for")
    return _read(lines[0])


def _lines(comment: str) -> Iterator[str]:
    for line in comment.splitlines():
        if match := _LINE.match(line):
            yield " ".join(line[match.end() :].rstrip("; \t").split())


def _read(line: str) -> Declaration:
    if len(line) > _LONGEST:
        raise Miss("extract", f"the launch comment '{_short(line)}' is longer than {_LONGEST} letters")
    parts = _parts(line)
    for key in ("grid", "block"):
        if key not in parts:
            raise Miss("extract", f"the launch comment '{_short(line)}' has no {key}; write {FORM}")
    shared = _expressions(line, "smem", parts.get("smem", "0"))
    if len(shared) > 1:
        raise Miss("extract", f"the launch comment '{_short(line)}' has more than one number for smem")
    return Declaration(line, _three(line, "grid", parts), _three(line, "block", parts), shared[0])


def _parts(line: str) -> dict[str, str]:
    """Return the text of each key."""
    keys = list(_KEY.finditer(line))
    if line[: keys[0].start()].strip():
        raise Miss("extract", f"the launch comment '{_short(line)}' does not begin with grid=; write {FORM}")
    parts: dict[str, str] = {}
    for match, after in zip(keys, [*keys[1:], None], strict=True):
        key = match["key"]
        if key not in _KEYS:
            hint = nearest(key, _KEYS) or f"; it has: {listing(_KEYS)}"
            raise Miss("extract", f"the launch comment '{_short(line)}' has no key {one_line(key)}{hint}")
        if key in parts:
            raise Miss("extract", f"the launch comment '{_short(line)}' gives {key} twice")
        parts[key] = line[match.end() : after.start() if after else None].strip(" ,;")
    return parts


def _three(line: str, key: str, parts: Mapping[str, str]) -> tuple[Expression, Expression, Expression]:
    found = _expressions(line, key, parts[key])
    if len(found) > 3:
        raise Miss(
            "extract", f"the launch comment '{_short(line)}' gives {key} {len(found)} dimensions; at most 3"
        )
    x, y, z = (*found, *[parse("1")] * (3 - len(found)))
    return x, y, z


def _expressions(line: str, key: str, text: str) -> list[Expression]:
    inner = _SIZE_OF.sub(lambda match: _BYTES.get(" ".join(match[1].split()), match[0]), text)
    if _enclosed(inner):
        inner = inner[1:-1]
    try:
        return [parse(part) for part in _split(inner)]
    except ValueError as error:
        raise Miss(
            "extract", f"the launch comment '{_short(line)}' cannot be read at {key}: {error}"
        ) from None


def _enclosed(text: str) -> bool:
    """Return whether one pair of parentheses holds the whole text."""
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return letter == ")" and at == len(text) - 1
    return False


def _split(text: str) -> Iterator[str]:
    depth = begin = 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            yield text[begin:at]
            begin = at + 1
    yield text[begin:]


def _short(line: str) -> str:
    shown = one_line(line)
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."
