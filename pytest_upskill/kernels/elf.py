"""A reader of cubins: what a compiled kernel says of itself, from its ELF and from nothing that was printed.

The layout is ELF64, little endian, machine 190. What lies in `.nv.info` (attributes of functions) and
`.nv.info.<kernel>` (attributes of a kernel) was checked against `cuobjdump -elf` of CUDA 12.4 and 13.0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_PAIR = struct.Struct("<II")
_ATTRIBUTE = struct.Struct("<BBH")
_PARAMETER = struct.Struct("<IHHI")
_CUDA = 190
_VARIABLE, _FUNCTION = 1, 2
_TEXTURES = (10, 11, 12)  # texture, sampler, surface
_ENTRY, _MANAGED = 0x10, 0x04
_FRAME_SIZE, _MIN_STACK_SIZE, _REGISTERS = 0x11, 0x12, 0x2F
_PARAMETER_INFO, _PARAMETER_INFO_2 = 0x17, 0x45
_WITH_PAYLOAD = 4
_LAST_OLD_ABI = 7


class BadCubin(Exception):
    """These bytes are no cubin, or one that cannot be read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A kernel in a cubin. `parameters` are (offset, size) in order; `frame`, `stack`, `shared` are in bytes.

    `shared` is the whole section: since sm_90 it holds 1024 bytes of the system's own.
    """

    name: str
    parameters: tuple[tuple[int, int], ...]
    registers: int
    frame: int
    stack: int
    shared: int


@dataclass(frozen=True, slots=True)
class Cubin:
    """What a cubin holds. `sm` is 90 for sm_90a too; `constant` and `globals_` are bytes of variables."""

    sm: int
    entries: tuple[Entry, ...]
    constant: int
    globals_: int
    externs: tuple[str, ...]
    managed: tuple[str, ...]
    textures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    size: int
    offset: int
    file: bytes = field(repr=False)

    @property
    def content(self) -> bytes:
        return _slice(self.file, self.offset, self.size)


@dataclass(frozen=True, slots=True)
class _Symbol:
    name: str
    kind: int
    other: int
    section: int


def read_cubin(data: bytes) -> Cubin:
    """Return what a cubin says of itself. Raises `BadCubin`."""
    header = _unpack(_HEADER, data, 0)
    magic, machine, flags = header[0], header[2], header[7]
    if magic[:6] != b"\x7fELF\x02\x01" or machine != _CUDA:
        raise BadCubin("these bytes are no cubin: they do not begin as an ELF file for CUDA does")
    sections = _sections(data, *header[6:7], *header[11:14])
    by_name = {section.name: section for section in sections}
    symbols = _symbols(by_name)
    sizes = {name: section.size for name, section in by_name.items()}
    return Cubin(
        sm=flags & 0xFF if magic[8] <= _LAST_OLD_ABI else flags >> 8 & 0xFF,
        entries=tuple(_entries(by_name, symbols)),
        constant=sizes.get(".nv.constant3", 0),
        globals_=sizes.get(".nv.global", 0) + sizes.get(".nv.global.init", 0),
        externs=_names(each for each in symbols if not each.section and not _of_system(each)),
        managed=_names(each for each in symbols if each.kind == _VARIABLE and each.other & _MANAGED),
        textures=_names(each for each in symbols if each.kind in _TEXTURES),
    )


def _of_system(symbol: _Symbol) -> bool:
    return symbol.kind in _TEXTURES or symbol.name.startswith((".nv.reservedSmem.", "__nv_reservedSMEM_"))


def _names(symbols: Iterator[_Symbol]) -> tuple[str, ...]:
    return tuple(sorted({symbol.name for symbol in symbols if symbol.name}))


def _unpack(layout: struct.Struct, data: bytes, offset: int) -> tuple[Any, ...]:
    if offset + layout.size > len(data):
        raise BadCubin(f"the cubin is cut off: {layout.size} bytes at {offset}, of {len(data)}")
    return layout.unpack_from(data, offset)


def _slice(data: bytes, offset: int, size: int) -> bytes:
    if offset + size > len(data):
        raise BadCubin(f"the cubin is cut off: {size} bytes at {offset}, of {len(data)}")
    return data[offset : offset + size]


def _text(data: bytes, offset: int) -> str:
    end = data.find(b"\0", offset)
    if end < 0 or offset > len(data):
        raise BadCubin(f"the cubin has no name at {offset}")
    return data[offset:end].decode(errors="replace")


def _sections(data: bytes, offset: int, entry_size: int, count: int, names_at: int) -> list[_Section]:
    if entry_size != _SECTION.size or names_at >= count:
        raise BadCubin("the cubin has no table of sections")
    table = _slice(data, offset, count * entry_size)
    rows = list(_SECTION.iter_unpack(table))
    names = _slice(data, rows[names_at][4], rows[names_at][5])
    return [_Section(_text(names, row[0]), size=row[5], offset=row[4], file=data) for row in rows]


def _symbols(sections: dict[str, _Section]) -> list[_Symbol]:
    if ".symtab" not in sections or ".strtab" not in sections:
        raise BadCubin("the cubin has no table of symbols")
    table, names = sections[".symtab"].content, sections[".strtab"].content
    if len(table) % _SYMBOL.size:
        raise BadCubin("the cubin has no whole table of symbols")
    rows = _SYMBOL.iter_unpack(table)
    return [_Symbol(_text(names, row[0]), row[1] & 0xF, row[2], row[3]) for row in rows]


def _entries(sections: dict[str, _Section], symbols: Sequence[_Symbol]) -> Iterator[Entry]:
    said = _of_functions(sections, len(symbols))
    for number, symbol in enumerate(symbols):
        if symbol.kind != _FUNCTION or not (symbol.other & _ENTRY) or not symbol.section:
            continue
        own, shared = (sections.get(f".nv.{what}.{symbol.name}") for what in ("info", "shared"))
        if own is None or (_REGISTERS, number) not in said:
            raise BadCubin(f"the cubin does not say what the kernel '{symbol.name}' is")
        yield Entry(
            name=symbol.name,
            parameters=_parameters(own.content),
            registers=said[_REGISTERS, number],
            frame=said.get((_FRAME_SIZE, number), 0),
            stack=said.get((_MIN_STACK_SIZE, number), 0),
            shared=shared.size if shared else 0,
        )


def _of_functions(sections: dict[str, _Section], symbols: int) -> dict[tuple[int, int], int]:
    """Return the attributes of functions by (attribute, number of the symbol)."""
    info = sections.get(".nv.info")
    found = {}
    for attribute, payload in _attributes(info.content if info else b""):
        if attribute in (_FRAME_SIZE, _MIN_STACK_SIZE, _REGISTERS):
            number, value = _unpack(_PAIR, payload, 0)
            if number >= symbols:
                raise BadCubin(f"the cubin speaks of the symbol {number}, of {symbols}")
            found[attribute, number] = value
    return found


def _attributes(content: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset < len(content):
        form, attribute, size = _unpack(_ATTRIBUTE, content, offset)
        offset += _ATTRIBUTE.size
        if form == _WITH_PAYLOAD:
            yield attribute, _slice(content, offset, size)
            offset += size


def _parameters(content: bytes) -> tuple[tuple[int, int], ...]:
    found = {}
    for attribute, payload in _attributes(content):
        if attribute in (_PARAMETER_INFO, _PARAMETER_INFO_2):
            _, number, offset, size = _unpack(_PARAMETER, payload, 0)
            # The older form keeps the size in the upper 14 bits.
            found[number] = (offset, size if attribute == _PARAMETER_INFO_2 else size >> 18)
    if sorted(found) != list(range(len(found))):
        raise BadCubin(f"the cubin speaks of the parameters {sorted(found)}, which are not all")
    return tuple(found[number] for number in range(len(found)))
