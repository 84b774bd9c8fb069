"""The launcher: arguments, guards, poison, and a kernel that misbehaves."""

from __future__ import annotations

import json
import math
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_upskill.kernels.data import C_TYPES, SIZES, Argument, Device, Launch, Scalar, Tensor
from pytest_upskill.kernels.launcher import Call, Called, Fault, Launcher
from tests.kernels.emulated import build
from tests.kernels.emulated.machine import Machine, floats, machine, needs, values
from tests.kernels.emulated.plain import PlainSandbox, PlainStarted

ACT = (build.HERE / "act.cu").read_text(encoding="utf-8")
WHAT = [name.strip() for name in ACT.split("{", 1)[1].split("}", 1)[0].split(",")]
N = 64
INPUT = [float(number) for number in range(N)]


@pytest.fixture(scope="module")
def here() -> Iterator[Machine]:
    with machine() as found:
        yield found


@pytest.fixture(scope="module")
def image() -> bytes:
    needs()
    return build.image(ACT, "", "act")


@pytest.fixture(scope="module")
def launcher(here: Machine, image: bytes) -> Iterator[Launcher]:
    """One launcher for all that does no harm to it."""
    with here.launcher() as shared:
        ready(shared, image)
        yield shared


@pytest.fixture
def own(image: bytes) -> Iterator[Launcher]:
    """A launcher on a device of its own, for what brings it down."""
    with machine("ff" * 16) as other, other.launcher() as own:
        ready(own, image)
        yield own


def ready(launcher: Launcher, image: bytes) -> None:
    launcher.load(image, "act")
    launcher.put(1, [floats(*INPUT)])


def act(what: str, *, shared: int = 4 * N, threads: int = N, **options: Any) -> Call:
    arguments: tuple[Argument, ...] = (
        Tensor("x", "in", "f32", (N,)),
        Tensor("y", "out", "f32", (N,)),
        Tensor("spare", "workspace", "u8", (100,)),
        Scalar("what", "i32", WHAT.index(what)),
        Scalar("n", "i32", N),
    )
    return Call(arguments, Launch((1, 1, 1), (threads, 1, 1), shared), 1, **options)


def test_a_kernel_gets_its_inputs_and_its_outputs_come_back(launcher: Launcher) -> None:
    called = launcher.call(act("COPY"))
    assert list(values(called.outputs[0])) == INPUT
    assert (called.broken_guards, called.changed_inputs) == ((), ())
    assert called.milliseconds > 0


def test_a_timed_call_gives_the_same_and_outputs_come_only_where_they_are_kept(launcher: Launcher) -> None:
    called = launcher.call(act("COPY", flush=True, keep=False))
    assert called.outputs == []
    assert launcher.call(act("COPY", flush=True)).outputs == launcher.call(act("COPY")).outputs


def test_what_the_driver_says_of_a_kernel_is_told(launcher: Launcher, image: bytes) -> None:
    loaded = launcher.load(image, "act")
    assert (loaded.registers, loaded.threads) == (32, 1024)


@pytest.mark.parametrize("dtype", sorted(SIZES))
def test_numbers_and_tensors_of_every_type_arrive(here: Machine, launcher: Launcher, dtype: str) -> None:
    kind = C_TYPES[dtype]
    source = f"""
        extern "C" __global__ void keep(const {kind}* x, char pad, {kind} a, {kind}* y, double check, {kind} b) {{
            y[0] = a, y[1] = b, y[2] = x[0], y[3] = check == 0.125 && pad == 7 ? x[1] : x[0];
        }}"""
    number = launcher.load(build.image(source, "", "keep"), "keep")
    a, b = (-1.5, 0.375) if dtype in "f64 f32 f16 bf16" else _ends(dtype)
    data = os.urandom(2 * SIZES[dtype])
    launcher.put(2, [data])
    arguments: tuple[Argument, ...] = (
        Tensor("x", "in", dtype, (2,)),
        Scalar("pad", "i8", 7),
        Scalar("a", dtype, a),
        Tensor("y", "out", dtype, (4,)),
        Scalar("check", "f64", 0.125),
        Scalar("b", dtype, b),
    )
    called = launcher.call(Call(arguments, Launch((1, 1, 1), (1, 1, 1)), 2, kernel=number))
    assert called.outputs[0] == _written(dtype, a) + _written(dtype, b) + data
    launcher.load(build.image(ACT, "", "act"), "act")


