"""The judge's process: one job after another, never a hang, never a poisoned one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.data import Job
from pytest_upskill.kernels.judge import Judge, JudgePool
from tests.kernels.judge.jobs import job, rows_by_cols
from tests.waiting import until

pytest.importorskip("torch")


DOUBLE = "def reference(x):\n    return 2 * x\n"


@pytest.fixture(scope="module")
def pool() -> Iterator[JudgePool]:
    with JudgePool() as shared:
        yield shared


def double(reference: str = DOUBLE) -> Job:
    return job(reference, rows_by_cols("f32"))


def runs(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def pid_of(judge: Judge) -> int:
    process = judge._process
    assert process is not None
    return process.pid


def answer(judge: Judge, copy: int = 0, factor: float = 2) -> bytes:
    import torch

    from pytest_upskill.kernels.judge.tensors import to_bytes

    (block,) = judge.inputs(0, copy)
    return to_bytes(factor * torch.frombuffer(bytearray(block), dtype=torch.float32))


def message(reference: str, pool: JudgePool, limit: float = 60) -> str:
    with pytest.raises(ScorerError) as caught, Judge(double(reference), pool, limit=limit) as judge:
        judge.verdict(0, 0, [answer(judge)])
    return str(caught.value)


def test_right_and_wrong_outputs_are_told_apart(pool: JudgePool) -> None:
    with Judge(double(), pool) as judge:
        assert judge.verdict(0, 0, [answer(judge)]).hit
        assert not judge.verdict(0, 0, [answer(judge, factor=2.1)]).hit
        assert not judge.verdict(0, 0, [answer(judge, copy=1)]).hit
        assert judge.verdict(0, 1, [answer(judge, copy=1)]).hit


def test_a_process_serves_one_job_after_another(pool: JudgePool) -> None:
    with Judge(double(), pool) as judge:
        first = pid_of(judge)
    with Judge(double("def reference(x):\n    return 3 * x\n"), pool) as judge:
        assert pid_of(judge) == first
        assert judge.verdict(0, 0, [answer(judge, factor=3)]).hit


def test_a_process_in_which_a_reference_failed_is_not_used_again(pool: JudgePool) -> None:
    spoiled = "import torch\ntorch.set_default_dtype(torch.float16)\ndef reference(x):\n    return x[500]\n"
    with Judge(double(spoiled), pool) as judge:
        pid, out = pid_of(judge), answer(judge)
        with pytest.raises(ScorerError, match="IndexError"):
            judge.verdict(0, 0, [out])
    with Judge(double(), pool) as judge:
        assert pid_of(judge) != pid
        assert judge.verdict(0, 0, [answer(judge)]).hit


def test_a_process_that_dies_says_its_last_words(pool: JudgePool) -> None:
    text = "import os, sys\ndef reference(x):\n    print('no more', flush=True)\n    os._exit(7)\n"
    assert message(text, pool) == (
        "the judge ended with exit code 7 while it judged case on rows=24 cols=200 f32; its last words: no more"
    )


def test_a_process_that_is_killed_is_told(pool: JudgePool) -> None:
    text = "import os\ndef reference(x):\n    os.kill(os.getpid(), 9)\n"
    assert message(text, pool) == (
        "the judge was killed by signal 9 (Killed) while it judged case on rows=24 cols=200 f32"
    )


def test_a_reference_that_hangs_is_ended_with_what_it_started(pool: JudgePool, tmp_path: Path) -> None:
    text = (
        "import subprocess, time\n"
        "def reference(x):\n"
        "    child = subprocess.Popen(['sleep', '1000'])\n"
        f"    open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "    time.sleep(1000)\n"
    )
    assert message(text, pool, limit=1) == (
        "the judge took longer than 1 s while it judged case on rows=24 cols=200 f32; make what the reference file "
        "computes cheaper, or write 'def rows(inputs, index)' in it, so that of a large problem some rows are compared"
    )
    until(lambda: not runs(int((tmp_path / "pid").read_text())))


def test_what_a_reference_prints_is_no_answer(pool: JudgePool) -> None:
    loud = "    print('{\"hit\": true}')\n    os.write(1, b'x' * 100000)\n"
    text = f"import os\ndef reference(x):\n{loud}    return 2 * x\n"
    with Judge(double(text), pool) as judge:
        assert not judge.verdict(0, 0, [answer(judge, factor=1)]).hit
        assert judge.verdict(0, 0, [answer(judge)]).hit


def test_closing_the_pool_ends_what_is_being_judged() -> None:
    own = JudgePool()
    with Judge(double("import time\ndef reference(x):\n    time.sleep(1000)\n"), own) as judge:
        pid = pid_of(judge)
        out = answer(judge)
        threading.Timer(0.2, own.close).start()
        with pytest.raises(ScorerError) as caught:
            judge.verdict(0, 0, [out])
    assert str(caught.value) == "the judge was stopped while it judged case on rows=24 cols=200 f32"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with (
        pytest.raises(ScorerError, match=r"^the run is over: nothing can be judged any more$"),
        Judge(double(), own),
    ):
        pass


def test_a_closed_judge_says_so(pool: JudgePool) -> None:
    with Judge(double(), pool) as judge:
        pass
    judge.close()
    with pytest.raises(ScorerError, match=r"^the judge of case is closed: nothing can be judged any more$"):
        judge.inputs(0, 0)


def test_a_process_that_died_while_idle_is_replaced(pool: JudgePool) -> None:
    with Judge(double(), pool) as judge:
        process = judge._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process._child._child.wait(5)
    with Judge(double(), pool) as judge:
        assert pid_of(judge) != process.pid
        assert judge.verdict(0, 0, [answer(judge)]).hit


def test_threads_may_share_a_judge_and_a_pool(pool: JudgePool) -> None:
    hits: list[bool] = []

    def work(judge: Judge, copies: range) -> None:
        hits.extend(judge.verdict(0, copy, [answer(judge, copy)]).hit for copy in copies)

    with Judge(double(), pool) as one, Judge(double(), pool) as other:
        judges = (one, other, one, other)
        threads = [
            threading.Thread(target=work, args=(judge, range(10 * number, 10 * number + 10)))
            for number, judge in enumerate(judges)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert hits == [True] * 40


def test_without_pytorch_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\")\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ScorerError) as caught, Judge(double()):
        pass
    assert str(caught.value) == (
        "kernels are judged with PyTorch on the CPU, which cannot be imported here (No module named 'torch'): install "
        "it with 'pip install torch'"
    )


def test_a_process_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit('the library is broken')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ScorerError) as caught, Judge(double()):
        pass
    assert str(caught.value) == (
        "the judge ended with exit code 1 while it started; its last words: the library is broken"
    )


def test_it_sees_neither_secrets_nor_a_device_nor_warning_filters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "s3cret")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    text = (
        "import os, warnings\n"
        "warnings.warn('x', DeprecationWarning)\n"
        "assert not [name for name, value in os.environ.items() if value == 's3cret']\n"
        "assert os.environ['CUDA_VISIBLE_DEVICES'] == ''\n" + DOUBLE
    )
    with Judge(double(text)) as judge:
        pid = pid_of(judge)
        assert judge.verdict(0, 0, [answer(judge)]).hit
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_outputs_of_a_wrong_size_are_an_error_of_ours(pool: JudgePool) -> None:
    with Judge(double(), pool) as judge, pytest.raises(ScorerError) as caught:
        judge.verdict(0, 0, [b"1234"])
    assert str(caught.value) == (
        "the outputs on rows=24 cols=200 f32 are blocks of [4] bytes where the signature makes them [19200]"
    )


def test_no_process_is_left_once_the_parent_is_gone() -> None:
    """And its parent has imported neither PyTorch nor asyncio to wait for it."""
    script = (
        "import os, sys\n"
        "from pytest_upskill.kernels.judge import JudgePool\n"
        "assert not {'torch', 'asyncio'} & set(sys.modules)\n"
        "print(JudgePool().take().pid, flush=True)\n"
        "assert 'torch' not in sys.modules\n"
        "os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    until(lambda: not runs(int(done.stdout)))
