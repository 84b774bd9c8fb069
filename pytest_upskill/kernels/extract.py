"""The kernel in a reply: one fenced block of device code with the entry that was asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pytest_upskill.errors import listing, nearest, one_line
from pytest_upskill.kernels.data import Miss
from pytest_upskill.kernels.launch_line import Declaration, declared
from pytest_upskill.kernels.lexing import Code, lexed
from pytest_upskill.kernels.spec import KernelSpec
from pytest_upskill.scorers.fences import Block, fenced_blocks

MOST_BYTES: Final = 256 * 1024
_LANGUAGES: Final = frozenset(
    {
        "cuda",
        "cu",
        "cuh",
        "cpp",
        "c++",
        "cc",
        "cxx",
        "c",
        "h",
        "hpp",
        "cuda-c",
        "cuda-c++",
        "cuda-cpp",
        "cudacpp",
    }
)
_PYTHON: Final = frozenset({"python", "py", "python3"})
_WAYS = re.compile(r"\b(load_inline|cpp_extension|triton|cupy|numba|torch)\b")
_GLOBAL = re.compile(r"\b__global__\b")
_WORD = re.compile(r"[A-Za-z_]\w*|[(){};]")
_ATTRIBUTE = re.compile(r"__\w+__|alignas")
_BRACE = re.compile(r'extern\s*"C"\s*\{|[{}]')
_LINKAGE = re.compile(r'extern\s*"C"')
_HEADER = re.compile(
    r'^[ \t]*#[ \t]*include[ \t]*[<"]((?:torch|ATen|c10|pybind11|Python\.h)[^>"\n]*)', re.MULTILINE
)
_PARENTHESIS = re.compile(r"[()]")
_FAR: Final = 20_000
_MOST_KERNELS: Final = 100


@dataclass(frozen=True, slots=True)
class Source:
    """The code of a reply, and how it says that it is launched."""

    code: str
    declaration: Declaration


@dataclass(frozen=True, slots=True)
class _Kernel:
    """A `__global__` function that is defined: its name, and where its `__global__` stands."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A block that may hold the kernel, taken apart."""

    block: Block
    code: Code
    kernels: tuple[_Kernel, ...]

    def __str__(self) -> str:
        return f"the block at line {self.block.start_line}"


def extract(text: str, spec: KernelSpec) -> Source:
    """Return the kernel that a reply holds. Raises `Miss` of the stage extract."""
    entry = spec.signature.entry
    chosen = _chosen(_candidates(text, spec), entry)
    mine = [kernel for kernel in chosen.kernels if kernel.name == entry]
    if not mine:
        raise Miss("extract", _no_entry(chosen, spec))
    if len(mine) > 1:
        raise Miss("extract", f"{chosen} defines {entry} {len(mine)} times; one kernel was asked for")
    if not _is_linked(chosen.code.bare, mine[0].at):
        raise Miss(
            "extract", f'{entry} is not extern "C"; what was asked for is {spec.signature.prototype()}'
        )
    if header := _HEADER.search(chosen.code.plain):
        raise Miss("extract", f"the code includes {one_line(header[1])}; device code alone was asked for")
    declaration = declared(chosen.code)
    _check_names(declaration, spec)
    return Source(chosen.block.text, declaration)


def _candidates(text: str, spec: KernelSpec) -> list[_Candidate]:
    blocks = fenced_blocks(text)
    named = [block for block in blocks if block.language in _LANGUAGES]
    found = named or [block for block in blocks if not block.language and "__global__" in block.text]
    if not found:
        raise Miss("extract", _no_block(blocks, spec))
    return [_candidate(block) for block in found]


def _candidate(block: Block) -> _Candidate:
    candidate = _Candidate(block, lexed(block.text), ())
    try:
        size = len(block.text.encode())
    except UnicodeEncodeError:
        raise Miss("extract", f"{candidate} holds letters that are no Unicode text") from None
    if size > MOST_BYTES:
        raise Miss("extract", f"{candidate} has {size // 1024} KB; at most {MOST_BYTES // 1024} KB")
    if "\0" in block.text:
        raise Miss("extract", f"{candidate} holds a NUL, which no source code has")
    if candidate.code.bare.count("__global__") > _MOST_KERNELS:
        raise Miss(
            "extract", f"{candidate} has more than {_MOST_KERNELS} __global__ functions; one was asked for"
        )
    return replace(candidate, kernels=tuple(_kernels(candidate.code.bare)))


