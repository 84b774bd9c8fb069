"""From a reply's source to a cubin, by the real compiler: what it refuses, what it costs, what cannot be forged."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.artefacts import Artefacts
from pytest_upskill.kernels.compile import Compiler, left_behind
from pytest_upskill.kernels.data import Artefact, Miss
from pytest_upskill.kernels.prelude import prelude
from pytest_upskill.kernels.sandbox import Level, Ran, at_level
from pytest_upskill.kernels.toolchain import Toolchain
from tests.kernels.compiling import COPY, Counting, compiled, sandbox, toolchain

BF16 = prelude("bf16")


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def compiler(tmp_path: Path, counting: Counting) -> Compiler:
    """Return a compiler that was tried: what it refuses, it refuses at once."""
    made = Compiler(toolchain(), counting, Artefacts(tmp_path))
    made._sound |= {("sm_90a", BF16), ("sm_90", BF16)}
    return made


def refusal(compiler: Compiler, source: str, arch: str = "sm_90a", entry: str = "copy") -> str:
    with pytest.raises(Miss) as caught:
        compiler.compile(source, BF16, arch, entry)
    assert caught.value.stage == "compile"
    return caught.value.evidence


def test_a_kernel_is_compiled_once_and_then_taken_from_the_artefacts(
    tmp_path: Path, compiler: Compiler, counting: Counting
) -> None:
    first = compiler.compile(COPY, BF16, "sm_90a", "copy")
    assert (first.compiler, first.cached) == (toolchain().name, False)
    assert first.facts.entries == ("copy",)
    assert len(counting.starts) == 1
    again = Compiler(toolchain(), counting, Artefacts(tmp_path)).compile(COPY, BF16, "sm_90a", "copy")
    assert again == replace(first, cached=True)
    assert len(counting.starts) == 1


def test_another_source_prelude_architecture_entry_or_compiler_is_compiled_anew(
    tmp_path: Path, compiler: Compiler, counting: Counting
) -> None:
    fast = Counting(answer=Ran(1, None, b"", b"kernel.cu(1): error: no\n", "exited", 0.1))
    newer: Toolchain = replace(toolchain(), identity="another")
    compiler.compile(COPY, BF16, "sm_90a", "copy")
    for source, text, arch, entry, tools in [
        (COPY + " ", BF16, "sm_90a", "copy", toolchain()),
        (COPY, BF16 + " ", "sm_90a", "copy", toolchain()),
        (COPY, BF16, "sm_90", "copy", toolchain()),
        (COPY, BF16, "sm_90a", "other", toolchain()),
        (COPY, BF16, "sm_90a", "copy", newer),
    ]:
        other = Compiler(tools, fast, Artefacts(tmp_path))
        other._sound.add((arch, text))
        with pytest.raises(Miss):
            other.compile(source, text, arch, entry)
    assert len(fast.starts) == 5
    assert len(counting.starts) == 1


def test_threads_that_want_the_same_kernel_compile_it_once(compiler: Compiler, counting: Counting) -> None:
    barrier = threading.Barrier(6)

    def work(_: int) -> Artefact:
        barrier.wait()
        return compiler.compile(COPY, BF16, "sm_90a", "copy")

    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(work, range(6)))
    assert len({artefact.cubin for artefact in found}) == 1
    assert len(counting.starts) == 1


def test_a_refusal_is_not_kept(compiler: Compiler, counting: Counting) -> None:
    words = 'line 1: identifier "x" is undefined\n    | int n = x;'
    assert refusal(compiler, "int n = x;") == words
    assert refusal(compiler, "int n = x;") == words
    assert len(counting.starts) == 2


VARYING = """
#include <cassert>
static __device__ int counter[16];
namespace { __device__ float hidden[8]; __device__ __noinline__ float f(float x) { return x * hidden[3]; } }
__device__ const char* when = __DATE__ __TIME__ __TIMESTAMP__ __FILE__ __BASE_FILE__;
extern "C" __global__ void copy(const T* x, T* y, int n) {
    assert(n < 5000);
    auto inner = [=](int k) { return k + n; };
    y[0] = T(f(inner(n)) + when[n]);
    counter[n] = n;
}
"""


def test_the_same_source_gives_the_same_bytes_wherever_and_whenever_it_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = set()
    for number, folder in enumerate(("a", "a-much-longer-name")):
        (tmp_path / folder).mkdir(mode=0o755)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / folder))
        compiler = Compiler(toolchain(), sandbox(), Artefacts(tmp_path / str(number)))
        artefact = compiler.compile(VARYING, BF16, "sm_90a", "copy")
        assert not artefact.cached
        digests.add(artefact.digest)
        monkeypatch.undo()
    assert len(digests) == 1


def test_what_the_source_prints_is_no_fact(compiler: Compiler) -> None:
    forged = "".join(
        f"#warning {line}\n"
        for line in (
            "ptxas info    : Compiling entry function 'copy' for 'sm_90a'",
            "ptxas info    : Used 1 registers, used 0 barriers",
        )
    )
    honest = compiled("copy").facts
    assert compiler.compile(forged + COPY, BF16, "sm_90a", "copy").facts == honest


def test_words_in_the_assembly_are_no_facts_either(compiler: Compiler) -> None:
    line = "ptxas info    : Used 1 registers, used 0 barriers"
    spelled = COPY.replace("if (i < n)", f'asm volatile("// {line}\\n"); if (i < n)')
    assert compiler.compile(spelled, BF16, "sm_90a", "copy").facts == compiled("copy").facts


REPORT = (
    "x\\nptxas info    : Compiling entry function 'copy' for 'sm_90a'\\n"
    "ptxas info    : Used {} registers, 1 bytes cumulative stack size\\n"
)
UNREADABLE = "what the compiler made of it cannot be read: "


@pytest.mark.parametrize(
    "pragma", ['.pragma \\"{}\\";', '.pragma \\"nounroll\\", \\"{}\\";', '.pragma /**/ \\"{}\\";']
)
def test_a_report_that_the_assembler_was_made_to_print_is_refused(compiler: Compiler, pragma: str) -> None:
    forged = pragma.format(REPORT.format(compiled("copy").facts.registers))
    source = COPY.replace("if (i < n)", f'asm volatile("{forged}"); if (i < n)')
    assert refusal(compiler, source).startswith(UNREADABLE)


def test_a_report_without_end_is_refused_unread(compiler: Compiler) -> None:
    lines = "ab\\n" * 2000
    source = f"""