def _ends(dtype: str) -> tuple[int, int]:
    bits = 8 * SIZES[dtype]
    return (0, 2**bits - 1) if dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _written(dtype: str, value: float) -> bytes:
    import struct

    if dtype == "bf16":
        return struct.pack("<f", value)[2:]
    codes = {"f64": "d", "f32": "f", "f16": "e", "i64": "q", "i32": "i", "i16": "h", "i8": "b"}
    code = codes.get(dtype) or codes[dtype.replace("u", "i")].upper()
    return struct.pack(f"<{code}", value)


def test_a_number_that_does_not_fit_its_type_is_refused(launcher: Launcher) -> None:
    call = act("COPY")
    wrong = Call((*call.arguments[:4], Scalar("n", "i32", 2**31)), call.launch, 1)
    with pytest.raises(Fault) as caught:
        launcher.call(wrong)
    assert str(caught.value) == "refused: ValueError: 2147483648 does not fit in i32"
    assert not caught.value.sticky
    assert not caught.value.of_kernel


def test_inputs_of_the_wrong_size_are_refused(launcher: Launcher) -> None:
    launcher.put(3, [b"1234"])
    call = act("COPY")
    with pytest.raises(Fault, match=r"refused: ValueError: the inputs have \[4\] bytes, the tensors \[256\]"):
        launcher.call(Call(call.arguments, call.launch, 3))


def test_inputs_that_were_dropped_are_gone(launcher: Launcher) -> None:
    launcher.put(4, [floats(*INPUT)])
    call = act("COPY")
    launcher.drop(4)
    with pytest.raises(Fault, match="refused: KeyError: 4"):
        launcher.call(Call(call.arguments, call.launch, 4))


@pytest.mark.parametrize(("misaligned", "rest"), [(False, 0), (True, 4)])
def test_buffers_lie_on_a_boundary_or_one_element_past_it(
    launcher: Launcher, misaligned: bool, rest: int
) -> None:
    x, y, spare, _ = values(launcher.call(act("PLACES", misaligned=misaligned)).outputs[0])[:4]
    assert (x, y, spare) == (rest, rest, 0)


def test_no_two_calls_have_their_buffers_at_the_same_place(launcher: Launcher) -> None:
    places = {values(launcher.call(act("PLACES")).outputs[0])[3] for _ in range(8)}
    assert len(places) > 1


@pytest.mark.parametrize("misaligned", [False, True])
@pytest.mark.parametrize(
    ("what", "words"),
    [
        # A byte that was written may be the one that was there.
        ("AFTER_END", "(right|1 byte|[23] bytes) past the end of y"),
        ("BEFORE_START", "(right|1 byte|[23] bytes) before the start of y"),
        ("FAR_BEYOND", r"\d+ bytes past the end of spare"),
    ],
)
def test_one_element_outside_of_a_buffer_is_found(
    launcher: Launcher, what: str, words: str, misaligned: bool
) -> None:
    (broken,) = launcher.call(act(what, misaligned=misaligned)).broken_guards
    assert re.fullmatch(words, broken)


def test_an_input_that_was_changed_is_named_where_it_is_asked_for(launcher: Launcher) -> None:
    assert launcher.call(act("CHANGE_INPUT")).changed_inputs == ("x",)
    assert launcher.call(act("CHANGE_INPUT", check=False)).changed_inputs == ()
    assert launcher.call(act("COPY")).changed_inputs == ()


def test_an_output_that_nobody_wrote_is_no_number(launcher: Launcher) -> None:
    assert all(math.isnan(value) for value in values(launcher.call(act("NOTHING")).outputs[0]))
    last = values(launcher.call(act("LEAVE_OUT_LAST")).outputs[0])
    assert list(last[:-1]) == INPUT[:-1]
    assert math.isnan(last[-1])


def test_outputs_of_whole_numbers_are_poisoned_with_another_byte_each_time(launcher: Launcher) -> None:
    call = act("NOTHING")
    poisoned = Call((call.arguments[0], Tensor("y", "out", "i32", (N,)), *call.arguments[2:]), call.launch, 1)
    seen = [launcher.call(poisoned).outputs[0] for _ in range(6)]
    assert all(len(set(output)) == 1 and output[0] not in (0, 1, 255) for output in seen)
    assert len(set(seen)) > 1


