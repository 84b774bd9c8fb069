"""`pytest-upskill doctor`: what this machine has for kernels, and what to install."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from pytest_upskill.errors import ScorerError, one_line
from pytest_upskill.kernels.bench import Bench, Tried
from pytest_upskill.kernels.data import Device
from pytest_upskill.kernels.devices import LOCKS, look
from pytest_upskill.kernels.execute import NO_DEVICE
from pytest_upskill.kernels.probe import default_folder
from pytest_upskill.kernels.sandbox import Level, reports, sandboxes
from pytest_upskill.kernels.scratch import scratch
from pytest_upskill.kernels.spec import read_spec
from pytest_upskill.kernels.toolchain import Toolchain, find_toolchain
from pytest_upskill.types import JSON, ScoringRun

_WIDTH = 80
_COLUMN = 23
_EXTRAS = {"openai": "openai", "anthropic": "anthropic", "pytest-xdist": "xdist"}
# What torch was built with stands in a file of its own: to import it takes seconds.
_CUDA = re.compile(r"^cuda\b[^=\n]*= *'([\d.]+)'", re.MULTILINE)
_PATIENCE = 30.0
_CASE: JSON = {"signature": "twice(x:T[n], out y:T[n], n:i32)", "dtypes": ["bf16"], "require": "compile"}
_ANSWER = """\
```cuda
// launch: grid=(ceil_div(n, 256)) block=(256)
extern "C" __global__ void twice(const T* x, T* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i] + x[i];
}
```
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked for: whether it can be used, and in words what it is or what to do."""

    name: str
    works: bool
    says: str
    details: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that was found, by section. The last section says how far kernels come here."""

    sections: Mapping[str, Sequence[Finding]]

    @property
    def compiles(self) -> bool:
        return self.sections["kernels"][0].works


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "doctor",
        help="look what this machine has for kernels",
        description="Look what this machine has for kernels, and say what to install. The exit code is 0 where "
        "kernels can be compiled, else 1.",
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(run=lambda options: _doctor(as_json=options.json))


def _doctor(*, as_json: bool) -> int:
    found = examine()
    if as_json:
        sections = {title: [asdict(each) for each in part] for title, part in found.sections.items()}
        print(json.dumps({"compiles": found.compiles, "sections": sections}, indent=1))
    else:
        for line in _lines(found):
            print(line)
    return 0 if found.compiles else 1


def examine() -> Diagnosis:
    """Look at this machine: start its compiler, try its sandbox, ask its driver."""
    compilers, levels, torch, gpus = _compilers(), _levels(), _torch(), _gpus()
    trial = _trial(compilers, levels)
    sections = {
        "versions": _versions(),
        "compiler": compilers,
        "sandbox": levels,
        "torch": [torch],
        "gpu": gpus,
        "folders": _folders(),
        "kernels": [trial, *_executing(trial, torch, gpus)],
    }
    return Diagnosis(sections)


def _lines(found: Diagnosis) -> Iterator[str]:
    for title, part in found.sections.items():
        yield title
        for each in part:
            yield from textwrap.wrap(
                one_line(each.says),
                _WIDTH,
                initial_indent=f"  {'ok' if each.works else '--'}  {each.name}".ljust(_COLUMN),
                subsequent_indent=" " * _COLUMN,
                break_on_hyphens=False,
                # A terminal that breaks a long path lets it be copied as a whole.
                break_long_words=False,
            )


def _versions() -> list[Finding]:
    version = platform.python_version()
    found = [
        Finding("system", True, f"{platform.system()} {platform.release()}, {platform.machine()}"),
        Finding("python", True, f"{version} ({sys.executable})", {"version": version}),
    ]
    found += [_package(name, f"pip install {name}") for name in ("pytest", "pytest-upskill")]
    mends = {name: f"pip install 'pytest-upskill[{extra}]'" for name, extra in _EXTRAS.items()}
    return found + [_package(name, mend) for name, mend in mends.items()]


def _package(name: str, mend: str) -> Finding:
    installed = _installed(name)
    if installed is None:
        return Finding(name, False, f"not installed: {mend}", {"version": None})
    return Finding(name, True, installed.version, {"version": installed.version})


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _compilers() -> list[Finding]:
    try:
        toolchain = find_toolchain()
    except ScorerError as error:
        return [Finding("nvcc", False, str(error), {"version": None, "path": None})]
    nvcc, ptxas = str(toolchain.nvcc), str(toolchain.ptxas)
    version = toolchain.version
    return [
        Finding("nvcc", True, f"{version} ({nvcc})", {"version": version, "path": nvcc}),
        Finding("ptxas", True, ptxas, {"path": ptxas}),
        _host_compiler(toolchain),
        _disassembler(toolchain),
    ]


