"""Cases that ask for a kernel, in runs: compiled without a GPU, executed where a plugin has one, gated like others."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from junitparser.xunit2 import JUnitXml

from pytest_upskill.reports.results import schema
from tests.kernels.compiling import needs_compiler
from tests.session.conftest import QUIET, Project
from tests.session.test_reports_of_runs import properties

Run = Callable[..., pytest.RunResult]
ROOT = Path(__file__).parent.parent.parent
CONFTEST = '''
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from pytest_upskill import Reply, Usage

HERE = Path(__file__).parent


class Author:
    """Writes what lies in the two files, with and without the skill."""

    version = "1"
    deterministic = True

    def __init__(self, model): ...

    async def open(self): ...

    async def complete(self, request, timeout):
        with open(os.environ["CALLS_LOG"], "a") as log:
            log.write(request.messages[0].content.replace("\\n", " ") + "\\n")
        name = "with.md" if "<skill" in request.system else "without.md"
        return Reply((HERE / name).read_text(), model="author-1", usage=Usage(10, 5), stop_reason="stop")

    async def close(self): ...


def pytest_upskill_providers(register):
    register("author", Author)


class Emulated(ThreadPoolExecutor):
    """A machine whose device is a pretended one."""

    def submit(self, execute, job):
        from tests.kernels.emulated import build

        code = (HERE / "with.md").read_text().split("```")[1].partition("\\n")[2]
        images = {dtype: build.image(code, dtype, job.entry) for dtype in job.cubins}
        return super().submit(execute, replace(job, cubins=images, arch="sm_90a"), driver=build.driver())


def pytest_upskill_kernel_executors(register):
    register("emulated", lambda: Emulated(1))
'''
RIGHT = """Here it is.