def _chosen(candidates: Sequence[_Candidate], entry: str) -> _Candidate:
    """Return the block that defines the entry, else the first with a kernel, else the first. Raises `Miss` for two."""
    defining = {
        each.block.text: each for each in candidates if any(kernel.name == entry for kernel in each.kernels)
    }
    if len(defining) > 1:
        lines = " and ".join(str(each.block.start_line) for each in defining.values())
        raise Miss(
            "extract", f"{len(defining)} blocks define {entry}, at lines {lines}; one block was asked for"
        )
    return next(iter([*defining.values(), *(each for each in candidates if each.kernels)]), candidates[0])


def _kernels(bare: str) -> Iterator[_Kernel]:
    """Yield the `__global__` functions that code defines; one that is only declared is none."""
    for match in _GLOBAL.finditer(bare):
        name, at = _name_after(bare, match.end())
        after = _after_parentheses(bare, at)
        if name and bare[after : after + _FAR].lstrip().startswith("{"):
            yield _Kernel(name, match.start())


def _name_after(bare: str, at: int) -> tuple[str, int]:
    """Return the name of the function and where its parameters begin; no name where none follows."""
    name = ""
    end = at + _FAR
    while word := _WORD.search(bare, at, end):
        at = word.end()
        if word[0] == "(":
            if not _ATTRIBUTE.fullmatch(name):
                return name, word.start()
            at = _after_parentheses(bare, word.start())
        elif word[0] in "){};":
            break
        else:
            name = word[0]
    return "", at


def _after_parentheses(bare: str, at: int) -> int:
    depth = 0
    for match in _PARENTHESIS.finditer(bare, at, at + _FAR):
        depth += 1 if match[0] == "(" else -1
        if depth == 0:
            return match.end()
    return len(bare)


def _is_linked(bare: str, at: int) -> bool:
    """Return whether a function that begins at an offset is extern "C", by itself or by the block around it."""
    begin = max(bare.rfind(mark, 0, at) for mark in ";{}") + 1
    if _LINKAGE.search(bare, begin, at):
        return True
    around: list[bool] = []
    for brace in _BRACE.finditer(bare, 0, at):
        if brace[0] != "}":
            around.append(brace[0] != "{")
        elif around:
            around.pop()
    return any(around)


def _check_names(declaration: Declaration, spec: KernelSpec) -> None:
    known = spec.signature.known
    for name in declaration.names:
        if name not in known:
            hint = nearest(name, known) or f"; known are {listing(known)}"
            raise Miss(
                "extract", f"the launch comment uses {one_line(name)}, which is no size of the kernel{hint}"
            )


def _no_block(blocks: Sequence[Block], spec: KernelSpec) -> str:
    asked = f"one fenced ```cuda block with {spec.signature.prototype()}"
    python = next((block for block in blocks if block.language in _PYTHON), None)
    if python is not None:
        way = _WAYS.search(python.text)
        return f"the reply is Python{f' ({way[0]})' if way else ''}; what was asked for is {asked}"
    if not blocks:
        return f"the reply has no fenced block; what was asked for is {asked}"
    languages = dict.fromkeys(one_line(block.language)[:20] or "unnamed" for block in blocks[:6])
    return f"the reply has no CUDA block, only {', '.join(languages)}; what was asked for is {asked}"


def _no_entry(found: _Candidate, spec: KernelSpec) -> str:
    entry = spec.signature.entry
    names = list(dict.fromkeys(one_line(kernel.name)[:40] for kernel in found.kernels))[:6]
    if not names:
        return f"{found} defines no __global__ function; what was asked for is {spec.signature.prototype()}"
    return f"{found} defines no kernel {entry}; it defines: {', '.join(names)}{nearest(entry, names)}"
