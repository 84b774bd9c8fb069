"""Compiles the pretended driver, and CUDA device code for it. Nothing that runs on it counts as correct."""

from __future__ import annotations

import atexit
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
from functools import cache
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
UUID = "00112233445566778899aabbccddeeff"
TYPES = {"bf16": "__nv_bfloat16", "f16": "__half", "f32": "float", "f64": "double"}
_FLAGS = (
    "-std=c++17",
    "-O1",
    "-fPIC",
    "-w",
    "-fvisibility=hidden",
    "-fno-gnu-unique",
    "-fno-strict-aliasing",
)
# Threads of one process would each begin the same folder, header and library.
_BUILDING = threading.Lock()
_DYNAMIC = re.compile(
    r"extern\s+__shared__\s+((?:__align__\s*\(\s*\d+\s*\)|alignas\s*\(\s*\d+\s*\))\s+)?([\w:\s]+?)\s*(\w+)\s*\[\s*\]\s*;"
)
_ASM = re.compile(r'\basm\b\s*(?:volatile|__volatile__)?\s*\(((?:"[^"]*"|[^"])*?)\)\s*;')
_REGISTER = re.compile(r'\s*"mov\.u(?:32|64)\s+%0,\s*%{1,2}(\w+);"\s*:\s*"=[lr]"\s*\((\w+)\)\s*')
_REGISTERS = {
    "globaltimer": "upskill_now()", "clock64": "upskill_now()", "smid": "0", "laneid": "upskill->lane",
}  # fmt: skip


class Unsupported(Exception):
    """The source does not compile here, or asks for what only a GPU has."""


def missing() -> str | None:
    """Return why nothing can be emulated on this machine, or None where it can."""
    if os.name != "posix" or not hasattr(os, "memfd_create"):
        return "the pretended driver needs Linux"
    if shutil.which("g++") is None:
        return "the pretended driver needs g++"
    return None if includes() else "the pretended driver needs the headers of a CUDA toolkit"


@cache
def includes() -> Path | None:
    """Return the folder of the toolkit's headers: nvcc's own, or that of the package registry's wheels."""
    roots = [*_nvcc_root(), *(Path(place) / "cu13" for place in _wheels())]
    found = [root / "include" for root in roots if (root / "include/cuda_bf16.h").is_file()]
    return found[0].resolve() if found else None


def _nvcc_root() -> list[Path]:
    if shutil.which("nvcc") is None:
        return []
    command = ["nvcc", "--dryrun", "-c", "-x", "cu", os.devnull]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stderr
    top = re.search(r"^#\$ TOP=(.+)$", said, re.MULTILINE)
    return [Path(top[1].strip())] if top else []


def _wheels() -> list[str]:
    found = find_spec("nvidia")
    return list(found.submodule_search_locations or ()) if found else []


def driver(uuid: str = UUID) -> Path:
    """Return the path of a pretended driver whose one device has this UUID (32 hexadecimal digits)."""
    with _BUILDING:
        return _driver(uuid)


def _driver(uuid: str) -> Path:
    folder = _folder() / f"device-{uuid}"
    if not (folder / "uuid").is_file():
        folder.mkdir(exist_ok=True)
        shutil.copy(_library(), folder / "libcuda.so.1")
        (folder / "uuid").write_text(uuid)
    return folder / "libcuda.so.1"


def image(source: str, dtype: str, entry: str) -> bytes:
    """Return what the pretended driver can load: the source with `T` for an element type (none where empty).

    Raises:
        Unsupported: with what g++ says of it.
    """
    with _BUILDING:
        return _image(source, dtype, entry)


def _image(source: str, dtype: str, entry: str) -> bytes:
    text = f"using T = {TYPES[dtype]};\n{_dynamic(source)}" if dtype else _dynamic(source)
    whole = f"{_registers(text)}\nUPSKILL_ENTRY({entry})\n"
    path = _folder() / f"{hashlib.sha256(whole.encode()).hexdigest()[:32]}.so"
    if not path.is_file():
        part = path.with_suffix(f".{os.getpid()}.cpp")
        part.write_text(whole)
        _compile([*_FLAGS, "-shared", "-include", str(_shim()), str(part)], path)
    return path.read_bytes()


def _dynamic(source: str) -> str:
    return _DYNAMIC.sub(r"static \2* const \3 = reinterpret_cast<\2*>(upskill_dynamic);", source)


def _registers(source: str) -> str:
    def assigned(match: re.Match[str]) -> str:
        known = _REGISTER.fullmatch(match[1])
        if known is None or known[1] not in _REGISTERS:
            raise Unsupported(f"inline PTX cannot be emulated: {match[0]}")
        return f"{known[2]} = {_REGISTERS[known[1]]};"

    return _ASM.sub(assigned, source)


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="upskill-emulated-"))
    # Others may look: a sandbox may run as another user.
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _library() -> Path:
    path = _folder() / "libcuda.so"
    sources = [str(HERE / name) for name in ("libcuda.cpp", "fibers.cpp", "memory.cpp")]
    _compile(
        [
            "-std=c++17",
            "-O2",
            "-fPIC",
            "-shared",
            "-fvisibility=hidden",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pthread",
            *sources,
        ],
        path,
    )
    return path


@cache
def _shim() -> Path:
    """Return the shim's header, compiled beforehand: most of what g++ would do for each source."""
    path = _folder() / "shim.h"
    path.write_text(f'#include "{HERE / "shim.h"}"\n')
    _compile([*_FLAGS, "-x", "c++-header", str(path)], path.with_suffix(".h.gch"))
    return path


def _compile(arguments: list[str], path: Path) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    command = ["g++", "-I", str(includes()), "-I", str(HERE), *arguments, "-o", str(part)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise Unsupported(done.stderr)
    part.replace(path)
