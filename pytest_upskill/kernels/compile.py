"""From a kernel's source to a cubin and its facts, in a sandbox: nvcc to PTX, then ptxas by itself.

What the source makes nvcc print can so never stand in what ptxas prints, from which facts are read; and where PTX made
ptxas print more than its report, that is refused.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.artefacts import Artefacts, key_of
from pytest_upskill.kernels.data import Artefact, Miss
from pytest_upskill.kernels.diagnostics import MAIN, PRELUDE, shortened
from pytest_upskill.kernels.elf import BadCubin, read_cubin
from pytest_upskill.kernels.ptx import check_ptx, takes_stack
from pytest_upskill.kernels.ptxas import gather
from pytest_upskill.kernels.sandbox.limits import GIB, Limits, Ran, ending
from pytest_upskill.kernels.scratch import scratch
from pytest_upskill.kernels.toolchain import Toolchain

if TYPE_CHECKING:
    from pytest_upskill.kernels.sandbox import Sandbox

_LIMITS = Limits(cpu_seconds=60, wall_seconds=120, memory_bytes=4 * GIB)
_PTX, _CUBIN, _REPORT = "kernel.ptx", "kernel.cubin", "ptxas.txt"
_FLAGS = (
    "-std=c++17",
    # Names of static variables hold a hash of this path, which would else be that of the scratch folder.
    *("-Xcicc", "--orig_src_path_name", "-Xcicc", MAIN),
    *("-include", PRELUDE),
)
# So that __DATE__, __TIME__ and __TIMESTAMP__ do not change either.
_DATE = 315532800  # 1980-01-01
_ARCH = re.compile(r"sm_(\d{2,3}[af]?)")
# From the beginning of a line: code that is shown beside an error is set in, and may hold such words too.
_OUT_OF_MEMORY = re.compile(
    r"^(?:\S.*: catastrophic error: out of memory|\S.*: out of memory allocating|virtual memory exhausted"
    r"|terminate called after throwing an instance of 'std::bad_alloc'|\S.*: Cannot allocate memory)",
    re.MULTILINE,
)
_CRASH = re.compile(
    r"^(?:\S.*(died due to signal \d+)|\S.*(signal terminated program)|\S.*: (internal (?:compiler )?error)"
    r"|(Segmentation fault))",
    re.MULTILINE,
)
_LARGEST = 2**26
# ptxas says a few lines of each function.
_LARGEST_REPORT = 2**20
_SYSTEM_HEADERS = (Path("/usr/include"), Path("/usr/lib"))
_EMPTY = 'extern "C" __global__ void empty() {}\n'


class Compiler:
    """The compiler of a test run. Several threads may use it."""

    def __init__(self, toolchain: Toolchain, sandbox: Sandbox, artefacts: Artefacts) -> None:
        self.toolchain = toolchain
        self._sandbox = sandbox
        self._artefacts = artefacts
        # (arch, prelude) with which something was compiled: what is refused after that is the source's fault.
        self._sound: set[tuple[str, str]] = set()

    def compile(self, source: str, prelude: str, arch: str, entry: str) -> Artefact:
        """Return the kernel `entry` of a source, compiled for an architecture such as `sm_90a`.

        `prelude` is included before the source. What was compiled before is taken from the artefacts.

        Raises:
            Miss: the compiler refused the source, or needed too much for it (stage "compile").
            ScorerError: the compiler itself does not work here.
        """
        flags = " ".join(_FLAGS)
        key = key_of(source, prelude, flags, arch, entry, self.toolchain.identity, self._sandbox.level)
        found = self._artefacts.get(key)
        if found is not None:
            return found
        with self._artefacts.making(key):
            found = self._artefacts.get(key)
            if found is None:
                found = self._made(source, prelude, arch, entry)
                self._artefacts.put(key, found)
        return found

    def _made(self, source: str, prelude: str, arch: str, entry: str) -> Artefact:
        try:
            made = self._tried(source, prelude, arch, entry)
        except Miss:
            self._check_itself(prelude, arch)
            raise
        self._sound.add((arch, prelude))
        return made

    def _check_itself(self, prelude: str, arch: str) -> None:
        """Compile an empty kernel. Raises `ScorerError` when that fails too."""
        if (arch, prelude) in self._sound:
            return
        try:
            self._tried(_EMPTY, prelude, arch, "empty")
        except Miss as miss:
            raise ScorerError(
                f"{self.toolchain.name} at {self.toolchain.nvcc} cannot compile even an empty kernel for {arch}: "
                f"{' '.join(miss.evidence.split())}; install another CUDA toolkit: pip install 'pytest-upskill[cuda]'"
            ) from None
        self._sound.add((arch, prelude))

    def _tried(self, source: str, prelude: str, arch: str, entry: str) -> Artefact:
        with scratch("upskill-") as folder:
            for file, text in ((MAIN, source), (PRELUDE, prelude)):
                (folder / file).write_bytes(text.encode(errors="replace"))
                os.utime(folder / file, (_DATE, _DATE))
            printed = self._run(arch, folder, source)
            # Where an empty kernel can be read and this one cannot, it is this one's doing.
            with _unreadable():
                ptx, cubin = left_behind(folder / _PTX).decode(errors="replace"), left_behind(folder / _CUBIN)
        with _unreadable():
            check_ptx(ptx)
            facts = replace(gather(read_cubin(cubin), printed, arch, entry), dynamic_stack=takes_stack(ptx))
        return Artefact(cubin, facts, self.toolchain.name, hashlib.sha256(cubin).hexdigest())

    def _run(self, arch: str, folder: Path, source: str) -> str:
        """Run both programs of the compiler and return what ptxas printed. Raises `Miss`."""
        ran = self._sandbox.run(
            _command(self.toolchain, arch),
            workdir=folder,
            readable=self.toolchain.folders,
            limits=_LIMITS,
            environment={**self.toolchain.environment, "SOURCE_DATE_EPOCH": str(_DATE)},
        )
        succeeded = ran.ended == "exited" and ran.code == 0
        there = succeeded or (folder / _REPORT).is_file()
        with _unreadable():
            report = left_behind(folder / _REPORT, _LARGEST_REPORT) if there else b""
        if succeeded:
            return report.decode(errors="replace")
        printed = (ran.stdout + ran.stderr + report).decode(errors="replace")
        why = _why(ran, printed)
        if not why:
            trusted = (*self.toolchain.folders, *_SYSTEM_HEADERS)
            why = shortened(printed, source, folder, trusted) or f"the compiler refused it: {ending(ran)}"
        raise Miss("compile", why)


@contextmanager
def _unreadable() -> Iterator[None]:
    """Turn into a miss what the compiler left and cannot be read; whoever calls sees whether an empty kernel can."""
    try:
        yield
    except (BadCubin, ScorerError) as error:
        raise Miss("compile", f"what the compiler made of it cannot be read: {error}") from None


def _command(toolchain: Toolchain, arch: str) -> list[str]:
    """Return both steps as one command: each start of a sandbox costs. The reply chooses no word of it."""
    match = _ARCH.fullmatch(arch)
    if match is None:
        raise ScorerError(f"'{arch}' is no architecture to compile for; write it like sm_90a")
    virtual = f"compute_{match[1]}"
    target = f"-gencode=arch={virtual},code={virtual}"
    to_ptx = [str(toolchain.nvcc), "-ptx", target, *_FLAGS, MAIN, "-o", _PTX]
    to_cubin = [str(toolchain.ptxas), "-v", f"-arch={arch}", _PTX, "-o", _CUBIN]
    return ["/bin/sh", "-c", f"{shlex.join(to_ptx)} && exec {shlex.join(to_cubin)} > {_REPORT} 2>&1"]


def _why(ran: Ran, printed: str) -> str:
    """Return why a compiler did not come to its end, empty where it did and refused the source."""
    memory = f"the compiler was stopped: it needed more than {_LIMITS.memory_bytes // GIB} GiB of memory"
    if ran.ended == "wall":
        return f"the compiler was stopped after {_LIMITS.wall_seconds:.0f} s"
    if ran.ended == "cpu":
        return f"the compiler was stopped after {_LIMITS.cpu_seconds:.0f} s of processor time"
    if ran.ended == "memory" or _OUT_OF_MEMORY.search(printed):
        return memory
    if ran.ended == "killed":
        raise ScorerError("the compiler was stopped because the test run ends")
    if ran.ended != "exited":
        return f"the compiler failed: {ending(ran)}"
    if crash := _CRASH.search(printed):
        return f"the compiler crashed ({crash[crash.lastindex or 0]})"
    return ""


def left_behind(path: Path, most: int = _LARGEST) -> bytes:
    """Read what a sandboxed program wrote: only a plain file of at most `most` bytes. Raises `ScorerError`."""
    try:
        with open(path, "rb", opener=_no_link) as file:
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_size <= most:
                return file.read()
    except OSError as error:
        raise ScorerError(f"a program of the compiler left no {path.name}: {error.strerror}") from None
    raise ScorerError(f"a program of the compiler left no plain file of at most {most} bytes: {path.name}")


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
