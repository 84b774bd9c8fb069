"""The check for a machine with a GPU, as far as it can be tried without one."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu_check, gpu_timings
from benchmarks.gpu_common import Part, Place, data_of, judged, open_bench
from pytest_upskill.kernels.data import Device, Tensor
from pytest_upskill.kernels.devices import devices
from pytest_upskill.kernels.sandbox import reports, sandboxes

NO_COMPILER = "kernels cannot be compiled: there is no nvcc on this machine."
FORMATS = {"f16": "e", "f32": "f", "f64": "d"}


@pytest.fixture(scope="module")
def no_gpu(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where the check would have more to do than to say that there is nothing to do."""
    if not any(report.works for report in reports()):
        pytest.skip("no level of the sandbox works here")
    bench = open_bench(tmp_path_factory.mktemp("bench"))
    if isinstance(bench, str):
        pytest.skip(bench)
    bench.close()
    with sandboxes(unsafe=False)[0] as sandbox:
        if devices(sandbox):
            pytest.skip("there is a GPU")


def written(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_every_part_says_so_and_facts_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu_check.main(["--json", str(tmp_path / "found.json")]) == 2
    text = capsys.readouterr().out
    for part in ("zoo", "timings", "ceilings", "sandbox"):
        assert f"== {part}\n    not checked: there is no CUDA device here\n   impossible in " in text
    assert text.endswith("facts, zoo, timings, ceilings, sandbox: could not be checked\n")
    found = written(tmp_path / "found.json")
    assert found["version"] == 1
    assert [part["name"] for part in found["parts"]] == list(gpu_check.PARTS)
    assert {part["outcome"] for part in found["parts"]} == {"impossible"}
    assert found["parts"][0]["figures"]["devices"] == []
    assert found["parts"][0]["figures"]["compiler"].startswith("nvcc ")


def test_without_a_compiler_every_part_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_check, "open_bench", lambda folder: NO_COMPILER)
    assert gpu_check.main(["--parts", "facts,ceilings"]) == 2
    text = capsys.readouterr().out
    assert f"    {NO_COMPILER}\n   impossible" in text
    assert f"== ceilings\n    not checked: {NO_COMPILER}\n" in text


@pytest.mark.parametrize(
    ("outcomes", "code", "summary"),
    [
        (("passed", "passed"), 0, "zoo, timings: passed"),
        (("failed", "impossible"), 1, "zoo: failed; timings: could not be checked"),
        (("impossible", "passed"), 2, "zoo: could not be checked; timings: passed"),
    ],
)
def test_the_exit_code_is_that_of_the_worst_part(
    outcomes: tuple[Any, Any],
    code: int,
    summary: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    parts = iter(outcomes)
    monkeypatch.setattr(gpu_check, "open_bench", lambda folder: NO_COMPILER)
    monkeypatch.setattr(gpu_check, "_checked", lambda name, *rest: Part(name, next(parts), ("done",)))
    assert gpu_check.main(["--parts", "zoo,timings"]) == code
    assert capsys.readouterr().out.endswith(f"{summary}\n")


def test_a_part_that_breaks_fails_and_does_not_hide_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Bench:
        devices = (Device(0, "NVIDIA H100", "GPU-check", (9, 0), 80 * 2**30, 50 * 2**20, "13.0"),)

        def close(self) -> None: ...

    def breaks(place: Place) -> Part:
        raise LookupError(f"no such thing on {place.arch}")

    checks = {
        **gpu_check.CHECKS,
        "zoo": breaks,
        "sandbox": lambda place: judged("sandbox", 0, ["ok  it works"], {}),
    }
    monkeypatch.setattr(gpu_check, "open_bench", lambda folder: Bench())
    monkeypatch.setattr(gpu_check, "CHECKS", checks)
    assert gpu_check.main(["--parts", "zoo,sandbox"]) == 1
    text = capsys.readouterr().out
    assert "== zoo\nBAD LookupError: no such thing on sm_90a\n   failed in " in text
    assert "== sandbox\nok  it works\n   passed in " in text


def test_an_unknown_part_is_refused_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        gpu_check.main(["--parts", "facts,zoom"])
    assert ended.value.code == 2
    assert (
        "there is no part 'zoom'; there are facts, zoo, timings, ceilings, sandbox\n"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "is_near"),
    [
        (1.029, 1.0, True),
        (0.971, 1.0, True),
        (1.031, 1.0, False),
        (0.006, 0.004, True),
        (0.0061, 0.004, False),
    ],
)
def test_times_are_near_within_3_percent_or_2_microseconds(ours: float, theirs: float, is_near: bool) -> None:
    assert gpu_timings.near(ours, theirs) is is_near


@pytest.mark.parametrize("l2", [2**22, 50 * 2**20, 128 * 2**20])
def test_what_is_timed_does_not_fit_in_the_cache(l2: int) -> None:
    sizes = gpu_timings._sizes(l2)
    for name in ("rmsnorm", "softmax"):
        assert sizes[name]["rows"] * sizes[name]["cols"] * 2 >= 4 * l2
    product = sizes["matmul"]
    assert 3 * product["m"] * product["k"] * 2 >= 2 * l2


@pytest.mark.parametrize("dtype", ["f16", "f32", "f64", "bf16"])
def test_the_numbers_that_kernels_are_timed_on_are_usual_ones(dtype: str) -> None:
    tensor = Tensor("x", "in", dtype, (1000,))
    data = data_of(tensor)
    assert len(data) == tensor.nbytes
    if dtype == "bf16":
        data = b"".join(b"\0\0" + data[at : at + 2] for at in range(0, len(data), 2))
    numbers = struct.unpack(f"<1000{FORMATS.get(dtype, 'f')}", data)
    assert all(math.isfinite(number) and 0 < abs(number) < 4 for number in numbers)
    assert len({number > 0 for number in numbers}) == 2
    assert len(set(numbers)) > 50


def test_whole_numbers_are_whatever_bytes_there_are() -> None:
    tensor = Tensor("n", "in", "i32", (2**19,))
    assert len(data_of(tensor)) == 2**21
    assert data_of(tensor) == data_of(replace(tensor, name="m")) != data_of(tensor, seed=2)