```cuda
// launch: grid=(ceil_div(n, 256)) block=(256)
extern "C" __global__ void scale(const T* x, T* y, int n, float by) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = static_cast<T>(static_cast<float>(x[i]) * by);
}
```
"""
BROKEN = RIGHT.replace("int i =", "int j =")
KERNEL: dict[str, Any] = {
    "signature": "scale(x:T[n], out y:T[n], n:i32, by:f32=2.5)",
    "reference": "evals/scale.py",
    "shapes": ["n=1000"],
    "dtypes": ["f32"],
}


@pytest.fixture(scope="module", autouse=True)
def _compiler() -> None:
    needs_compiler()


@pytest.fixture
def kernels(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project with a skill of one kernel case; `write` changes what the case asks."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (project.path / "conftest.py").write_text(CONFTEST)
    (project.path / "with.md").write_text(RIGHT)
    (project.path / "without.md").write_text(BROKEN)
    root = project.skill("scaling", cases=0)
    (root / "evals").mkdir()
    (root / "evals" / "scale.py").write_text("def reference(x, by):\n    return x * by\n")
    return write(project)


def write(project: Project, **asked: Any) -> Project:
    root = project.path / "skills" / "scaling"
    case = {"id": "scale", "input": "Write a kernel that scales.", "expected": {"kernel": KERNEL | asked}}
    (root / "skill_meta.json").write_text(json.dumps({"cases": [case]}))
    return project


def stages(project: Project) -> dict[str, dict[str, str]]:
    """Return the outcomes of the stages by arm."""
    samples = project.results()["samples"]
    return {one["arm"]: {stage["name"]: stage["outcome"] for stage in one["stages"]} for one in samples}


def test_without_a_gpu_kernels_are_compiled_and_the_rates_are_a_table_of_their_own(
    kernels: Project, run: Run
) -> None:
    result = run("--upskill-report=report", "--junit-xml=junit.xml", "-rs", models="author:one")
    result.assert_outcomes(skipped=2, passed=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "kernels of  model       stage    without  with",
            "scaling     author-one  compile      0/1   1/1",
            "scaling     author-one  facts        0/1   1/1",
            "*2 samples skipped: no CUDA device here: kernels are",
            "  compiled and not executed",
            "kernels were drawn by --upskill-kernel-seed=*",
            "SKIPPED*no CUDA device here: kernels are compiled and not executed",
        ]
    )
    results = kernels.results()
    jsonschema.validate(results, schema())
    assert stages(kernels)["without_skill"] == {
        "extract": "passed",
        "compile": "missed",
        "facts": "skipped",
    }
    assert len(results["run"]["kernel_seed"]) == 32
    (suite,) = JUnitXml.fromfile(str(kernels.path / "junit.xml"))
    found = {case.name: properties(case) for case in suite}
    assert found["scale[author-one-with_skill-run1]"]["upskill.stage.compile"] == "passed"
    assert found["scale[author-one-without_skill-run1]"]["upskill.stage.compile"] == "missed"


def test_a_case_that_asks_to_compile_is_measured_everywhere(kernels: Project, run: Run) -> None:
    write(kernels, require="compile")
    result = run("--upskill-report=report", models="author:one")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["scaling*author-one*0%*100%*+100*helps", "scaling*compile      0/1   1/1"])
    (with_, without) = sorted(kernels.results()["samples"], key=lambda sample: sample["arm"])
    assert (with_["hit"], without["hit"]) == (True, False)
    assert without["scores"][0]["evidence"].startswith('compile: line 4: identifier "i" is undefined')
    assert "nvcc " in with_["stages"][1]["evidence"]
    assert "sandbox: " in with_["stages"][1]["evidence"]


def test_the_prompt_of_every_arm_has_the_declaration_and_the_form_of_the_launch(
    kernels: Project, run: Run
) -> None:
    run(models="author:one")
    asked = kernels.calls
    assert len(asked) == 2
    assert asked[0] == asked[1]
    assert 'extern "C" __global__ void scale(const T* x, T* y, int n, float by)' in asked[0]
    assert "// launch: grid=" in asked[0]


def test_what_is_executed_on_a_pretended_device_counts_for_nothing(kernels: Project, run: Run) -> None:
    if find_spec("torch") is None:
        pytest.skip("the judge needs torch")
    if why := _not_emulated():
        pytest.skip(why)
    (kernels.path / "without.md").write_text(RIGHT)
    result = run("--upskill-report=report", "--upskill-kernel-executor=emulated", "-rs", models="author:one")
    result.assert_outcomes(skipped=2, passed=1)
    result.stdout.fnmatch_lines(["*executed on an emulated device, which proves nothing*"])
    result.stdout.no_fnmatch_line("scaling*robust*")
    found = kernels.results()["samples"][0]["stages"]
    assert [(stage["name"], stage["outcome"]) for stage in found[3:]] == [
        ("load", "skipped"),
        ("correct", "skipped"),
        ("robust", "skipped"),
    ]
    assert all(
        stage["evidence"].startswith("emulated, which proves nothing: passed: ") for stage in found[3:]
    )


def _not_emulated() -> str | None:
    from tests.kernels.emulated import build

    return build.missing()


@pytest.mark.parametrize(("asked", "marked"), [("compile", 0), ("correct", 2), ("fast", 2)])
def test_only_what_is_to_be_executed_has_the_marker(kernels: Project, asked: str, marked: int) -> None:
    write(kernels, require=asked, gates={"min_speedup": 1.2} if asked == "fast" else {})
    result = kernels.run("--collect-only", "-q", "-m", "gpu", models="author:one")
    assert sum("scale[" in line for line in result.outlines) == marked


def test_a_second_run_calls_nobody_and_compiles_nothing(kernels: Project) -> None:
    write(kernels, require="compile")
    # What does not compile is asked again: a verdict is never kept.
    (kernels.path / "without.md").write_text("There is no kernel here.\n")
    kernels.run(models="author:one").assert_outcomes(passed=3)
    made = [path for path in (kernels.path / ".upskill" / "kernels").rglob("*") if path.is_file()]
    times = {path: path.stat().st_mtime_ns for path in made if "locks" not in path.parts}
    assert times
    kernels.forget_calls()
    kernels.run(models="author:one").assert_outcomes(passed=3)
    assert kernels.calls == []
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_beyond_linux_kernels_do_not_apply(kernels: Project) -> None:
    write(kernels, require="compile")
    with (kernels.path / "conftest.py").open("a") as conftest:
        conftest.write("\nimport pytest_upskill.kernels.scorer as scorer\nscorer.PLATFORM = 'darwin'\n")
    result = kernels.run("-rs", models="author:one")
    result.assert_outcomes(skipped=2, passed=1)
    result.stdout.fnmatch_lines(["SKIPPED*kernels are compiled and executed on Linux alone"])
    assert kernels.calls == []


def test_an_executor_that_nobody_registers_is_refused_with_those_there_are(
    kernels: Project, run: Run
) -> None:
    result = run("--upskill-kernel-executor=emulatet", models="author:one")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([
        "*--upskill-kernel-executor: no plugin registers an executor called 'emulatet' (did you mean 'emulated'?); "
        "there are: emulated, local"
    ])  # fmt: skip


def test_a_mistake_in_the_case_is_a_collection_error_with_its_line(kernels: Project) -> None:
    write(kernels, signature="scale(x:T[n], out y:T[n], n:i33)")
    result = kernels.run(models="author:one")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([
        "skills/scaling/skill_meta.json:1: cases[[]0].expected.kernel: kernel: signature: the parameter n has the "
        "unknown type 'i33' (did you mean 'i32'?)"
    ])  # fmt: skip


PEEPING = """
import json, os
from pathlib import Path