def test_an_output_may_begin_as_zeros_and_an_inout_as_its_input(launcher: Launcher) -> None:
    call = act("NOTHING")
    roles = (Tensor("x", "inout", "f32", (N,)), Tensor("y", "out zero", "f32", (N,)), *call.arguments[2:])
    first, second = launcher.call(Call(roles, call.launch, 1)).outputs
    assert list(values(first)) == INPUT
    assert second == bytes(4 * N)


def test_a_workspace_is_never_as_good_as_zeroed_whatever_it_is_taken_for(launcher: Launcher) -> None:
    assert all(values(launcher.call(act("WORKSPACE")).outputs[0])[0] <= -2 for _ in range(40))


def test_nothing_of_an_earlier_call_is_left_for_a_later_one(launcher: Launcher) -> None:
    launcher.put(5, [floats(*[1234.5] * N)])
    call = act("COPY")
    assert values(launcher.call(Call(call.arguments, call.launch, 5)).outputs[0])[0] == 1234.5
    assert values(launcher.call(act("LOOK_AROUND")).outputs[0])[0] == 0
    assert [values(launcher.call(act("COUNT")).outputs[0])[0] for _ in range(3)] == [1, 1, 1]


def test_shared_memory_is_as_large_as_it_was_asked_for(launcher: Launcher) -> None:
    assert list(values(launcher.call(act("REVERSE")).outputs[0])) == INPUT[::-1]
    large = launcher.call(act("REVERSE", shared=200 * 1024))
    assert list(values(large.outputs[0])) == INPUT[::-1]


def test_what_a_kernel_prints_reaches_nobody(launcher: Launcher, here: Machine) -> None:
    assert list(values(launcher.call(act("PRINT")).outputs[0])) == INPUT
    assert list(values(launcher.call(act("COPY")).outputs[0])) == INPUT


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (act("COPY", threads=1025), "CUDA_ERROR_INVALID_VALUE: invalid argument (cuLaunchKernel)"),
        (act("COPY", threads=0), "CUDA_ERROR_INVALID_VALUE: invalid argument (cuLaunchKernel)"),
        (act("COPY", shared=233 * 1024), "CUDA_ERROR_INVALID_VALUE: invalid argument (cuFuncSetAttribute)"),
    ],
)
def test_a_launch_that_no_device_can_do_is_the_kernels_fault_and_not_the_end(
    launcher: Launcher, call: Call, words: str
) -> None:
    with pytest.raises(Fault) as caught:
        launcher.call(call)
    assert str(caught.value) == words
    assert caught.value.of_kernel
    assert not caught.value.sticky
    assert list(values(launcher.call(act("COPY")).outputs[0])) == INPUT


def test_what_is_no_image_is_refused(launcher: Launcher) -> None:
    with pytest.raises(Fault) as caught:
        launcher.load(b"garbage" * 100, "act")
    assert str(caught.value) == "CUDA_ERROR_INVALID_IMAGE: device kernel image is invalid (cuModuleLoadData)"
    assert caught.value.of_kernel


def test_an_entry_that_is_not_there_is_refused(launcher: Launcher, image: bytes) -> None:
    with pytest.raises(Fault) as caught:
        launcher.load(image, "other")
    assert str(caught.value) == "CUDA_ERROR_NOT_FOUND: named symbol not found (cuModuleGetFunction)"
    assert not caught.value.sticky


def test_too_large_a_buffer_is_not_the_kernels_fault(launcher: Launcher) -> None:
    call = act("COPY")
    huge = (*call.arguments[:2], Tensor("spare", "workspace", "u8", (2**31,)), *call.arguments[3:])
    with pytest.raises(Fault) as caught:
        launcher.call(Call(huge, call.launch, 1))
    assert str(caught.value) == "CUDA_ERROR_OUT_OF_MEMORY: out of memory (cuMemAlloc_v2)"
    assert not caught.value.of_kernel


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (
            "NULL_POINTER",
            "CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered (cuCtxSynchronize)",
        ),
        ("TRAP", "CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure (cuCtxSynchronize)"),
        ("DIVERGE", "CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure (cuCtxSynchronize)"),
        ("ASSERT", "CUDA_ERROR_ASSERT: device-side assert triggered (cuCtxSynchronize)"),
        (
            "SHARED_BEYOND",
            "CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered (cuCtxSynchronize)",
        ),
        ("ABORT", "ended: the launcher was ended by SIGABRT"),
    ],
)
def test_a_kernel_that_fails_takes_its_launcher_with_it(own: Launcher, what: str, words: str) -> None:
    for again in (words, "ended: the launcher was ended before"):
        with pytest.raises(Fault) as caught:
            own.call(act(what))
        assert str(caught.value) == again
        assert caught.value.sticky
        assert caught.value.of_kernel == (again == words)


