from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.kernels.data import Launch, Miss
from pytest_upskill.kernels.extract import extract
from pytest_upskill.kernels.spec import KernelSpec
from tests.kernels.cases import CODE, LAUNCH, PROTOTYPE, fenced, spec_in

ASKED = f"what was asked for is one fenced ```cuda block with {PROTOTYPE}"


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> KernelSpec:
    folder: Path = tmp_path_factory.mktemp("skill")
    return spec_in(folder)


def evidence(spec: KernelSpec, text: str) -> str:
    with pytest.raises(Miss) as caught:
        extract(text, spec)
    assert caught.value.stage == "extract"
    assert caught.value.evidence.isprintable()
    return caught.value.evidence


def kernel(begin: str, body: str = "{ y[0] = x[0]; }") -> str:
    return f"{LAUNCH}\n{begin}(const T* x, const T* w, T* y, int rows, int cols, float eps) {body}\n"


@pytest.mark.parametrize(
    "language", ["cuda", "cu", "cpp", "c++", "CUDA", "cuda rmsnorm.cu", "rmsnorm.cu", ""]
)
def test_the_kernel_is_in_a_fenced_block(spec: KernelSpec, language: str) -> None:
    source = extract(f"Here it is:\n\n{fenced(CODE, language)}\nDone.", spec)
    assert source.code == f"{CODE}\n"
    assert source.declaration.launch({"rows": 3, "cols": 8}, "bf16") == Launch((3, 1, 1), (256, 1, 1), 16)


@pytest.mark.parametrize(
    "begin",
    [
        'extern "C" __global__ void rmsnorm',
        'extern "C" void __global__ rmsnorm',
        'extern "C"\n__global__\nvoid rmsnorm',
        'extern /* no mangling */ "C" __global__ void rmsnorm',
        'extern "C" __global__ void __launch_bounds__(256, (2)) rmsnorm',
        'extern "C" __global__ __launch_bounds__(kThreads) void rmsnorm',
        'extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(256) rmsnorm',
        '__global__ void helper(int* p);\nextern "C" __global__ void rmsnorm',
        '#include <cuda_bf16.h>\nstruct S { int a; };\nextern "C" __global__ void rmsnorm',
        'template <typename V> __global__ void other(V* p) { *p = V(); }\nextern "C" __global__ void rmsnorm',
        '// __global__ void rmsnorm(\nextern "C" __global__ void rmsnorm',
    ],
)
def test_the_entry_is_found_as_it_may_be_written(spec: KernelSpec, begin: str) -> None:
    assert extract(fenced(kernel(begin)), spec).declaration.names == ("rows", "cols", "sizeof_T")


def test_the_entry_may_stand_in_a_block_of_c_linkage(spec: KernelSpec) -> None:
    code = f'namespace n {{ int a; }}\nextern "C" {{\n{kernel("__global__ void rmsnorm")}}}\n'
    assert extract(fenced(code), spec).code == f"{code}\n"


def test_a_prototype_before_the_definition_is_no_second_kernel(spec: KernelSpec) -> None:
    code = f"{PROTOTYPE};\n{CODE}"
    assert extract(fenced(code), spec).code == f"{code}\n"


def test_of_several_blocks_that_with_the_entry_is_taken(spec: KernelSpec) -> None:
    host = fenced("int main() { rmsnorm<<<1, 1>>>(); }", "cpp")
    text = f"{host}{fenced(CODE)}{fenced('nvcc rmsnorm.cu', 'bash')}"
    assert extract(text, spec).code == f"{CODE}\n"


def test_the_same_block_twice_is_one(spec: KernelSpec) -> None:
    assert extract(fenced(CODE) * 2, spec).code == f"{CODE}\n"