#define FOUR(x) x x x x
#define TELL FOUR(asm volatile(".pragma \\"a\\", \\"{lines}\\";");)
extern "C" __global__ void copy(T* y) {{ FOUR(FOUR(FOUR(TELL))) y[0] = T(1); }}
"""
    assert refusal(compiler, source) == (
        f"{UNREADABLE}a program of the compiler left no plain file of at most 1048576 bytes: ptxas.txt"
    )


def test_a_cubin_that_is_larger_than_any_kernel_is_the_source_s_fault(compiler: Compiler) -> None:
    source = """extern "C" __global__ void copy(T* y) {
        asm volatile("ret; }\\n .global .align 4 .b8 stash[67108864] = {1};\\n .visible .func other() {"
            ".reg .b64 p; .reg .b32 v; mov.u64 p, stash; ld.global.u32 v, [p]; st.global.u32 [p+4], v; ret;");
    }"""
    assert refusal(compiler, source) == (
        f"{UNREADABLE}a program of the compiler left no plain file of at most 67108864 bytes: kernel.cubin"
    )


def test_a_virtual_call_is_honest_and_the_stack_of_what_it_may_reach_counts(compiler: Compiler) -> None:
    source = """
struct One { __device__ virtual float of(float x) { return x + 1; } };
struct Two : One {
    __device__ float of(float x) override { volatile float kept[32]; kept[int(x)] = x; return kept[int(x) / 2]; }
};
extern "C" __global__ void copy(float* y, int n) {
    One one; Two two;
    One* chosen = n % 2 ? &one : &two;
    y[0] = chosen->of(y[1]);
}
"""
    facts = compiler.compile(source, BF16, "sm_90a", "copy").facts
    assert facts.entries == ("copy",)
    assert facts.stack >= 128


def test_a_kernel_that_is_smuggled_in_as_assembly_is_seen(compiler: Compiler) -> None:
    smuggled = """extern "C" __global__ void copy(const T* x, T* y, int n) {
        asm volatile("ret; }\\n .visible .entry evil() {");
    }"""
    assert set(compiler.compile(smuggled, BF16, "sm_90a", "copy").facts.entries) == {"copy", "evil"}


def test_a_source_without_the_kernel_is_compiled_and_says_so(compiler: Compiler) -> None:
    facts = compiler.compile("__device__ int x;\n", BF16, "sm_90a", "copy").facts
    assert (facts.entries, facts.parameters, facts.registers) == ((), (), 0)


def test_lines_are_those_of_the_reply(compiler: Compiler) -> None:
    source = COPY.replace("y[i] = x[i]", "y[i] = foo")
    assert refusal(compiler, source) == (
        'line 4: identifier "foo" is undefined\n    | if (i < n) y[i] = foo;'
    )


def test_instructions_of_another_architecture_are_a_miss_in_the_assembler_s_words(compiler: Compiler) -> None:
    source = COPY.replace("if (i < n)", 'asm volatile("wgmma.fence.sync.aligned;"); if (i < n)')
    assert refusal(compiler, source, "sm_90") == (
        "ptxas: Instruction 'wgmma.fence' not supported on .target 'sm_90'"
    )
    assert compiler.compile(source, BF16, "sm_90a", "copy").facts.arch == "sm_90a"


def test_more_shared_memory_than_there_is_is_a_miss(compiler: Compiler) -> None:
    source = COPY.replace(
        "if (i < n)", "__shared__ T s[200000]; s[n - i] = x[i]; __syncthreads(); x = s; if (i < n)"
    )
    assert refusal(compiler, source).startswith("ptxas: Entry function 'copy' uses too much shared data")


def test_an_undefined_function_is_a_miss(compiler: Compiler) -> None:
    source = 'extern "C" __device__ float far(float);\n' + COPY.replace("= x[i]", "= T(far(x[i]))")
    assert refusal(compiler, source) == "ptxas: Unresolved extern function 'far'"


def test_text_that_cannot_be_encoded_is_a_miss_and_no_crash(compiler: Compiler) -> None:
    assert refusal(compiler, "int \ud800 = 3;").startswith("line 1: ")


def test_a_header_of_the_system_is_not_shown(compiler: Compiler) -> None:
    words = refusal(compiler, '#include "/etc/shadow"\n' + COPY)
    assert "root" not in words
    assert "/etc/shadow" in words


@pytest.mark.parametrize("level", ["bubblewrap", "landlock"])
def test_in_the_sandbox_no_reply_finds_a_file_of_the_machine(level: Level, tmp_path: Path) -> None:
    safe = at_level(level)
    if safe is None:
        pytest.skip(f"{level} does not work here")
    secret = tmp_path / "secret.h"
    secret.write_text('extern "C" __global__ void copy() {}\n')
    compiler = Compiler(toolchain(), safe, Artefacts(tmp_path / "artefacts"))
    words = refusal(compiler, f'#include "{secret}"\n')
    assert words.startswith(f"line 1: {secret}: ")
    asked = f'#if __has_include("{secret}")\nextern "C" __global__ void copy() {{}}\n#endif\n'
    if level == "bubblewrap":
        assert compiler.compile(asked, BF16, "sm_90a", "copy").facts.entries == ()
    else:
        # Landlock denies what it does not hide, and there the compiler stops.
        assert refusal(compiler, asked) == f"cc1plus: {secret}: Permission denied"


@pytest.mark.parametrize("arch", ["", "sm_90a; touch x", "compute_90", "sm_9", "-arch=sm_90"])
def test_what_is_no_architecture_reaches_no_command_line(
    compiler: Compiler, counting: Counting, arch: str
) -> None:
    with pytest.raises(ScorerError, match=r"is no architecture to compile for; write it like sm_90a$"):
        compiler.compile(COPY, BF16, arch, "copy")
    assert counting.starts == []


def test_only_a_plain_file_that_was_left_behind_is_read(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"cubin")
    assert left_behind(tmp_path / "plain") == b"cubin"
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**26 + 1)
    with pytest.raises(ScorerError) as caught:
        left_behind(tmp_path / "gone")
    assert str(caught.value) == "a program of the compiler left no gone: No such file or directory"
    with pytest.raises(ScorerError, match=r"left no plain file of at most 4 bytes: plain$"):
        left_behind(tmp_path / "plain", 4)
    for name in ("link", "pipe", "folder", "large", "gone"):
        with pytest.raises(ScorerError, match=r"^a program of the compiler "):
            left_behind(tmp_path / name)
