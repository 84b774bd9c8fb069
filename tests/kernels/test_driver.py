"""The driver's functions through ctypes: numbers as a kernel gets them, errors as the driver names them."""

from __future__ import annotations

import ctypes
import math
import struct
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.kernels.data import SIZES, Launch
from pytest_upskill.kernels.launcher import Fault
from pytest_upskill.kernels.launcher import driver as cuda
from pytest_upskill.kernels.launcher.driver import Driver, DriverError
from pytest_upskill.kernels.launcher.scalars import boxed
from tests.kernels.emulated import build
from tests.kernels.emulated.machine import floats, needs, values

WHOLE = [name for name in SIZES if name[0] in "iu"]


@pytest.fixture(scope="module")
def driver() -> Driver:
    """A pretended driver with a context in this very process, on a device that nobody else has."""
    needs()
    driver = Driver(str(build.driver("ad" * 16)))
    driver.ask("cuInit", 0)
    driver.ask("cuCtxSetCurrent", driver.handle("cuDevicePrimaryCtxRetain", 0))
    return driver


@pytest.mark.parametrize("dtype", sorted(SIZES))
def test_a_number_takes_as_many_bytes_as_its_type_has(dtype: str) -> None:
    assert ctypes.sizeof(boxed(dtype, 1)) == SIZES[dtype]