def test_a_kernel_that_never_ends_is_killed(here: Machine, image: bytes) -> None:
    with machine("ff" * 16) as other:
        with other.launcher(limit=0.5) as launcher:
            ready(launcher, image)
            with pytest.raises(Fault) as caught:
                launcher.call(act("FOR_EVER"))
        assert str(caught.value) == "timeout: no answer within 0.5 s"
        assert (caught.value.sticky, caught.value.of_kernel) == (True, True)
        assert not alive(other.plain.started[-1].pid)


def test_a_launcher_that_is_killed_in_a_call_is_a_fault(here: Machine, image: bytes) -> None:
    with machine("ff" * 16) as other, other.launcher() as launcher:
        ready(launcher, image)
        killer = threading.Timer(0.3, other.plain.started[-1].kill)
        killer.start()
        with pytest.raises(Fault, match="ended: the launcher was ended by SIGKILL"):
            launcher.call(act("FOR_EVER"))
        killer.join()


def test_a_launcher_sees_the_end_of_its_parent_also_in_a_kernel_that_never_ends(
    here: Machine, image: bytes
) -> None:
    with machine("ff" * 16) as other, other.launcher() as launcher:
        ready(launcher, image)
        process = launcher._process
        assert process is not None
        call = threading.Thread(target=_fails, args=(launcher, act("FOR_EVER")))
        call.start()
        time.sleep(0.2)
        # As the kernel does it when the parent dies.
        process._socket.shutdown(socket.SHUT_WR)
        assert other.plain.started[-1].wait(10).code == 0
        call.join(10)


def test_a_launcher_has_nothing_of_its_parents_but_its_socket(here: Machine, image: bytes) -> None:
    with Path(__file__).open("rb") as secret, machine("ff" * 16) as other:
        os.set_inheritable(secret.fileno(), True)
        with other.launcher() as launcher:
            ready(launcher, image)
            folder = Path(f"/proc/{other.plain.started[-1].pid}")
            open_files = {file.name: str(file.readlink()) for file in (folder / "fd").iterdir()}
            environment = (folder / "environ").read_bytes().split(b"\0")
    assert [open_files[number] for number in "012"] == ["/dev/null"] * 3
    others = sorted(target.split(":")[0] for name, target in open_files.items() if name not in "012")
    # The pretended device itself is the one file, and its driver listens on a socket of its own.
    # It keeps the folder of its own threads open.
    own = f"/proc/{folder.name}/task"
    assert others == sorted([own, str(other.driver.parent / "uuid"), "socket", "socket"])
    assert {variable.split(b"=")[0] for variable in environment if variable} <= {
        b"PATH",
        b"LC_CTYPE",
        b"LD_LIBRARY_PATH",
        b"CUDA_MODULE_LOADING",
        b"CUDA_CACHE_DISABLE",
        b"CUDA_DISABLE_PTX_JIT",
        b"CUDA_VISIBLE_DEVICES",
        b"CUDA_DEVICE_ORDER",
        b"NVIDIA_VISIBLE_DEVICES",
    }


def _fails(launcher: Launcher, call: Call) -> None:
    with pytest.raises(Fault):
        launcher.call(call)


