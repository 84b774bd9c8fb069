"""Which compiler is found, what belongs to it, and what is said where there is none."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.toolchain import Toolchain, find_toolchain
from tests.kernels.compiling import toolchain

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the pretended compilers are shell scripts")

NVCC = """#!/bin/sh
if [ "$1" = --version ]; then echo "Cuda compilation tools, release {version}, V{version}"; exit; fi
here=$(cd "$(dirname "$0")" && pwd)
echo '#$ _SPACE_= ' >&2
echo "#$ _HERE_=$here" >&2
echo "#$ TOP=$here/.." >&2
echo "#$ CICC_PATH=$here/../nvvm/bin" >&2
echo "#$ ${{NVCC_CCBIN:-gcc}} -D__CUDA_ARCH__=750 -E -x c++ -D__CUDACC__ \\"/dev/null\\"" >&2
"""
NONE = (
    "To compile them, install one with: pip install 'pytest-upskill[cuda]', "
    "or install a CUDA toolkit and put its nvcc on PATH or set CUDA_HOME."
)


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def toolkit(folder: Path, version: str = "12.9.1") -> Path:
    """Pretend a toolkit in a folder and return its nvcc."""
    for name in ("bin/ptxas", "nvvm/bin/cicc"):
        program(folder / name)
    return program(folder / "bin/nvcc", NVCC.format(version=version))


@pytest.fixture
def gcc(tmp_path: Path) -> Path:
    return program(tmp_path / "gcc/bin/gcc")


def found(
    environment: dict[str, str], packages: Path | None = None, standard: Path = Path("/nope")
) -> Toolchain:
    return find_toolchain(environment, [str(packages)] if packages else [], standard)


def test_the_real_compiler_is_found_behind_whatever_wrapper(tmp_path: Path) -> None:
    real = toolchain()
    wrapper = program(tmp_path / "nvcc", f'#!/bin/sh\nexec {real.nvcc} "$@"\n')
    through = found({**os.environ, "PATH": f"{wrapper.parent}:{os.environ['PATH']}", "CUDA_HOME": ""})
    assert (through.nvcc, through.ptxas, through.version) == (real.nvcc, real.ptxas, real.version)
    assert re.fullmatch(r"\d+\.\d+\.\d+", real.version)
    assert real.name == f"nvcc {real.version}"
    assert all(folder.is_dir() for folder in real.folders)
    assert any(folder in real.nvcc.parents for folder in real.folders)


def test_the_places_are_asked_in_their_order(tmp_path: Path, gcc: Path) -> None:
    for name in ("home", "path", "onpath", "standard", "packages/nvidia/cu13", "packages/nvidia/cu12"):
        toolkit(tmp_path / name)
    environment = {
        "CUDA_HOME": str(tmp_path / "home"),
        "CUDA_PATH": str(tmp_path / "path"),
        "PATH": f"{tmp_path / 'onpath/bin'}:{gcc.parent}",
    }
    order = []
    for place in ("CUDA_HOME", "CUDA_PATH", "PATH", "standard", "packages"):
        one = found(environment, tmp_path / "packages", tmp_path / "standard")
        order.append(str(one.nvcc.parent.parent.relative_to(tmp_path)))
        if place in environment:
            environment[place] = str(gcc.parent) if place == "PATH" else ""
        elif place == "standard":
            (tmp_path / "standard/bin/nvcc").unlink()
    assert order == ["home", "path", "onpath", "standard", "packages/nvidia/cu13"]


def test_a_place_that_does_not_hold_what_it_should_is_passed_over(tmp_path: Path, gcc: Path) -> None:
    toolkit(tmp_path / "standard", "13.0.88")
    environment = {"CUDA_HOME": str(tmp_path / "gone"), "PATH": str(gcc.parent)}
    assert found(environment, None, tmp_path / "standard").version == "13.0.88"


def test_without_any_it_is_said_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ScorerError) as caught:
        found({"PATH": str(tmp_path)})
    assert str(caught.value) == (f"kernels cannot be compiled: there is no nvcc on this machine. {NONE}")


def test_each_one_that_cannot_be_used_is_named_with_its_reason(tmp_path: Path, gcc: Path) -> None:
    first, second = toolkit(tmp_path / "first"), toolkit(tmp_path / "second")
    (tmp_path / "first/bin/ptxas").unlink()
    program(
        second,
        "#!/bin/sh\necho 'nvcc fatal   : Failed to preprocess host compiler properties.' >&2\nexit 1\n",
    )
    environment = {"CUDA_HOME": str(tmp_path / "first"), "PATH": f"{second.parent}:{gcc.parent}"}
    with pytest.raises(ScorerError) as caught:
        found(environment)
    assert str(caught.value) == (
        f"kernels cannot be compiled: {first} cannot be used: {tmp_path}/first/bin/ptxas is missing; "
        f"{second} cannot be used: nvcc fatal   : Failed to preprocess host compiler properties.. {NONE}"
    )


def test_what_is_no_nvcc_is_not_taken_for_one(tmp_path: Path, gcc: Path) -> None:
    program(tmp_path / "bin/nvcc", "#!/bin/sh\necho hello\n")
    with pytest.raises(ScorerError, match="it does not say what it consists of, as nvcc does"):
        found({"CUDA_HOME": str(tmp_path), "PATH": str(gcc.parent)})


def test_without_a_host_compiler_it_is_named(tmp_path: Path) -> None:
    toolkit(tmp_path)
    with pytest.raises(ScorerError, match=r"it needs the C\+\+ compiler 'g\+\+-99'"):
        found({"CUDA_HOME": str(tmp_path), "PATH": "", "NVCC_CCBIN": "g++-99"})


def test_the_sandbox_has_to_show_the_toolkit_and_a_host_compiler_of_its_own(
    tmp_path: Path, gcc: Path
) -> None:
    toolkit(tmp_path / "cuda")
    one = found({"CUDA_HOME": str(tmp_path / "cuda"), "PATH": str(gcc.parent)})
    assert one.folders == (tmp_path / "cuda", tmp_path / "gcc")


def test_a_host_compiler_in_the_home_does_not_open_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toolkit(tmp_path / "cuda")
    host = program(tmp_path / "home/me/bin/gcc")
    environment = {"CUDA_HOME": str(tmp_path / "cuda"), "PATH": str(host.parent)}
    for home in (tmp_path / "home/me", tmp_path / "home/me/deeper"):
        monkeypatch.setenv("HOME", str(home))
        assert found(environment).folders == (tmp_path / "cuda", host.parent)


def test_the_compiler_gets_no_flags_and_no_secrets(tmp_path: Path, gcc: Path) -> None:
    toolkit(tmp_path / "cuda")
    environment = {
        "CUDA_HOME": str(tmp_path / "cuda"),
        "PATH": f"relative:{tmp_path}:{gcc.parent}",
        "NVCC_PREPEND_FLAGS": "-G",
        "NVCC_APPEND_FLAGS": "-Xcompiler -fplugin=x",
        "OPENAI_API_KEY": "secret",
    }
    assert found(environment).environment == {
        "PATH": f"{gcc.parent}:/usr/local/bin:/usr/bin:/bin",
        "LC_ALL": "C",
    }
    chosen = found({**environment, "NVCC_CCBIN": str(gcc)})
    assert chosen.environment["NVCC_CCBIN"] == str(gcc)


def test_another_compiler_or_host_compiler_has_another_identity(tmp_path: Path, gcc: Path) -> None:
    toolkit(tmp_path / "cuda")
    environment = {"CUDA_HOME": str(tmp_path / "cuda"), "PATH": str(gcc.parent)}
    identities = {found(environment).identity}
    assert identities == {found(environment).identity}
    for tool in ("cuda/bin/nvcc", "cuda/bin/ptxas", "cuda/nvvm/bin/cicc", "gcc/bin/gcc"):
        with (tmp_path / tool).open("a") as file:
            file.write("# newer\n")
        identities.add(found(environment).identity)
    assert len(identities) == 5


def test_a_disassembler_is_taken_from_the_toolkit_or_from_the_packages(tmp_path: Path, gcc: Path) -> None:
    toolkit(tmp_path / "cuda")
    environment = {"CUDA_HOME": str(tmp_path / "cuda"), "PATH": str(gcc.parent)}
    assert found(environment).disassembler is None
    packaged = program(tmp_path / "packages/nvidia/cu13/bin/nvdisasm")
    assert found(environment, tmp_path / "packages").disassembler == packaged
    own = program(tmp_path / "cuda/bin/nvdisasm")
    assert found(environment, tmp_path / "packages").disassembler == own
