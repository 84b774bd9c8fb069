"""`pytest-upskill doctor`: what it finds on this machine, and what it says where something is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pytest_upskill.cli import doctor, main
from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.data import Device
from pytest_upskill.kernels.devices import Seen, look
from pytest_upskill.kernels.sandbox import Level, LevelReport, reports
from pytest_upskill.kernels.toolchain import find_toolchain
from tests.kernels.emulated import build

SECTIONS = ["versions", "compiler", "sandbox", "torch", "gpu", "folders", "kernels"]
H100 = Device(0, "NVIDIA H100 80GB HBM3", "GPU-1", (9, 0), 80 * 2**30, 50 * 2**20, "13.0")


def compiles() -> bool:
    try:
        find_toolchain()
    except ScorerError:
        return False
    return any(report.works for report in reports())


def ask(**environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, with another environment."""
    return subprocess.run(
        [sys.executable, "-c", "from pytest_upskill.cli import main; raise SystemExit(main(['doctor']))"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def lines(part: list[doctor.Finding]) -> list[str]:
    """Return what is printed of some findings."""
    return list(doctor._lines(doctor.Diagnosis({"gpu": part})))[1:]


def findings(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = main(["doctor", "--json"])
    said = capsys.readouterr()
    assert said.err == ""
    data: dict[str, Any] = json.loads(said.out)
    return code, data


def test_all_that_was_looked_for_is_printed_within_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor"])
    printed = capsys.readouterr().out
    shown = printed.splitlines()
    assert code == (0 if compiles() else 1)
    assert [line for line in shown if not line.startswith(" ")] == SECTIONS
    assert printed.isascii()
    for line in shown:
        # A path is not broken, so that it can be copied.
        assert len(line) <= 80 or len(line.split()) <= 4
        assert not line.startswith("  ") or line[2:6] in ("ok  ", "--  ", "    ")
    if code == 0:
        assert any(line.startswith("  ok  nvcc             ") for line in shown)
        assert any(line.startswith("  ok  compile          nvcc ") for line in shown)


def test_the_json_has_a_finding_with_the_same_keys_for_each_thing(capsys: pytest.CaptureFixture[str]) -> None:
    code, data = findings(capsys)
    assert data.keys() == {"compiles", "sections"}
    assert data["compiles"] is (code == 0)
    assert list(data["sections"]) == SECTIONS
    for part in data["sections"].values():
        for found in part:
            assert found.keys() == {"name", "works", "says", "details"}
            assert isinstance(found["works"], bool)
            assert found["says"]
    names = {title: [found["name"] for found in part] for title, part in data["sections"].items()}
    assert names["versions"] == [
        "system", "python", "pytest", "pytest-upskill", "openai", "anthropic", "pytest-xdist",
    ]  # fmt: skip
    assert names["sandbox"] == ["bubblewrap", "landlock"]
    assert names["kernels"] == ["compile", "correct", "fast"]
    assert data["sections"]["compiler"][0]["details"].keys() == {"version", "path"}
    assert data["sections"]["torch"][0]["details"].keys() == {"version", "cuda"}


def test_a_compiler_without_its_host_compiler_is_told_and_ends_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not compiles():
        pytest.skip("nothing can be compiled here anyway")
    monkeypatch.setenv("NVCC_CCBIN", "no-such-compiler")
    code, data = findings(capsys)
    assert code == 1
    (nvcc,) = data["sections"]["compiler"]
    assert nvcc["works"] is False
    assert nvcc["says"].startswith("kernels cannot be compiled: ")
    assert "nvcc cannot be used: no-such-compiler: No such file or directory" in nvcc["says"]
    assert data["sections"]["kernels"][0]["says"] == "no compiler can be used"
    assert data["sections"]["kernels"][1]["says"].startswith("nothing can be compiled; ")


def test_on_a_machine_without_a_compiler_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "find_toolchain", partial(find_toolchain, {}, [], tmp_path))
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out.splitlines()
    at = shown.index("compiler")
    assert shown[at + 1 : at + 5] == [
        "  --  nvcc             kernels cannot be compiled: there is no nvcc on this",
        "                       machine. To compile them, install one with: pip install",
        "                       'pytest-upskill[cuda]', or install a CUDA toolkit and put",
        "                       its nvcc on PATH or set CUDA_HOME.",
    ]
    assert "  --  compile          no compiler can be used" in shown


def test_without_bubblewrap_on_the_path_the_next_level_counts(tmp_path: Path) -> None:
    done = ask(PATH=str(tmp_path))
    assert (
        "  --  bubblewrap       bwrap is not installed (apt, dnf and pacman know it as\n"
        "                       bubblewrap)\n"
    ) in done.stdout
    landlock = next(report for report in reports() if report.level == "landlock")
    assert done.stderr == ""
    if compiles() and landlock.works:
        assert done.returncode == 0
        assert "sandbox: landlock" in done.stdout


def test_without_any_sandbox_nothing_is_compiled_and_the_exit_code_is_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    none = [LevelReport("bubblewrap", works=False, why="bubblewrap needs Linux")]
    monkeypatch.setattr(doctor, "reports", lambda: none)
    if not compiles():
        pytest.skip("there is no compiler here")
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert "  --  bubblewrap       bubblewrap needs Linux" in shown
    at = shown.index("kernels")
    assert shown[at + 1 : at + 3] == [
        "  --  compile          no sandbox works; --upskill-unsafe does without one, at",
        "                       your own risk",
    ]


def test_torch_is_told_with_what_it_was_built_for_and_never_imported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package, known = tmp_path / "torch", tmp_path / "torch-9.8.7.dist-info"
    package.mkdir()
    known.mkdir()
    (known / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 9.8.7\n")
    (package / "__init__.py").write_text("raise RuntimeError('it was imported')\n")
    (package / "version.py").write_text("__version__ = '9.8.7'\ncuda: Optional[str] = '13.0'\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert doctor._torch().says == "9.8.7, built for CUDA 13.0"
    (package / "version.py").write_text("__version__ = '9.8.7'\ncuda: Optional[str] = None\n")
    assert doctor._torch().says == (
        "9.8.7, built for the CPU: it judges, and cannot be timed on a GPU (min_speedup)"
    )


def test_what_is_not_installed_comes_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_installed", lambda name: None)
    says = {found.name: found.says for found in [*doctor._versions(), doctor._torch()]}
    assert says["openai"] == "not installed: pip install 'pytest-upskill[openai]'"
    assert says["pytest-xdist"] == "not installed: pip install 'pytest-upskill[xdist]'"
    assert says["torch"] == (
        "not installed, and kernels are judged with it: pip install 'pytest-upskill[torch]'"
    )


def test_a_gpu_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "look", lambda boxes: Seen(boxes[0].level, (H100,)))
    assert lines(doctor._gpus()) == [
        "  ok  GPU 0            NVIDIA H100 80GB HBM3, compute capability 9.0, 80 GiB, L2",
        "                       50 MiB, driver 13.0",
    ]


@pytest.mark.parametrize(
    ("level", "words"),
    [
        ("landlock", "its driver does not work under bubblewrap, but under landlock"),
        ("none", "its driver does not work under bubblewrap, but with --upskill-unsafe alone"),
    ],
)
def test_a_level_in_which_the_driver_does_not_work_is_told(level: Level, words: str) -> None:
    assert doctor._gpu(H100, level, "bubblewrap").says.endswith(f", driver 13.0; {words}")


def test_a_driver_that_does_not_work_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(sandboxes: object) -> Seen:
        raise ScorerError("the CUDA devices of this machine cannot be told: CUDA_ERROR_UNKNOWN")

    monkeypatch.setattr(doctor, "look", broken)
    assert lines(doctor._gpus()) == [
        "  --  GPU              the CUDA devices of this machine cannot be told:",
        "                       CUDA_ERROR_UNKNOWN",
    ]


def test_an_emulated_device_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    if why := build.missing():
        pytest.skip(why)
    monkeypatch.setattr(doctor, "look", partial(look, driver=build.driver()))
    found = doctor._gpus()
    assert found
    assert all(not gpu.works and gpu.says.endswith("; it is emulated, and proves nothing") for gpu in found)


def test_how_far_kernels_come_is_said_with_what_is_lacking() -> None:
    def said(*, compiles: bool, gpu: bool, torch: bool, cuda: str | None) -> list[tuple[bool, str]]:
        trial, device = doctor.Finding("compile", compiles, ""), doctor.Finding("GPU 0", gpu, "")
        package = doctor.Finding("torch", torch, "", {"cuda": cuda})
        return [(found.works, found.says) for found in doctor._executing(trial, package, [device])]

    assert said(compiles=True, gpu=True, torch=True, cuda="13.0") == [
        (True, "kernels are executed and judged here"),
        (True, "kernels are timed here"),
    ]
    assert said(compiles=True, gpu=True, torch=True, cuda=None) == [
        (True, "kernels are executed and judged here"),
        (True, "torch is not built for CUDA, so only min_roofline can be asked"),
    ]
    assert (
        said(compiles=False, gpu=False, torch=False, cuda=None)
        == [(False, "nothing can be compiled; no GPU can be used; torch is missing")] * 2
    )


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert doctor._folder("locks", tmp_path / "file" / "locks").says == (
        f"{tmp_path}/file/locks cannot be written: see to the rights of {tmp_path}/file"
    )
    assert doctor._folder("locks", tmp_path / "new").says == f"{tmp_path}/new, made when needed"
    assert doctor._folder("locks", tmp_path).says == str(tmp_path)


def test_wrong_use_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--jason"])
    assert ended.value.code == 2
    assert "unrecognized arguments: --jason" in capsys.readouterr().err