class Liar(PlainSandbox):
    """A sandbox in which something else than the launcher is started."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self._code = code

    def start(self, command: Sequence[str], **options: Any) -> PlainStarted:
        number = options["pass_fds"][0]
        return super().start([sys.executable, "-I", "-S", "-c", f"fd = {number}\n{self._code}"], **options)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.write(fd, b'x' * 100)", "garbled: what came is no message: its head is too long"),
        (
            "import os; os.write(fd, (4).to_bytes(8, 'little') + b'oops')",
            "garbled: what came is no message: Expecting value: line 1 column 1 (char 0)",
        ),
        (
            "import os; t = b'{\"head\": {}, \"blocks\": [99]}'; os.write(fd, len(t).to_bytes(8, 'little') + t)",
            "garbled: what came is no message: its blocks are too long",
        ),
        (
            "import os; t = b'{\"head\": {}, \"blocks\": [1e999]}'; os.write(fd, len(t).to_bytes(8, 'little') + t)",
            "garbled: what came is no message: cannot convert float infinity to integer",
        ),
        (
            'import os; t = b\'{"head": {"fault": 1}, "blocks": []}\'; os.write(fd, bytes([len(t), *[0] * 7]) + t)',
            "garbled: what came is no fault",
        ),
        ("", "ended: the launcher ended with exit code 0"),
        ("raise OSError('no')", "ended: the launcher ended with exit code 1; its last words: OSError: no"),
    ],
)
def test_what_is_no_launcher_is_a_fault_at_once(code: str, words: str) -> None:
    device = Device(0, "none", "GPU-0", (9, 0), 1, 1, "13.0")
    sandbox = Liar(code)
    with pytest.raises(Fault) as caught, Launcher(device, sandbox):  # type: ignore[arg-type]
        pass
    assert str(caught.value) == words
    assert caught.value.sticky
    assert not caught.value.of_kernel


LOADED = {"number": 1, "registers": 2, "shared": 0, "threads": 1024}
CALLED = {"broken_guards": [], "changed_inputs": [], "milliseconds": 1}
# Answers what it is told to, one after the other, to whatever it is asked.
ANSWERS = """
import json, socket, struct
link = socket.socket(fileno=fd)
for head in json.loads({heads!r}):
    (length,) = struct.unpack("<Q", link.recv(8, socket.MSG_WAITALL))
    message = json.loads(link.recv(length, socket.MSG_WAITALL))
    link.recv(sum(message["blocks"]), socket.MSG_WAITALL)
    text = json.dumps({{"head": head, "blocks": []}}).encode()
    link.sendall(struct.pack("<Q", len(text)) + text)
"""


def told(*heads: dict[str, Any]) -> Called:
    """Load and call a kernel in a launcher that answers this."""
    device = Device(0, "none", "GPU-0", (9, 0), 1, 1, "13.0")
    sandbox = Liar(ANSWERS.format(heads=json.dumps([{}, *heads])))
    try:
        with Launcher(device, sandbox) as launcher:  # type: ignore[arg-type]
            launcher.load(b"cubin", "act")
            return launcher.call(act("COPY", keep=False))
    finally:
        sandbox.close()


def test_an_answer_that_is_one_is_understood() -> None:
    assert told(LOADED, CALLED) == Called([], (), (), 1.0)


@pytest.mark.parametrize(
    ("heads", "words"),
    [
        ([{}], "the answer has no 'number'"),
        ([LOADED | {"shared": "0"}], "the answer has something else where a whole number belongs"),
        ([LOADED, {}], "the answer has no 'broken_guards'"),
        ([LOADED, CALLED | {"changed_inputs": "x"}], "the answer has something else where names belong"),
        ([LOADED, CALLED | {"broken_guards": [[]]}], "the answer has something else where names belong"),
        ([LOADED, CALLED | {"milliseconds": math.nan}], "the answer has something else where a time belongs"),
        ([LOADED, CALLED | {"milliseconds": 10**400}], "the answer has something else where a time belongs"),
        ([LOADED, CALLED | {"milliseconds": -1}], "the answer has something else where a time belongs"),
        ([LOADED, CALLED | {"milliseconds": None}], "the answer has something else where a time belongs"),
    ],
)
def test_an_answer_that_is_none_is_a_fault(heads: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(Fault) as caught:
        told(*heads)
    assert str(caught.value) == f"garbled: {words}"
    assert caught.value.sticky


def test_a_device_that_is_gone_is_told(here: Machine) -> None:
    gone = Device(0, "none", "GPU-0", (9, 0), 1, 1, "13.0")
    with pytest.raises(Fault) as caught, Launcher(gone, here.sandbox, here.driver):
        pass
    assert str(caught.value) == "refused: ValueError: there is no device GPU-0 any more"


def test_a_device_that_somebody_else_uses_is_not_the_kernels_fault(here: Machine, launcher: Launcher) -> None:
    with pytest.raises(Fault) as caught, here.launcher():
        pass
    assert caught.value.word == "CUDA_ERROR_DEVICE_UNAVAILABLE"
    assert not caught.value.of_kernel


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_call_is_data_that_shows_no_bytes() -> None:
    assert "outputs" not in repr(Called([b"x"], (), (), 1.0))
