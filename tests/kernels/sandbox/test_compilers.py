"""What a source cannot make a compiler do in the sandbox; each is first shown to work outside."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.kernels.sandbox.conftest import Box

TEMPLATES = """
template <int depth, int branch> struct Bomb {
    static const int value = Bomb<depth - 1, branch * 2>::value + Bomb<depth - 1, branch * 2 + 1>::value;
};
template <int branch> struct Bomb<0, branch> { static const int value = branch & 1; };
extern "C" __global__ void bomb(int *out) { *out = Bomb<28, 1>::value; }
"""
CONSTEXPR = """
constexpr unsigned long long spin(unsigned long long turns) {
    unsigned long long value = 1;
    for (unsigned long long turn = 0; turn < turns; turn++) value = value * 2862933555777941757ULL + turn;
    return value;
}
template <unsigned long long value> struct Kept { static const unsigned long long is = value; };
template <int turns> struct Many {
    static const unsigned long long is = Kept<spin(1000000 + turns)>::is + Many<turns - 1>::is;
};
template <> struct Many<0> { static const unsigned long long is = 0; };
extern "C" __global__ void bomb(unsigned long long *out) { *out = Many<200>::is; }
"""


@pytest.fixture(scope="session", name="secret")
def _secret(open_folder: Path) -> Path:
    path = open_folder / "home-of-compilers" / "secret.h"
    path.parent.mkdir()
    path.write_text("#error the secret of this test\n", encoding="ascii")
    return path


def sources(path: Path | str) -> dict[str, str]:
    asking = f'#if __has_include("{path}")\n#error it is there\n#endif\n'
    return {"include.cu": f'#include "{path}"\n', "ask.cu": asking}


def preprocess(name: str) -> list[str]:
    return ["gcc", "-E", "-x", "c", name]


def test_a_source_does_not_print_files_of_the_home_by_including_them(box: Box, secret: Path) -> None:
    command = preprocess("include.cu")
    assert "the secret of this test" in box.without.run(*command, files=sources(secret)).stderr
    ran = box.run(*command, files=sources(secret))
    assert ran.code == 1
    assert "the secret of this test" not in ran.stdout + ran.stderr


def test_a_source_does_not_learn_which_files_the_home_has(box: Box, secret: Path) -> None:
    command = preprocess("ask.cu")
    assert "it is there" in box.without.run(*command, files=sources(secret)).stderr
    ran = box.run(*command, files=sources(secret))
    if box.level == "bubblewrap":
        assert ran.code == 0
    else:
        # Landlock refuses what is there, and so the compiler stops; where nothing is it goes on.
        assert ran.stderr.startswith(f"cc1: fatal error: {secret}: Permission denied\n")


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can read /etc/shadow at all"
)
@pytest.mark.parametrize("level", ["bubblewrap", "landlock"])
def test_not_even_root_reads_the_passwords(level: str, bare_box: Box) -> None:
    first = Path("/etc/shadow").read_text(encoding="ascii").split(":")[0]
    command = preprocess("include.cu")
    assert f"{first}:" in bare_box.run(*command, files=sources("/etc/shadow")).stdout
    inside = Box(level, bare_box.user, bare_box.program).run(*command, files=sources("/etc/shadow"))
    assert inside.code == 1
    assert f"{first}:" not in inside.stdout + inside.stderr


def nvcc() -> str:
    found = shutil.which("nvcc")
    if not found:
        pytest.skip("there is no nvcc on PATH")
    return str(Path(found).resolve())


def test_nvcc_prints_no_file_of_the_home_either(bare_box: Box, secret: Path) -> None:
    box = Box("landlock", bare_box.user, bare_box.program)
    command = [nvcc(), "-ptx", "include.cu", "-o", "out.ptx"]
    outside = box.without.run(*command, files=sources(secret))
    assert "the secret of this test" in outside.stdout + outside.stderr
    ran = box.run(*command, files=sources(secret))
    assert ran.code not in (None, 0)
    assert "the secret of this test" not in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("name", "source", "level"),
    [("templates", TEMPLATES, "bubblewrap"), ("constexpr", CONSTEXPR, "landlock")],
)
def test_a_source_that_compiles_for_ever_is_stopped(
    name: str, source: str, level: str, bare_box: Box
) -> None:
    box = Box(level, bare_box.user, bare_box.program)
    command = [nvcc(), "-ptx", "-ftemplate-depth=2000", f"{name}.cu", "-o", "out.ptx"]
    ran = box.run(*command, files={f"{name}.cu": source}, cpu_seconds=0.6, wall_seconds=10.0)
    assert ran.ended == "cpu"


def test_nvcc_compiles_what_is_honest(box: Box) -> None:
    source = 'extern "C" __global__ void honest(float *out) { *out = 1; }\n'
    ran = box.run(
        "sh", "-c", f"{nvcc()} -ptx honest.cu -o out.ptx && cat out.ptx", files={"honest.cu": source}
    )
    assert ".entry honest(" in ran.stdout