def _host_compiler(toolchain: Toolchain) -> Finding:
    # Of the parts whose stamps are the identity it is the last: path, size, time.
    path = toolchain.identity.splitlines()[-1].rsplit(" ", 2)[0]
    try:
        asked = [path, "-dumpfullversion", "-dumpversion"]
        said = subprocess.run(asked, capture_output=True, text=True, timeout=_PATIENCE, check=True).stdout
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return Finding("host compiler", False, f"{path} does not say its version: {error}", {"path": path})
    version = one_line(said.strip())
    return Finding("host compiler", True, f"{version} ({path})", {"version": version, "path": path})


def _disassembler(toolchain: Toolchain) -> Finding:
    path = toolchain.disassembler
    if path is None:
        mend = "no nvdisasm, which the gates sass_required and sass_forbidden need: pip install nvidia-cuda-nvdisasm"
        return Finding("nvdisasm", False, mend, {"path": None})
    return Finding("nvdisasm", True, str(path), {"path": str(path)})


def _levels() -> list[Finding]:
    return [
        Finding(report.level, report.works, report.why.removeprefix(f"{report.level}: "))
        for report in reports()
    ]


def _torch() -> Finding:
    found = _installed("torch")
    if found is None:
        mend = "not installed, and kernels are judged with it: pip install 'pytest-upskill[torch]'"
        return Finding("torch", False, mend, {"version": None, "cuda": None})
    try:
        built = _CUDA.search(Path(str(found.locate_file("torch/version.py"))).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        built = None
    cuda = built[1] if built else None
    what = (
        f"for CUDA {cuda}" if cuda else "for the CPU: it judges, and cannot be timed on a GPU (min_speedup)"
    )
    return Finding("torch", True, f"{found.version}, built {what}", {"version": found.version, "cuda": cuda})


def _gpus() -> list[Finding]:
    try:
        # The launcher only asks the driver here, and code of a model is nowhere near: no sandbox would do too.
        with ExitStack() as stack:
            boxes = [stack.enter_context(box) for box in sandboxes(unsafe=True)]
            seen = look(boxes)
    except ScorerError as error:
        return [Finding("GPU", False, str(error))]
    best = boxes[0].level
    return [_gpu(device, seen.level, best) for device in seen.devices] or [Finding("GPU", False, NO_DEVICE)]


def _gpu(device: Device, level: Level, best: Level) -> Finding:
    major, minor = device.capability
    says = (
        f"{device.name}, compute capability {major}.{minor}, {device.memory / 2**30:.0f} GiB, "
        f"L2 {device.l2 / 2**20:.0f} MiB, driver {device.driver}"
    )
    if device.emulated:
        says += "; it is emulated, and proves nothing"
    if level != best:
        says += f"; its driver does not work under {best}"
        says += ", but with --upskill-unsafe alone" if level == "none" else f", but under {level}"
    return Finding(f"GPU {device.index}", not device.emulated, says, asdict(device))


def _folders() -> list[Finding]:
    return [_folder("locks of GPUs", LOCKS), _folder("ceilings of GPUs", default_folder())]


def _folder(name: str, path: Path) -> Finding:
    there = next(place for place in (path, *path.parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Finding(
            name, False, f"{path} cannot be written: see to the rights of {there}", {"path": str(path)}
        )
    return Finding(name, True, f"{path}{'' if there == path else ', made when needed'}", {"path": str(path)})


def _trial(compilers: Sequence[Finding], levels: Sequence[Finding]) -> Finding:
    """Take an answer of our own through the stages that need no GPU, as a case does."""
    if not compilers[0].works:
        return Finding("compile", False, "no compiler can be used")
    if not any(level.works for level in levels):
        return Finding(
            "compile", False, "no sandbox works; --upskill-unsafe does without one, at your own risk"
        )
    started = time.monotonic()
    try:
        with scratch("upskill-doctor-") as folder:
            tried = _tried(folder)
    except ScorerError as error:
        return Finding("compile", False, str(error))
    seconds = time.monotonic() - started
    evidence = next(stage.evidence for stage in tried.stages if stage.name == "compile")
    refused = " ".join(f"{tried.telling.name}: {tried.telling.evidence}".split())
    says = f"{evidence}, {seconds:.2f}s" if tried.hit else refused
    return Finding("compile", tried.hit, says, {"seconds": round(seconds, 3)})


def _tried(folder: Path) -> Tried:
    with closing(Bench(ScoringRun(folder, b""))) as bench:
        return bench.try_answer(_ANSWER, read_spec(_CASE, folder), "doctor", b"")


def _executing(trial: Finding, torch: Finding, gpus: Sequence[Finding]) -> list[Finding]:
    """Return how far a kernel comes that compiles: the stages that need a GPU."""
    lacking = [
        *([] if trial.works else ["nothing can be compiled"]),
        *([] if any(gpu.works for gpu in gpus) else ["no GPU can be used"]),
        *([] if torch.works else ["torch is missing"]),
    ]
    no_eager = (
        []
        if torch.details.get("cuda")
        else ["torch is not built for CUDA, so only min_roofline can be asked"]
    )
    return [
        Finding("correct", not lacking, "; ".join(lacking) or "kernels are executed and judged here"),
        Finding("fast", not lacking, "; ".join(lacking or no_eager) or "kernels are timed here"),
    ]