def test_host_code_in_the_block_is_left_to_the_compiler(spec: KernelSpec) -> None:
    code = f"{CODE}\nint main() {{ rmsnorm<<<1, 1>>>(); }}"
    assert extract(fenced(code), spec).code == f"{code}\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", f"the reply has no fenced block; {ASKED}"),
        ("I would use a warp per row.", f"the reply has no fenced block; {ASKED}"),
        (
            fenced("import triton\n@triton.jit\ndef f(): ...", "python"),
            f"the reply is Python (triton); {ASKED}",
        ),
        (
            fenced("from torch.utils.cpp_extension import load_inline", "py"),
            f"the reply is Python (torch); {ASKED}",
        ),
        (fenced("x = 1", "python"), f"the reply is Python; {ASKED}"),
        (
            fenced("a = 1", "toml") + fenced("text", ""),
            f"the reply has no CUDA block, only toml, unnamed; {ASKED}",
        ),
        (
            fenced("int main() {}"),
            f"the block at line 1 defines no __global__ function; what was asked for is {PROTOTYPE}",
        ),
        (
            fenced(f"{PROTOTYPE};"),
            f"the block at line 1 defines no __global__ function; what was asked for is {PROTOTYPE}",
        ),
        (
            fenced(kernel('extern "C" __global__ void rms_norm')),
            "the block at line 1 defines no kernel rmsnorm; it defines: rms_norm (did you mean 'rms_norm'?)",
        ),
        (
            fenced("__global__ void a() {}\n__global__ void b() {}"),
            "the block at line 1 defines no kernel rmsnorm; it defines: a, b",
        ),
        (
            fenced(kernel("__global__ void rmsnorm")),
            f'rmsnorm is not extern "C"; what was asked for is {PROTOTYPE}',
        ),
        (
            fenced(kernel('const char* s = "extern \\"C\\"";\nextern "D" __global__ void rmsnorm')),
            f'rmsnorm is not extern "C"; what was asked for is {PROTOTYPE}',
        ),
        (
            fenced('extern "C" { int a; }\n' + kernel("__global__ void rmsnorm")),
            f'rmsnorm is not extern "C"; what was asked for is {PROTOTYPE}',
        ),
        (
            fenced(CODE + CODE.replace(LAUNCH, "")),
            "the block at line 1 defines rmsnorm 2 times; one kernel was asked for",
        ),
        (
            fenced(CODE) + fenced(f"{CODE}// better\n"),
            "2 blocks define rmsnorm, at lines 1 and 8; one block was asked for",
        ),
        (
            fenced(f"#include <torch/extension.h>\n{CODE}"),
            "the code includes torch/extension.h; device code alone was asked for",
        ),
        (
            fenced(f'#  include "ATen/ATen.h"\n{CODE}'),
            "the code includes ATen/ATen.h; device code alone was asked for",
        ),
        (
            fenced(CODE.replace("cols * sizeof_T", "col * sizeof_T")),
            "the launch comment uses col, which is no size of the kernel (did you mean 'cols'?)",
        ),
        (
            fenced(CODE.replace("cols * sizeof_T", "eps")),
            "the launch comment uses eps, which is no size of the kernel; known are cols, rows, sizeof_T",
        ),
        (
            fenced(CODE.replace(LAUNCH, "")),
            "no comment in the code says how it is launched; "
            "write // launch: grid=(X, Y, Z) block=(X, Y, Z) smem=BYTES",
        ),
        (fenced(CODE + "\ud800"), "the block at line 1 holds letters that are no Unicode text"),
        (fenced(CODE + "\0"), "the block at line 1 holds a NUL, which no source code has"),
        (fenced(CODE + "/" * 2**18), "the block at line 1 has 256 KB; at most 256 KB"),
        (
            fenced("__global__ void f(int a) {}\n" * 101),
            "the block at line 1 has more than 100 __global__ functions; one was asked for",
        ),
    ],
)
def test_a_reply_without_the_kernel_is_told_what_it_has_instead(
    spec: KernelSpec, text: str, sentence: str
) -> None:
    assert evidence(spec, text) == sentence


def test_a_hundred_kernels_are_not_too_many(spec: KernelSpec) -> None:
    code = "__global__ void f(int a) {}\n" * 99 + CODE
    assert extract(fenced(code), spec).code == f"{code}\n"


def test_a_header_of_torch_in_a_comment_is_none(spec: KernelSpec) -> None:
    code = f"/*\n#include <torch/extension.h>\n*/\n{CODE}"
    assert extract(fenced(code), spec).code == f"{code}\n"


def test_names_from_a_reply_are_shown_shortly_and_printable(spec: KernelSpec) -> None:
    text = "".join(f"__global__ void {letter * 500}(int a) {{}}\n" for letter in "abcdefgh")
    assert len(evidence(spec, fenced(text))) < 400
    assert "\x1b" not in evidence(spec, fenced("x", "toml\x1b[31m"))


@pytest.mark.parametrize(
    "piece",
    [
        "__global__ f(",
        "__global__ f(int a",
        "__global__ " * 9 + "void f(a){}",
        'extern "C" {',
        "{",
        "}",
        "(",
        ")",
        "__launch_bounds__(",
    ],
)
def test_a_block_of_the_longest_kind_is_read_in_one_pass(spec: KernelSpec, piece: str) -> None:
    # What grows with the square of the length would take minutes here.
    for code in (
        piece * (200_000 // len(piece)),
        "__global__ " * 90 + piece * (200_000 // len(piece)) + CODE,
    ):
        try:
            extract(fenced(code), spec)
        except Miss as missed:
            assert len(missed.evidence) < 1000


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from([*CODE.split(), "\n", "```\n", "```cuda\n", "{", "}", '"', "/*", "*/"]), max_size=40
    )
)
def test_any_reply_is_taken_or_missed(spec: KernelSpec, words: list[str]) -> None:
    try:
        extract(" ".join(words), spec)
    except Miss as missed:
        assert missed.stage == "extract"