def reference(x, by):
    Path({seen!r}).write_text(json.dumps(dict(os.environ)))
    return x * by
"""


def test_no_key_reaches_the_process_of_the_reference(
    kernels: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec("torch") is None:
        pytest.skip("the judge needs torch")
    if why := _not_emulated():
        pytest.skip(why)
    seen = kernels.path / "seen.json"
    monkeypatch.setenv("ODDLY_NAMED", "canary-1")
    monkeypatch.setenv("SOME_API_KEY", "canary-2")
    (kernels.path / "upskill.yaml").write_text(
        "models:\n  author: {provider: author, model: one, api_key_env: ODDLY_NAMED}\n"
    )
    (kernels.path / "skills" / "scaling" / "evals" / "scale.py").write_text(PEEPING.format(seen=str(seen)))
    kernels.run("--upskill-kernel-executor=emulated", models="author")
    assert "PATH" in json.loads(seen.read_text())
    assert "canary" not in seen.read_text()


SLOW = """
```cuda
template <long long A, int N> struct Wide {
  static const long long value = Wide<2 * A, N - 1>::value + Wide<2 * A + 1, N - 1>::value;
};
template <long long A> struct Wide<A, 0> { static const long long value = A; };
// launch: grid=(1) block=(32)
extern "C" __global__ void scale(const T* x, T* y, int n, float by) { y[0] = Wide<1, 24>::value; }
```
"""


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_an_interrupt_in_the_midst_of_a_compilation_ends_the_run(kernels: Project, workers: str) -> None:
    for name in ("with.md", "without.md"):
        (kernels.path / name).write_text(SLOW)
    command = [sys.executable, "-m", "pytest", *QUIET, workers, "--upskill-models=author:one"]
    with subprocess.Popen(command, cwd=kernels.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
        try:
            # The lock is taken by whoever is about to compile.
            locks = kernels.path / ".upskill" / "kernels" / "locks"
            while not (locks.is_dir() and any(locks.iterdir())):
                assert run.poll() is None, run.stdout and run.stdout.read()
                time.sleep(0.05)
            time.sleep(0.5)
            run.send_signal(signal.SIGINT)
            run.wait(30)
        finally:
            run.kill()
    assert run.returncode == pytest.ExitCode.INTERRUPTED
