"""What the shipped kernel skill says is what the compiler and Hugging Face's parser say."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from pytest_upskill.providers.passages import estimate
from pytest_upskill.providers.reader import Reader
from pytest_upskill.types import Message, Model, Request

FOLDER = Path(__file__).parent.parent / "skills" / "kernel-builder-cuda-kernels"
BODY = (FOLDER / "SKILL.md").read_text(encoding="utf-8").split("---\n", 2)[2]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", BODY, re.MULTILINE | re.DOTALL)


def test_the_kernel_skill_is_about_500_tokens() -> None:
    assert 400 <= estimate(BODY) <= 600


def test_the_reader_does_not_answer_with_the_whole_kernel_skill() -> None:
    reader = Reader(Model("reader", "reader", "reader-1"))
    question = Message(
        "user", "Tell me of the kernel, build.toml, the bindings, the ops, TMA, wgmma, CUDA and sm_90a."
    )
    reply = asyncio.run(reader.complete(Request("reader-1", BODY, (question,)), 1.0))
    assert estimate(reply.text) < estimate(BODY) / 2


@pytest.fixture(scope="module")
def nvcc() -> str:
    found = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
    if found is None:
        pytest.skip("nvcc is not installed")
    return found


def compiles(nvcc: str, source: str, arch: str, folder: Path) -> str:
    """Return nothing when device code compiles for an architecture, else what the compiler says."""
    file = folder / "code.cu"
    file.write_text(source, encoding="utf-8")
    target = f"-gencode=arch=compute_{arch},code=sm_{arch}"
    command = [nvcc, "-Werror", "all-warnings", target, "-cubin", "-o", str(folder / "code.cubin"), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr or "refused"


def kernel_around(statement: str) -> str:
    return f'extern "C" __global__ void k(float* to, const float* from) {{ {statement} to[0] = from[0]; }}\n'


@pytest.mark.parametrize("arch", ["80", "90", "90a"])
def test_the_cuda_code_of_the_skill_compiles(nvcc: str, arch: str, tmp_path: Path) -> None:
    found = blocks("cuda")
    assert found
    called = kernel_around("wait_for_products();")
    assert [compiles(nvcc, source + called, arch, tmp_path) for source in found] == [""] * len(found)


CP_ASYNC = """
__shared__ alignas(16) float tile[4];
unsigned at = static_cast<unsigned>(__cvta_generic_to_shared(tile));
asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(at), "l"(from));
"""
TMA = """
__shared__ alignas(128) float tile[1024];
__shared__ alignas(8) unsigned long long barrier;
unsigned at = static_cast<unsigned>(__cvta_generic_to_shared(tile));
unsigned bar = static_cast<unsigned>(__cvta_generic_to_shared(&barrier));
asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(bar));
asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], 4096;" ::"r"(bar));
asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
             " [%0], [%1, {%2, %2}], [%3];" ::"r"(at), "l"(from), "r"(0), "r"(bar) : "memory");
"""
WGMMA = 'asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");'
SETMAXNREG = 'asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");'


@pytest.mark.parametrize(
    ("statement", "accepted", "refused"),
    [
        (CP_ASYNC, ["80", "90"], ["75"]),
        (TMA, ["90", "90a"], ["80"]),
        (WGMMA, ["90a"], ["80", "90", "100"]),
        (SETMAXNREG, ["90a"], ["90", "100"]),
    ],
    ids=["cp.async", "TMA", "wgmma", "setmaxnreg"],
)
def test_instructions_compile_for_the_targets_that_the_skill_names(
    nvcc: str, tmp_path: Path, statement: str, accepted: list[str], refused: list[str]
) -> None:
    results = {arch: compiles(nvcc, kernel_around(statement), arch, tmp_path) for arch in accepted + refused}
    assert {arch: text for arch, text in results.items() if arch in accepted and text} == {}
    assert [arch for arch in refused if not results[arch]] == []


def test_the_compiler_knows_the_227_kb_of_the_skill(nvcc: str, tmp_path: Path) -> None:
    # At sm_90a ptxas takes static arrays up to the limit of a block, so that it can be asked for it.
    text = compiles(
        nvcc, "__shared__ float tile[60000];" + kernel_around("to[1] = tile[int(from[1])];"), "90a", tmp_path
    )
    if f"{48 * 1024:#x} max" in text:
        pytest.skip("this nvcc holds static arrays to 48 KB on every target")
    assert f"{227 * 1024:#x} max" in text


def open_build(folder: Path, text: str) -> object:
    rust = pytest.importorskip("kernels._rust", reason="kernels (HF's parser of build.toml) is not installed")
    (folder / "build.toml").write_text(text, encoding="utf-8")
    opened: object = rust.Build.open(str(folder))
    return opened


def test_the_build_toml_of_the_skill_is_read_by_hugging_faces_parser(tmp_path: Path) -> None:
    (text,) = blocks("toml")
    assert open_build(tmp_path, text) is not None
    assert tomllib.loads(text)["general"]["edition"] == 5


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[torch]", '[general.cuda]\ncapabilities = ["9.0"]\n\n[torch]', "Expected one of minver, maxver"),
        ('name = "rms-norm"', 'name = "rms_norm"', "only lowercase letters, digits, and dashes"),
        ('license = "apache-2.0"\n', "", "Missing field license"),
        ('cuda-capabilities = ["9.0a"]', "cuda-capabilities = [9.0]", "Expected a string"),
        ("edition = 5", "edition = 4", "unsupported build edition 4"),
    ],
    ids=["general.cuda", "name", "license", "number", "edition"],
)
def test_what_the_skill_warns_of_is_refused_by_that_parser(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    (text,) = blocks("toml")
    assert old in text
    with pytest.raises(ValueError, match=message):
        open_build(tmp_path, text.replace(old, new))


def test_general_cuda_takes_the_keys_that_the_skill_names(tmp_path: Path) -> None:
    (text,) = blocks("toml")
    open_build(
        tmp_path, text.replace("[torch]", '[general.cuda]\nminver = "12.8"\nmaxver = "13.0"\n\n[torch]')
    )
