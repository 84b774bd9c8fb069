"""`pytest-upskill kernel check`: the whole of what it prints, and its exit code."""

from __future__ import annotations

import io
import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pytest_upskill.cli import main
from pytest_upskill.errors import NotApplicable, ScorerError
from pytest_upskill.kernels.bench import Bench, Tried
from pytest_upskill.kernels.data import Device
from pytest_upskill.kernels.devices import Seen
from pytest_upskill.kernels.sandbox import reports
from pytest_upskill.kernels.toolchain import find_toolchain
from pytest_upskill.types import Stage
from tests.kernels.compiling import needs_compiler

CODE = """// launch: grid=(ceil_div(n, 256)) block=(256)
extern "C" __global__ void scale(const T* x, T* y, int n, float by) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = static_cast<T>(static_cast<float>(x[i]) * by);
}
"""
KERNEL: dict[str, Any] = {
    "signature": "scale(x:T[n], out y:T[n], n:i32, by:f32=2.5)",
    "reference": "scale.py",
    "shapes": ["n=1000"],
    "dtypes": ["f32"],
}
SEED = "00112233445566778899aabbccddeeff"
PROMPT = """Write a kernel that scales.

Write the kernel with exactly this declaration:
```cuda
extern "C" __global__ void scale(const T* x, T* y, int n, float by)
```
"""
USAGE = "usage: pytest-upskill kernel check "


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a skill with one kernel case."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "scaling"
    folder.mkdir()
    (folder / "SKILL.md").write_text("---\nname: scaling\ndescription: A skill for tests.\n---\n\nScale.\n")
    (folder / "scale.py").write_text("def reference(x, by):\n    return x * by\n")
    (tmp_path / "scale.cu").write_text(CODE)
    return write(folder)


def case(name: str, **asked: Any) -> dict[str, Any]:
    return {"id": name, "input": "Write a kernel that scales.", "expected": {"kernel": KERNEL | asked}}


