"""The one compiler that verdicts come from: nvcc with what belongs to it, wherever it was installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_upskill.errors import ScorerError, one_line

_STANDARD = Path("/usr/local/cuda")
_INSTALL = (
    "install one with: pip install 'pytest-upskill[cuda]', "
    "or install a CUDA toolkit and put its nvcc on PATH or set CUDA_HOME"
)
_HERE = re.compile(r"#\$ _HERE_=(.+)")
_LIBRARIES = re.compile(r"#\$ CICC_PATH=(.+)")
_HOST = re.compile(r'#\$ "?([^"\s]+)"? .*-E -x c\+\+ ')
_VERSION = re.compile(r"\bV(\d+(?:\.\d+)+)")
_PATIENCE = 60.0  # seconds for a tool that only says what it is
# A wrapper may need the shell; nvcc starts each of its steps through one.
_SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin")


class _Unusable(Exception):
    """This nvcc cannot be used; says why."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A compiler and its parts.

    Attributes:
        nvcc, ptxas: the programs themselves, whatever wrapper was found.
        version: in full, as `13.0.88`.
        folders: all that a sandbox must let it read beside the system's own programs, libraries and headers.
        environment: all of the environment that it needs.
        identity: changes when one of its parts or headers does; the last line is the host compiler.
        disassembler: nvdisasm, where there is one.
    """

    nvcc: Path
    ptxas: Path
    version: str
    folders: tuple[Path, ...]
    environment: Mapping[str, str]
    identity: str
    disassembler: Path | None = None

    @property
    def name(self) -> str:
        """What results call it."""
        return f"nvcc {self.version}"


def find_toolchain(
    environment: Mapping[str, str] = os.environ,
    packages: Sequence[str] = sys.path,
    standard: Path = _STANDARD,
) -> Toolchain:
    """Return the first compiler that can be used.

    Looked for at CUDA_HOME and CUDA_PATH, on PATH, at the standard place, and in Python's packages.

    Raises:
        ScorerError: there is none; says what was wrong with each, and what to install.
    """
    reasons = []
    for nvcc in dict.fromkeys(_candidates(environment, packages, standard)):
        try:
            return _toolchain(nvcc, environment, packages)
        except _Unusable as error:
            reasons.append(f"{nvcc} cannot be used: {error}")
    found = "; ".join(reasons) or "there is no nvcc on this machine"
    raise ScorerError(f"kernels cannot be compiled: {found}. To compile them, {_INSTALL}.")


def _candidates(environment: Mapping[str, str], packages: Sequence[str], standard: Path) -> Iterator[Path]:
    homes = [Path(environment[name]) for name in ("CUDA_HOME", "CUDA_PATH") if environment.get(name)]
    on_path = shutil.which("nvcc", path=environment.get("PATH", ""))
    places = [home / "bin" / "nvcc" for home in homes]
    places += [Path(on_path)] if on_path else []
    places += [standard / "bin" / "nvcc", *_packaged("nvcc", packages)]
    return (place.absolute() for place in places if os.access(place, os.X_OK) and place.is_file())


def _packaged(program: str, packages: Sequence[str]) -> list[Path]:
    """Return where the registry's packages put a program, the newest CUDA first."""
    folders = [Path(folder) for folder in packages if folder]
    return [
        place
        for folder in folders
        for place in sorted(folder.glob(f"nvidia/cu*/bin/{program}"), reverse=True)
    ]


def _toolchain(nvcc: Path, environment: Mapping[str, str], packages: Sequence[str]) -> Toolchain:
    steps = _said([str(nvcc), "--dryrun", "-E", "-x", "cu", os.devnull], _environment(environment))
    here, libraries = (Path(_searched(pattern, steps)).resolve() for pattern in (_HERE, _LIBRARIES))
    host = _host_compiler(_searched(_HOST, steps), environment)
    own = _environment({**environment, "PATH": str(host.parent)})
    tools = [here / "nvcc", here / "ptxas", libraries / "cicc"]
    missing = [tool for tool in tools if not os.access(tool, os.X_OK)]
    if missing:
        raise _Unusable(f"{missing[0]} is missing")
    version = _searched(_VERSION, _said([str(tools[0]), "--version"], own))
    real = host.resolve()
    return Toolchain(
        nvcc=tools[0],
        ptxas=tools[1],
        version=version,
        folders=_folders(tools, real),
        environment=own,
        identity="\n".join([version, *(_stamp(part) for part in (*tools, *_beside(here), real))]),
        disassembler=_disassembler(here, environment, packages),
    )


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the compiler needs of the environment: no flags, and none of the user's secrets."""
    places = [place for place in environment.get("PATH", "").split(os.pathsep) if place.startswith("/")]
    own = {"PATH": os.pathsep.join(dict.fromkeys([*places, *_SYSTEM_PATH])), "LC_ALL": "C"}
    if environment.get("NVCC_CCBIN"):
        own["NVCC_CCBIN"] = environment["NVCC_CCBIN"]
    return own


def _said(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return what a tool says of itself on both of its outputs."""
    try:
        ran = subprocess.run(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _Unusable(one_line(str(error))) from None
    text = ran.stdout.decode(errors="replace")
    if ran.returncode:
        last = [line for line in text.splitlines() if not line.startswith("#$")]
        raise _Unusable(one_line(" ".join(last) or f"it ends with {ran.returncode}"))
    return text


def _searched(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    if match is None:
        raise _Unusable("it does not say what it consists of, as nvcc does")
    return match[1]


def _host_compiler(name: str, environment: Mapping[str, str]) -> Path:
    found = shutil.which(name, path=_environment(environment)["PATH"])
    if found is None:
        raise _Unusable(f"it needs the C++ compiler '{name}'")
    return Path(found)


def _folders(tools: Sequence[Path], host: Path) -> tuple[Path, ...]:
    """Return where all lies: the toolkit, its compiler proper, and a host compiler that is not the system's."""
    folders = [tools[0].parent.parent, tools[2].parent.parent.parent, *_of_host(host)]
    return tuple(dict.fromkeys(folders))


def _of_host(host: Path) -> Iterator[Path]:
    prefix, home = host.parent.parent, Path("~").expanduser()
    if prefix in (Path("/usr"), Path("/usr/local"), Path("/")):
        return
    # A compiler in ~/bin must not open the whole home to what is compiled.
    yield host.parent if prefix == home or prefix in home.parents else prefix


def _beside(here: Path) -> Iterator[Path]:
    """Yield what else of a toolkit makes its results: its settings, its front end, one header for all."""
    parts = (here / "nvcc.profile", here / "cudafe++", here.parent / "include" / "cuda_bf16.h")
    return (part for part in parts if part.is_file())


def _stamp(tool: Path) -> str:
    status = tool.stat()
    return f"{tool} {status.st_size} {status.st_mtime_ns}"


def _disassembler(here: Path, environment: Mapping[str, str], packages: Sequence[str]) -> Path | None:
    on_path = shutil.which("nvdisasm", path=environment.get("PATH", ""))
    places = [here / "nvdisasm", *_packaged("nvdisasm", packages), *([Path(on_path)] if on_path else [])]
    return next((place.resolve() for place in places if os.access(place, os.X_OK)), None)
