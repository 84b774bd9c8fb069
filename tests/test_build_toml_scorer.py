"""The shipped check of a build.toml: what Hugging Face's parser refuses, and what that parser leaves open."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from pytest_upskill.errors import ScorerError
from pytest_upskill.scorers.builtin import builtin_scorers
from pytest_upskill.suite.skill import load_skill
from pytest_upskill.types import Case, Check, Reply, Score, ScoringContext

FOLDER = Path(__file__).parent.parent / "skills" / "kernel-builder-cuda-kernels"
FORM = "build.toml is read by Hugging Face's parser"
NAMES = "each kernel section has a name and a backend of the project"
EXIST = "each CUDA capability exists"
TARGET = "code of Hopper's own target is built for 9.0a"
SOURCES = "each source is a file of the project"
BUILD = """\
[general]
name = "flash-norm"
version = 2
edition = 5
license = "apache-2.0"
backends = ["cuda"]

[torch]
src = ["torch-ext/torch_binding.cpp", "torch-ext/torch_binding.h"]

[kernel.flash_norm]
backend = "cuda"
depends = ["torch"]
src = ["flash_norm_cuda/norm.cu", "flash_norm_cuda/reduce.cuh"]
"""
MENDED = """\
[general]
name = "tile-gemm"
version = 1
edition = 5
license = "apache-2.0"
backends = ["cuda"]

[torch]
src = ["torch-ext/torch_binding.cpp", "./torch-ext/torch_binding.h"]