def write(folder: Path, **asked: Any) -> Path:
    (folder / "skill_meta.json").write_text(json.dumps({"cases": [case("scale", **asked)]}))
    return folder


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a folder for what is compiled in these tests."""
    needs_compiler()
    return str(tmp_path_factory.mktemp("artefacts"))


@pytest.fixture(autouse=True)
def _no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_upskill.kernels.bench.look", lambda boxes: Seen("none", ()))


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str], str]:
    """Return the exit code, the lines with all times as 0.00, and what was said on the other stream."""
    code = main(["kernel", "check", *arguments])
    said = capsys.readouterr()
    assert said.out.isascii()
    lines = re.sub(r" +\d+\.\d\d s", lambda took: "0.00 s".rjust(len(took[0])), said.out).splitlines()
    assert [line for line in lines if len(line) > 80 and "declaration" not in said.out] == []
    return code, lines, said.err


def test_a_right_answer_is_taken_as_far_as_this_machine_can(
    root: Path, capsys: pytest.CaptureFixture[str], compiled: str
) -> None:
    pytest.importorskip("torch", reason="the judge needs PyTorch")
    code, lines, error = check(capsys, "scaling", "scale.cu", "--seed", SEED, "--cache-dir", compiled)
    toolchain = find_toolchain()
    sandbox = next(report.level for report in reports() if report.works)
    assert lines == [
        "case      scale: scale in f32 has to be correct",
        f"seed      {SEED}",
        f"compiler  {toolchain.name} for sm_90a",
        f"sandbox   {sandbox}",
        "device    no CUDA device here",
        "",
        "extract   passed     0.00 s  5 lines, 3 problems",
        f"compile   passed     0.00 s  {toolchain.name} for sm_90a, sandbox: {sandbox}",
        next(
            line for line in lines if re.match(r"facts     passed     0.00 s  registers \d+, stack 0, ", line)
        ),
        "load      not run            no CUDA device here: kernels are compiled and not",
        "                             executed",
        "correct   not run",
        "robust    not run",
        "case      strong     0.00 s  13 wrong answers on 3 problems, none accepted",
        "",
        "the answer passed as far as this machine can tell; not run: load, correct,",
        "robust",
    ]
    assert (code, error) == (0, "")


@pytest.mark.parametrize("form", ["scale.cu", "reply.md", "-", "- with a reply"])
def test_an_answer_is_code_or_a_reply_or_comes_by_standard_input(
    root: Path, capsys: pytest.CaptureFixture[str], compiled: str, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    write(root, require="compile")
    reply = f"Here it is.\n\n```cuda\n{CODE}```\n"
    Path("reply.md").write_text(reply)
    given = io.TextIOWrapper(io.BytesIO((reply if "reply" in form else CODE).encode()))
    monkeypatch.setattr(sys, "stdin", given)
    code, lines, error = check(capsys, "scaling", form.split(maxsplit=1)[0], "--cache-dir", compiled)
    assert lines[6] == "extract   passed     0.00 s  5 lines, 3 problems"
    assert lines[9:] == [
        "case      not tried          it asks only that a kernel compiles",
        "",
        "the answer passed",
    ]
    assert (code, error) == (0, "")


def test_fences_in_the_code_do_not_end_it(
    root: Path, capsys: pytest.CaptureFixture[str], compiled: str
) -> None:
    write(root, require="compile")
    Path("scale.cu").write_text(f"/*\n```\n````\n*/\n{CODE}")
    code, lines, _ = check(capsys, "scaling", "scale.cu", "--cache-dir", compiled)
    assert lines[6] == "extract   passed     0.00 s  9 lines, 3 problems"
    assert code == 0


def test_what_the_compiler_refuses_is_missed_with_its_error(
    root: Path, capsys: pytest.CaptureFixture[str], compiled: str
) -> None:
    write(root, require="compile")
    Path("scale.cu").write_text(CODE.replace("int i =", "int j ="))
    code, lines, error = check(capsys, "scaling", "scale.cu", "--cache-dir", compiled)
    assert lines[6:] == [
        "extract   passed     0.00 s  5 lines, 3 problems",
        'compile   missed     0.00 s  line 4: identifier "i" is undefined',
        "                                 | if (i < n) y[i] =",
        "                                 static_cast<T>(static_cast<float>(x[i]) * by);",
        "facts     not run            not reached",
        "case      not tried          it asks only that a kernel compiles",
        "",
        "the answer missed at compile",
    ]
    assert (code, error) == (1, "")


def test_a_weak_case_is_told_with_what_passes_and_how_to_mend_it(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="the judge needs PyTorch")
    (root / "scale.py").write_text("def reference(x):\n    return x * 2.5\n")
    write(root, tolerance=5e-3, aligned=True, shapes=["n==1000"])
    assert check(capsys, "scaling", "--seed", SEED) == (
        1,
        [
            "case      scale: scale in f32 has to be correct",
            f"seed      {SEED}",
            "case      weak       0.00 s  12 wrong answers on 1 problem, 3 accepted",
            "  y no more precise than bf16 where f32 is asked for: accepted on n=1000 f32",
            "    to mend it, narrow 'tolerance', or let make_inputs in scale.py draw inputs",
            "    that the coarser type cannot hold",
            "  by read as 0: accepted on n=1000 f32",
            "    to mend it, let make_inputs in scale.py draw inputs on which it decides, or",
            "    give it another value in the signature",
            "  by read as 1: accepted on n=1000 f32",
            "    to mend it, let make_inputs in scale.py draw inputs on which it decides, or",
            "    give it another value in the signature",
        ],
        "",
    )


def test_what_no_kernel_can_pass_and_what_any_would_is_told(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="the judge needs PyTorch")
    write(root, tolerance=1e-9, shapes=["n==1000", "n==1001", "n==1002"])
    code, lines, _ = check(capsys, "scaling")
    assert code == 1
    assert lines[2:4] == [
        "case      weak       0.00 s  no wrong answer could be tried on 4 problems",
        "  the right answer, rounded to its type, is rejected on n=1000 f32: y: no single",
    ]
    assert lines[-2:] == [
        "  the same on 2 other problems",
        "    to mend it, widen 'tolerance': no kernel is more exact than that",
    ]
    (root / "scale.py").write_text("def reference(x):\n    return x * 0\n")
    code, lines, _ = check(capsys, "scaling")
    assert code == 1
    assert lines[2:5] == [
        "case      weak       0.00 s  no wrong answer could be tried on 4 problems",
        "  scale.py: the case scale proves nothing on n=1000 f32: the reference's 'y' is",
        "    0 everywhere, or too small for f32, so that zeros would pass; write 'def",
    ]


def test_the_prompt_is_what_a_model_is_asked(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines, error = check(capsys, "scaling", "--prompt")
    assert "\n".join(lines).startswith(PROMPT)
    assert lines[-1].endswith(
        "Reply with one fenced ```cuda block: device code, one kernel, no printf or malloc."
    )
    assert (code, error) == (0, "")


def stages(*outcomes: str) -> tuple[Stage, ...]:
    names = ("extract", "compile", "facts", "load", "correct", "robust")
    return tuple(
        Stage(name, outcome, f"said of {name}", 0.5 if outcome != "skipped" else 0.0)  # type: ignore[arg-type]
        for name, outcome in zip(names, outcomes, strict=False)
    )


@pytest.mark.parametrize(
    ("outcome", "said", "exit_code"),
    [
        (stages(*["passed"] * 6), ["correct   passed     0.00 s  said of correct"], 0),
        (stages(*["passed"] * 4, "missed", "skipped"), ["correct   missed     0.00 s  said of correct"], 1),
        (
            ScorerError("the device is gone", stages(*["passed"] * 3, "error")),
            ["load      error      0.00 s"],
            2,
        ),
        (
            NotApplicable("compiled for sm_90a and not executed: the device here is X", stages(*["passed"] * 3)),
            ["load      not run            compiled for sm_90a and not executed: the device", "correct   not run"],
            0,
        ),
        (NotApplicable("no device", stages("passed", "missed")), ["load      not run            not reached"], 1),
    ],
    ids=["passed", "missed", "error", "other device", "no device and missed"],
)  # fmt: skip
def test_with_a_device_all_stages_are_told(
    root: Path,
    capsys: pytest.CaptureFixture[str],
    compiled: str,
    monkeypatch: pytest.MonkeyPatch,
    outcome: tuple[Stage, ...] | ScorerError,
    said: list[str],
    exit_code: int,
) -> None:
    def try_answer(self: Bench, *_: object) -> Tried:
        if isinstance(outcome, ScorerError):
            raise outcome
        return Tried(outcome)

    device = Device(0, "NVIDIA H200", "uuid", (9, 0), 1, 1, "580.95")
    monkeypatch.setattr("pytest_upskill.kernels.bench.look", lambda boxes: Seen("none", (device,)))
    monkeypatch.setattr(Bench, "try_answer", try_answer)
    monkeypatch.setattr("pytest_upskill.cli.kernel.find_spec", lambda name: None)
    code, lines, error = check(capsys, "scaling", "scale.cu", "--cache-dir", compiled)
    assert lines[4] == "device    NVIDIA H200 (sm_90, driver 580.95)"
    assert set(said) <= set(lines)
    assert code == exit_code
    assert error == ("pytest-upskill: the device is gone\n" if code == 2 else "")
    if code != 2:
        assert "case      not tried          wrong answers are judged with PyTorch, which is not" in lines


def test_the_id_of_a_sample_is_taken_as_pytest_prints_it(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []

    def seed_of(secret: bytes, skill: str, name: str, run: int) -> bytes:
        drawn.append((secret.hex(), skill, name, run))
        raise ScorerError("that is enough")

    monkeypatch.setattr("pytest_upskill.cli.kernel.seed_of", seed_of)
    monkeypatch.chdir(root)
    for name in ("scaling/skill_meta.json::scale[gpt-with_skill-run3]", "scaling::scale", "scaling"):
        assert check(capsys, str(root.parent / name), "--seed", SEED)[0] == 2
    assert check(capsys, ".", "--seed", SEED)[0] == 2
    assert check(capsys, "skill_meta.json", "--seed", SEED)[0] == 2
    assert drawn == [(SEED, "scaling", "scale", 3), *[(SEED, "scaling", "scale", 1)] * 4]


def test_compiled_kernels_are_kept_where_test_runs_keep_them(
    root: Path, capsys: pytest.CaptureFixture[str], compiled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, require="compile")
    folder = root.parent / ".upskill"
    folder.mkdir()
    monkeypatch.chdir(root)
    assert check(capsys, ".", "../scale.cu")[0] == 0
    assert [path.name for path in folder.iterdir()] == ["kernels"]
    assert not (root / ".upskill").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere: no such file or folder"),
        (["scale.cu"], "scale.cu: neither skill_meta.json nor a skill's folder"),
        (["."], ".: no SKILL.md: a skill is a folder with SKILL.md and its cases beside it"),
        (["scaling::scael"], "scaling/skill_meta.json: no case is called 'scael' (did you mean 'scale'?); its kernel "
         "cases are scale"),
        (["scaling", "answer.txt"], "answer.txt: an answer is device code in a .cu file, a whole reply in a .md file, "
         "or - for standard input"),
        (["scaling", "answer.cu"], "answer.cu: cannot be read: No such file or directory"),
        (["scaling", "latin.cu"], "latin.cu:2: not UTF-8 (byte 0xe9): save the file as UTF-8"),
    ],
)  # fmt: skip
def test_wrong_use_exits_2(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    Path("latin.cu").write_bytes(b"// fine\n// caf\xe9\n")
    assert check(capsys, *arguments) == (2, [], f"pytest-upskill: {said}\n")


def test_a_file_with_other_cases_says_which_ask_for_a_kernel(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = {"id": "plain", "input": "What?", "expected": {"contains": "x"}}
    cases = root / "skill_meta.json"
    cases.write_text(json.dumps({"cases": [plain, case("one"), case("two")]}))
    place = "pytest-upskill: scaling/skill_meta.json: "
    assert check(capsys, "scaling") == (
        2, [], f"{place}it has 2 kernel cases: add '::' and one of one, two\n",
    )  # fmt: skip
    assert check(capsys, "scaling::plain") == (
        2, [], f"{place}the case 'plain' asks for no kernel; those that do are one, two\n",
    )  # fmt: skip
    cases.write_text(json.dumps({"cases": [plain]}))
    assert check(capsys, "scaling") == (
        2, [], f"{place}none of its cases asks for a kernel: 'expected' has no 'kernel' there\n",
    )  # fmt: skip


def test_a_case_without_numbers_needs_an_answer(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, require="compile")
    assert check(capsys, "scaling") == (
        2,
        [],
        "pytest-upskill: scale: it asks only that a kernel compiles, which takes an answer to try\n",
    )


def test_a_mistake_in_the_case_is_told_with_its_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, signature="scale(x:T[n], out y:T[n], n:i33)")
    assert check(capsys, "scaling") == (
        2,
        [],
        "pytest-upskill: scaling/skill_meta.json:1: cases[0].expected.kernel: kernel: signature: the parameter n has "
        "the unknown type 'i33' (did you mean 'i32'?)\n",
    )


def test_a_mistake_in_the_reference_is_told_with_its_line(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="the judge needs PyTorch")
    (root / "scale.py").write_text("def reference(x, by):\n    return x * z\n")
    write(root, aligned=True, shapes=["n==1000"])
    code, _, error = check(capsys, "scaling")
    said = "scale.py:2: reference() failed on n=1000 f32: NameError: name 'z' is not defined"
    assert (code, error) == (2, f"pytest-upskill: {said}\n")


def test_without_pytorch_it_says_what_to_install(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (root.parent / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\")\n")
    monkeypatch.syspath_prepend(root.parent)
    code, _, error = check(capsys, "scaling")
    assert (code, error) == (
        2,
        "pytest-upskill: kernels are judged with PyTorch on the CPU, which cannot be imported here (No module named "
        "'torch'): install it with 'pip install torch'\n",
    )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("find_toolchain", "kernels cannot be compiled: there is no nvcc on this machine."),
        ("sandboxes", "no sandbox works here"),
    ],
)
def test_without_a_compiler_or_a_sandbox_it_says_so(
    root: Path,
    capsys: pytest.CaptureFixture[str],
    compiled: str,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    sentence: str,
) -> None:
    def missing(*_: object) -> None:
        raise ScorerError(sentence)

    monkeypatch.setattr(f"pytest_upskill.kernels.bench.{name}", missing)
    code, lines, error = check(capsys, "scaling", "scale.cu")
    assert (code, len(lines), error) == (2, 2, f"pytest-upskill: {sentence}\n")


def test_a_seed_that_is_none_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["kernel", "check", "scaling", "--seed", "12"])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(USAGE)
    assert said.endswith(
        "error: argument --seed: '12' is no seed: give the 32 hexadecimal digits that a run has printed\n"
    )


def test_lint_reads_kernel_cases(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "scaling"]) == 0
    assert capsys.readouterr().out == "1 skill, 0 errors, 0 warnings\n"
    write(root, dtypes=["f33"])
    assert main(["lint", "scaling"]) == 1
    assert capsys.readouterr().out.startswith(
        "scaling/skill_meta.json:1: error: cases[0].expected.kernel: kernel: 'dtypes' has the unknown type 'f33'"
    )


def test_nothing_here_imports_pytorch_or_pytest(root: Path) -> None:
    import subprocess

    code = (
        "import sys; from pytest_upskill.cli import main; main(['kernel', 'check', 'scaling', '--prompt']); "
        "sys.exit(bool({'torch', 'pytest'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=False, cwd=root.parent, capture_output=True)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert find_spec("pytest") is not None
