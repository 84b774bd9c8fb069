"""What a cubin says of itself: real ones, and what is left of them after damage."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.kernels.elf import BadCubin, Cubin, read_cubin
from tests.kernels.compiling import SOURCES, compiled


def read(entry: str, arch: str = "sm_90a") -> Cubin:
    return read_cubin(compiled(entry, arch).cubin)


def test_a_kernel_has_its_name_and_its_parameters() -> None:
    cubin = read("copy")
    assert [entry.name for entry in cubin.entries] == ["copy"]
    assert cubin.entries[0].parameters == ((0, 8), (8, 8), (16, 4))
    assert (cubin.sm, cubin.constant, cubin.globals_, cubin.externs) == (90, 0, 0, ())


def test_parameters_of_all_sizes_are_in_their_order_with_their_gaps() -> None:
    assert read("rich").entries[0].parameters == ((0, 8), (8, 8), (16, 1), (18, 2), (24, 8), (32, 4))


def test_variables_of_the_module_are_counted_in_bytes() -> None:
    cubin = read("rich")
    assert cubin.constant == 400
    # state, weights, hidden, and the texts of the assertion
    assert 200 + 12 + 4 < cubin.globals_ < 400


def test_what_the_code_calls_and_does_not_hold_is_named() -> None:
    assert read("rich").externs == ("__assertfail",)
    assert read("talks").externs == ("free", "malloc", "vprintf")


def test_managed_variables_are_named() -> None:
    assert read("talks").managed == ("shared_with_host",)
    assert read("rich").managed == ()


def test_every_kernel_is_named_also_one_without_extern_c() -> None:
    assert {entry.name for entry in read("talks").entries} == {"talks", "_Z5otherPf"}


def test_the_stack_and_the_shared_memory_of_a_kernel_are_read() -> None:
    (local,) = read("local").entries
    assert (local.frame, local.stack) == (400, 400)
    assert read("rich").entries[0].shared in (256, 256 + 1024)


def test_an_older_architecture_is_read_too() -> None:
    cubin = read("rich", "sm_80")
    assert cubin.sm == 80
    assert cubin.entries[0].shared == 256


@pytest.mark.parametrize("entry", SOURCES)
def test_a_cubin_that_is_cut_off_is_no_cubin(entry: str) -> None:
    cubin = compiled(entry).cubin
    # The table of sections stands behind the content.
    for size in (0, 3, 63, 64, 200, len(cubin) // 2):
        with pytest.raises(BadCubin):
            read_cubin(cubin[:size])


def test_what_is_no_cubin_is_refused_in_words() -> None:
    with pytest.raises(BadCubin) as caught:
        read_cubin(b"\x7fELF" + bytes(100))
    assert str(caught.value) == "these bytes are no cubin: they do not begin as an ELF file for CUDA does"
    with pytest.raises(BadCubin) as caught:
        read_cubin(b"")
    assert str(caught.value) == "the cubin is cut off: 64 bytes at 0, of 0"


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_a_damaged_cubin_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    whole = compiled(data.draw(st.sampled_from(["copy", "rich", "talks"]))).cubin
    damaged = bytearray(whole)
    places = st.one_of(st.integers(0, 63), st.integers(0, len(whole) - 1))
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(places)
        change = data.draw(st.sampled_from([b"\0", b"\xff", b"\xff" * 4, b"\xff" * 8, b"\x01", b"\x80"]))
        damaged[place : place + len(change)] = change
    cut = data.draw(st.one_of(st.just(len(damaged)), st.integers(0, len(damaged))))
    try:
        assert isinstance(read_cubin(bytes(damaged[:cut])), Cubin)
    except BadCubin as error:
        assert str(error)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_damage_to_the_tables_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    whole = compiled("rich").cubin
    damaged = bytearray(whole)
    sections = int.from_bytes(whole[40:48], "little")
    row = data.draw(st.integers(0, int.from_bytes(whole[60:62], "little") - 1))
    place, size = data.draw(st.sampled_from([(0, 4), (24, 8), (32, 8), (56, 8)]))
    value = data.draw(st.integers(0, 2 ** (8 * size) - 1))
    damaged[sections + 64 * row + place : sections + 64 * row + place + size] = value.to_bytes(size, "little")
    try:
        assert isinstance(read_cubin(bytes(damaged)), Cubin)
    except BadCubin as error:
        assert str(error)