@settings(deadline=None)
@given(dtype=st.sampled_from(WHOLE), value=st.integers(-(2**65), 2**65))
def test_a_whole_number_is_itself_or_refused(dtype: str, value: int) -> None:
    bits = 8 * SIZES[dtype]
    low, high = (0, 2**bits) if dtype[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    if low <= value < high:
        assert boxed(dtype, value).value == value
    else:
        with pytest.raises(ValueError, match=f"^{value} does not fit in {dtype}$"):
            boxed(dtype, value)


def test_a_fraction_is_no_whole_number() -> None:
    with pytest.raises(ValueError, match=r"^1\.5 does not fit in i32$"):
        boxed("i32", 1.5)


@settings(deadline=None)
@given(st.floats(width=32))
def test_a_bfloat_is_the_nearest_there_is(value: float) -> None:
    bits = boxed("bf16", value).value
    got = struct.unpack("<f", bytes(2) + bits.to_bytes(2, "little"))[0]
    if math.isnan(value):
        assert math.isnan(got)
        return
    below, above = (
        struct.unpack("<f", bytes(2) + ((bits + by) & 0xFFFF).to_bytes(2, "little"))[0] for by in (-1, 1)
    )
    distances = [abs(value - other) for other in (below, above) if math.isfinite(other)]
    assert math.isinf(got) or abs(value - got) <= min(distances)


@pytest.mark.parametrize(
    ("value", "bits"),
    [
        (1.0, 0x3F80),
        (1.00390625, 0x3F80),
        (1.01171875, 0x3F82),
        (-0.0, 0x8000),
        (math.inf, 0x7F80),
        (3.4e38, 0x7F80),
    ],
)
def test_a_bfloat_between_two_goes_to_the_even_one(value: float, bits: int) -> None:
    assert boxed("bf16", value).value == bits


def test_a_half_is_rounded_and_refused_beyond_its_range() -> None:
    assert boxed("f16", 1 / 3).value == 0x3555
    with pytest.raises(ValueError, match=r"^70000\.0 does not fit in f16$"):
        boxed("f16", 70000.0)


def test_a_library_that_is_not_there_is_an_os_error() -> None:
    with pytest.raises(OSError, match=r"libnothing\.so"):
        Driver("libnothing.so")


def test_a_library_that_is_no_driver_is_no_driver() -> None:
    with pytest.raises(AttributeError, match="cuInit"):
        Driver("libm.so.6")


def test_an_error_has_the_drivers_name_and_words(driver: Driver) -> None:
    with pytest.raises(DriverError) as caught:
        driver.number("cuDeviceGet", 5)
    assert (caught.value.word, caught.value.function) == ("CUDA_ERROR_INVALID_DEVICE", "cuDeviceGet")
    assert str(caught.value) == "invalid device ordinal (cuDeviceGet)"


def test_an_error_without_a_name_has_its_number(driver: Driver) -> None:
    assert driver._text("cuGetErrorName", 4711) == "CUDA_ERROR_4711"


def test_the_driver_describes_its_device(driver: Driver) -> None:
    assert driver.emulated
    assert (driver.name(0), driver.version(), driver.memory(0)) == ("emulated", "13.0", 2**30)
    assert driver.uuid(0) == "GPU-adadadad-adad-adad-adad-adadadadadad"
    assert driver.number("cuDeviceGetAttribute", cuda.L2_BYTES, 0) == 256 * 1024


def test_memory_is_written_filled_and_read(driver: Driver) -> None:
    place = driver.allocate(1000)
    driver.upload(place, b"abc" * 100)
    driver.fill(place + 300, 7, 10)
    assert driver.download(place + 297, 14)[:13] == b"abc" + bytes([7] * 10)
    assert driver.download(place, 0) == b""
    driver.ask("cuMemFree_v2", place)


def test_memory_that_nobody_has_is_refused(driver: Driver) -> None:
    place = driver.allocate(1000)
    with pytest.raises(DriverError, match=r"^invalid argument"):
        driver.upload(place + 999, b"12")
    driver.ask("cuMemFree_v2", place)
    with pytest.raises(DriverError, match=r"^invalid argument"):
        driver.download(place, 1)


def test_freed_memory_comes_again_with_what_it_held(driver: Driver) -> None:
    place = driver.allocate(512)
    driver.upload(place, b"stale" * 100)
    driver.ask("cuMemFree_v2", place)
    again = driver.allocate(512)
    assert again == place
    assert driver.download(again, 500) == b"stale" * 100
    driver.ask("cuMemFree_v2", again)


def test_a_kernel_is_launched_between_two_events(driver: Driver) -> None:
    source = """extern "C" __global__ void twice(float* x, float by) {
        long long start = clock64();
        while (clock64() - start < 2000000) {}
        x[threadIdx.x] *= by;
    }"""
    module = driver.handle("cuModuleLoadData", build.image(source, "", "twice"))
    function = driver.function(module, "twice", 0)
    place = driver.allocate(8)
    driver.upload(place, floats(1, 2))
    events = [driver.handle("cuEventCreate", 0) for _ in range(2)]
    boxes = [boxed("u64", place), boxed("f32", 2.5)]
    driver.timed_launch(function, Launch((1, 1, 1), (2, 1, 1)), boxes, events)
    driver.ask("cuCtxSynchronize")
    assert list(values(bytes(driver.download(place, 8)))) == [2.5, 5.0]
    assert driver.milliseconds(events) >= 4.0
    driver.ask("cuModuleUnload", module)
    driver.ask("cuMemFree_v2", place)


def test_persisting_lines_are_forbidden_also_where_there_are_none(driver: Driver) -> None:
    driver.forbid_persisting()
    assert not driver.broken


@pytest.mark.parametrize(
    ("word", "of_kernel"),
    [("CUDA_ERROR_ILLEGAL_ADDRESS", True), ("CUDA_ERROR_ECC_UNCORRECTABLE", False), ("timeout", True)],
)
def test_trouble_of_the_device_is_never_the_kernels_fault(word: str, of_kernel: bool) -> None:
    assert Fault(word, sticky=True, of_kernel=True).of_kernel == of_kernel
    assert not Fault(word, sticky=True).of_kernel


def test_asking_for_a_launcher_loads_no_library_of_a_driver() -> None:
    code = "import sys, pytest_upskill.kernels.launcher, pytest_upskill.kernels.devices; print('ctypes' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "False\n"