[kernel.gemm]
backend = "cuda"
depends = ["torch"]
src = ["gemm_cuda/gemm.cu"]
cuda-capabilities = ["9.0a"]
"""


def read(case_id: str) -> tuple[dict[str, Any], Case]:
    cases = json.loads((FOLDER / "skill_meta.json").read_text(encoding="utf-8"))["cases"]
    found: dict[str, Any] = next(each for each in cases if each["id"] == case_id)
    return found["expected"], Case(
        case_id, found["input"], (), files=found.get("context", {}).get("files", {})
    )


def judged(name: str, value: Any, text: str, case: Case) -> list[Score]:
    scorer, check, context = builtin_scorers()[name], Check(name, value), ScoringContext(FOLDER, case)
    scorer.validate(check, context)
    return scorer.score(Reply(text), check, context)


def fenced(build: str, name: str = "build.toml") -> str:
    return f"```toml {name}\n{build}```\n"


def scores(build: str, case_id: str = "write-build-toml-for-files", more: str = "") -> dict[str, Score]:
    value, case = read(case_id)
    found = judged("python", value["python"], fenced(build) + more, case)
    return {score.expected: score for score in found}


def missed(found: dict[str, Score]) -> dict[str, str]:
    return {expected: score.evidence for expected, score in found.items() if not score.hit}


@pytest.fixture(autouse=True)
def parser() -> None:
    pytest.importorskip("kernels._rust", reason="kernels (HF's parser of build.toml) is not installed")


@pytest.mark.parametrize(
    ("case_id", "build"), [("write-build-toml-for-files", BUILD), ("mend-old-build-toml", MENDED)]
)
def test_a_good_build_toml_is_a_hit_of_every_check_of_its_case(case_id: str, build: str) -> None:
    expected, case = read(case_id)
    found = [score for name, value in expected.items() for score in judged(name, value, fenced(build), case)]
    assert len(found) >= 8
    assert [score for score in found if not score.hit] == []


def test_the_evidence_of_a_hit_says_what_was_found() -> None:
    found = scores(MENDED, "mend-old-build-toml")
    assert {expected: score.evidence for expected, score in found.items()} == {
        FORM: "edition 5 with gemm",
        NAMES: "gemm",
        EXIST: "9.0a",
        TARGET: "it is",
        SOURCES: "torch-ext/torch_binding.cpp, ./torch-ext/torch_binding.h, gemm_cuda/gemm.cu",
    }


@pytest.mark.parametrize(
    ("old", "new", "evidence"),
    [
        (
            "[torch]",
            '[general.cuda]\ncapabilities = ["9.0"]\n\n[torch]',
            "Unknown field capabilities. Expected one of minver, maxver, kernel-depends, python-depends",
        ),
        ("edition = 5", "edition = 4", "unsupported build edition 4; upgrade kernel-builder"),
        (
            "edition = 5\n",
            "",
            "[general] has no edition: the parser takes that for a legacy file; write edition = 5",
        ),
        (
            'name = "flash-norm"',
            'name = "flash_norm"',
            "Invalid kernel name `flash_norm`. Name must: - Start with a lowercase letter (a-z) "
            "- Contain only lowercase letters, digits, and dashes - End with a lowercas...",
        ),
        ("version = 2", 'version = "2"', 'Invalid type string "2". Expected usize'),
        (
            'depends = ["torch"]',
            'depends = ["torch"]\ncuda-capabilities = [9.0]',
            "Invalid type floating point `9.0`. Expected a string",
        ),
        (
            'depends = ["torch"]',
            'depends = ["cutlass"]',
            "Unknown variant cutlass. Expected one of cutlass_2_10, cutlass_3_5, cutlass_3_6, cutlass_3_8, "
            "cutlass_3_9, cutlass_4_0, cutlass_4_4, cutlass_4_5, sycl_tla, m...",
        ),
        (
            "[kernel.flash_norm]",
            "[kernel.flash_norm",
            "TOML parse error at line 11, column 19 | 11 | [kernel.flash_norm | ^ invalid table header "
            "expected `.`, `]`",
        ),
    ],
    ids=["general.cuda", "edition-4", "no-edition", "underscore", "version", "number", "depends", "toml"],
)
def test_what_the_parser_refuses_is_a_miss_in_its_words(old: str, new: str, evidence: str) -> None:
    assert old in BUILD
    assert missed(scores(BUILD.replace(old, new))) == {FORM: evidence}


@pytest.mark.parametrize("capability", ["9.0b", "9.1", "9.0f", "8.0a", "90", "sm_90", "9.0a ", "10.0af", ""])
def test_a_capability_that_does_not_exist_is_a_miss(capability: str) -> None:
    build = f'{BUILD}cuda-capabilities = ["8.0", "{capability}"]\n'
    assert missed(scores(build)) == {
        EXIST: f'flash_norm asks for the capability "{" ".join(capability.split(" "))}", which does not exist'
    }


@pytest.mark.parametrize(
    "capability", ["7.0", "8.0", "8.9", "9.0", "9.0a", "9.0+PTX", "10.0a", "10.3f", "12.0f", "12.1"]
)
def test_a_capability_that_exists_is_a_hit(capability: str) -> None:
    found = scores(f'{BUILD}cuda-capabilities = ["{capability}"]\n')
    assert missed(found) == {}
    assert found[EXIST].evidence == capability


def test_the_capabilities_of_torch_noarch_are_looked_at_too() -> None:
    general = BUILD.partition("[torch]")[0]
    build = f'{general}[torch-noarch]\ncuda_capabilities = ["9.5"]\n'
    assert missed(scores(build)) == {
        EXIST: 'torch-noarch asks for the capability "9.5", which does not exist'
    }


def test_code_with_wgmma_has_to_be_built_for_its_own_target() -> None:
    wrong = {TARGET: 'kernel.gemm uses wgmma and its cuda-capabilities have no "9.0a"'}
    for capabilities in ('cuda-capabilities = ["9.0"]', ""):
        build = MENDED.replace('cuda-capabilities = ["9.0a"]', capabilities)
        assert missed(scores(build, "mend-old-build-toml")) == wrong


def test_code_with_wgmma_needs_a_guard_to_be_built_for_other_targets() -> None:
    both = MENDED.replace('["9.0a"]', '["8.0", "9.0a"]')
    assert missed(scores(both, "mend-old-build-toml")) == {
        TARGET: "kernel.gemm uses wgmma without __CUDA_ARCH_FEAT_SM90_ALL and is built for more than 9.0a"
    }
    guarded = (
        "```cuda gemm_cuda/gemm.cu\n#ifdef __CUDA_ARCH_FEAT_SM90_ALL\n"
        '__device__ void f() { asm volatile("wgmma.fence.sync.aligned;"); }\n#endif\n```\n'
    )
    assert missed(scores(both, "mend-old-build-toml", guarded)) == {}


def test_a_comment_that_speaks_of_wgmma_is_no_code() -> None:
    spoken = "```cuda flash_norm_cuda/norm.cu\n// faster with wgmma.mma_async\n/* setmaxnreg.dec */\n```\n"
    assert missed(scores(BUILD, more=spoken)) == {}


def test_a_source_that_is_nowhere_is_a_miss_unless_the_reply_gives_it() -> None:
    build = BUILD.replace("flash_norm_cuda/norm.cu", "flash_norm_cuda/kernel.cu")
    assert missed(scores(build)) == {
        SOURCES: "kernel.flash_norm names flash_norm_cuda/kernel.cu, which neither the reply gives nor the case has"
    }
    given = "```cuda flash_norm_cuda/kernel.cu\n__device__ int x;\n```\n"
    assert missed(scores(build, more=given)) == {}


def test_a_binding_that_is_nowhere_is_a_miss() -> None:
    build = BUILD.replace("torch-ext/torch_binding.h", "torch_binding.h")
    assert missed(scores(build)) == {
        SOURCES: "torch names torch_binding.h, which neither the reply gives nor the case has"
    }


def test_a_kernel_for_a_backend_that_the_project_does_not_have_is_a_miss() -> None:
    build = BUILD.replace('backends = ["cuda"]', 'backends = ["rocm"]')
    assert missed(scores(build)) == {NAMES: "kernel.flash_norm is for cuda, which is not in general.backends"}


def test_a_section_whose_name_cmake_cannot_take_is_a_miss() -> None:
    build = BUILD.replace("[kernel.flash_norm]", '[kernel."flash norm"]')
    assert missed(scores(build)) == {
        NAMES: "kernel.'flash norm' is no name for a section: letters, digits, dashes and underscores"
    }


def test_a_reply_without_a_build_toml_says_what_it_has_instead() -> None:
    value, case = read("write-build-toml-for-files")
    (bare,) = judged("python", value["python"], BUILD, case)
    assert (bare.hit, bare.evidence) == (
        False,
        "no fenced block is build.toml; the reply has: no fenced block",
    )
    (other,) = judged("python", value["python"], fenced(BUILD, "pyproject.toml"), case)
    assert other.evidence == "no fenced block is build.toml; the reply has: pyproject.toml"


def test_one_block_of_toml_without_a_name_is_taken_for_it_and_two_are_not() -> None:
    value, case = read("write-build-toml-for-files")
    bare = f"```toml\n{BUILD}```\n"
    assert all(score.hit for score in judged("python", value["python"], bare, case))
    (twice,) = judged("python", value["python"], f"{bare}or\n\n{bare}", case)
    assert not twice.hit


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (None, "import of kernels._rust halted; None in sys.modules"),
        (types.ModuleType("kernels._rust"), "module 'kernels._rust' has no attribute 'Build'"),
    ],
    ids=["missing", "another-version"],
)
def test_without_the_parser_the_sample_is_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, module: types.ModuleType | None, reason: str
) -> None:
    monkeypatch.setitem(sys.modules, "kernels._rust", module)
    with pytest.raises(ScorerError) as caught:
        scores(BUILD)
    words = str(caught.value)
    assert words.startswith('python "evals.build_toml:check" raised RuntimeError: ')
    assert (
        f"Hugging Face's parser of build.toml is missing ({reason}): "
        "python -m pip install 'kernels==0.17.2'" in words
    )


def test_what_judges_is_no_file_of_the_skill() -> None:
    assert (FOLDER / "evals" / "build_toml.py").is_file()
    assert load_skill(FOLDER, ("skill_meta.json",)).files == ()
