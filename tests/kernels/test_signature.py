from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.kernels.data import Scalar, Tensor, Workload
from pytest_upskill.kernels.signature import parse_signature
from tests.kernels.cases import PROTOTYPE, SIGNATURE

FULL = (
    "hist(x:T[rows,cols], out y:T[rows,cols*2], out zero hist:i32[bins], inout z:f32[n], "
    "workspace scratch[rows*4], rows:i32, cols:i64, eps:f32=0.5, k:u8=3, alpha:T=1.5)"
)
WORK = Workload({"rows": 3, "cols": 4, "bins": 5, "n": 6}, "bf16", "")


def mistake(text: str) -> str:
    with pytest.raises(ValueError) as caught:
        parse_signature(text)
    return str(caught.value)


def test_a_prototype_is_what_a_reply_has_to_define() -> None:
    assert parse_signature(SIGNATURE).prototype() == PROTOTYPE


def test_a_prototype_shows_each_role_and_type() -> None:
    assert parse_signature(FULL).prototype() == (
        'extern "C" __global__ void hist(const T* x, T* y, int* hist, float* z, unsigned char* scratch, '
        "int rows, long long cols, float eps, unsigned char k, T alpha)"
    )


def test_roles_are_read_in_any_spacing() -> None:
    text = "f( in  x : T [ n ],out   zero\ty:T[n] , out:i32 = 2, workspace w[ n * 4 ] )"
    assert [(each.name, each.role, each.dtype) for each in parse_signature(text).parameters] == [
        ("x", "in", "T"),
        ("y", "out zero", "T"),
        ("out", "scalar", "i32"),
        ("w", "workspace", "u8"),
    ]


def test_the_sizes_are_the_names_that_a_workload_has_to_give() -> None:
    signature = parse_signature(
        "f(x:f32[a,b*c], out y:f32[a], workspace w[d+a], a:i32, e:i64, g:i32=1, h:f32=2)"
    )
    assert (signature.sizes, signature.optional) == (("a", "b", "c", "d", "e"), ("g",))
    assert signature.known == ("a", "b", "c", "d", "e", "g")
    assert not signature.generic
    assert signature.dtypes == ("f32", "u8", "i32", "i64")


def test_a_reference_can_take_what_the_kernel_reads() -> None:
    assert parse_signature(FULL).given == ("x", "z", "rows", "cols", "eps", "k", "alpha", "bins", "n")


def test_arguments_have_shapes_types_and_values() -> None:
    assert parse_signature(FULL).arguments(WORK) == (
        Tensor("x", "in", "bf16", (3, 4)),
        Tensor("y", "out", "bf16", (3, 8)),
        Tensor("hist", "out zero", "i32", (5,)),
        Tensor("z", "inout", "f32", (6,)),
        Tensor("scratch", "workspace", "u8", (12,)),
        Scalar("rows", "i32", 3),
        Scalar("cols", "i64", 4),
        Scalar("eps", "f32", 0.5),
        Scalar("k", "u8", 3),
        Scalar("alpha", "bf16", 1.5),
    )


def test_sizes_of_parameters_are_those_of_the_compiled_code() -> None:
    signature = parse_signature(FULL)
    assert signature.parameter_sizes("bf16") == (8, 8, 8, 8, 8, 4, 8, 4, 1, 2)
    assert signature.parameter_sizes("f64")[-1] == 8


def test_a_workload_may_give_a_whole_scalar_another_value() -> None:
    signature = parse_signature("f(out y:f32[n], n:i32, k:i32=3)")
    assert signature.arguments(Workload({"n": 2, "k": 9}, "", ""))[-1] == Scalar("k", "i32", 9)
    assert signature.numbers(Workload({"n": 2}, "", "")) == {"n": 2, "k": 3}


def test_the_size_of_the_element_is_a_number_of_a_workload() -> None:
    signature = parse_signature("f(out y:T[n], workspace w[n*sizeof_T])")
    assert signature.numbers(Workload({"n": 2}, "f16", "")) == {"n": 2, "sizeof_T": 2}
    assert signature.arguments(Workload({"n": 2}, "f64", ""))[1] == Tensor("w", "workspace", "u8", (16,))


def test_bytes_moved_count_each_tensor_once_and_an_updated_one_twice() -> None:
    x, y, hist, z = 3 * 4 * 2, 3 * 8 * 2, 5 * 4, 6 * 4 * 2
    assert parse_signature(FULL).moved(WORK) == x + y + hist + z


def test_the_reference_gets_the_number_that_the_kernel_gets() -> None:
    signature = parse_signature("f(out y:T[n], a:f32=1e-6, b:f64=1e-6, c:T=1e-3)")
    values = {
        each.name: each.value
        for each in signature.arguments(Workload({"n": 1}, "f16", ""))
        if isinstance(each, Scalar)
    }
    assert values == {
        "a": struct.unpack("f", struct.pack("f", 1e-6))[0],
        "b": 1e-6,
        "c": struct.unpack("e", struct.pack("e", 1e-3))[0],
    }


@settings(deadline=None)
@given(st.floats(-(2.0**100), 2.0**100, width=32))
def test_a_bf16_scalar_is_the_nearest_one(value: float) -> None:
    torch = pytest.importorskip("torch")
    signature = parse_signature(f"f(out y:T[n], c:T={value!r})")
    (_, scalar) = signature.arguments(Workload({"n": 1}, "bf16", ""))
    assert isinstance(scalar, Scalar)
    assert scalar.value == torch.tensor(value, dtype=torch.float32).bfloat16().item()


@pytest.mark.parametrize(
    ("text", "sizes", "dtype", "sentence"),
    [
        ("f(out y:i32[n-3])", {"n": 3}, "", "y has the extent n-3, which comes to 0; it is 1 or more"),
        (
            "f(out y:i32[n], workspace w[n-1])",
            {"n": 1},
            "",
            "w has the extent n-1, which comes to 0; it is 1 or more",
        ),
        ("f(out y:i32[n])", {}, "", "'n' needs n, which has no value; known are none"),
        ("f(out y:i32[n], k:i32)", {"n": 3}, "", "the scalar k has no value"),
        (
            "f(out y:i32[1], k:i16)",
            {"k": 40000},
            "",
            "k=40000 is no i16, which holds whole numbers from -32768 to 32767",
        ),
        ("f(out y:T[1], a:T=70000)", {}, "f16", "a=70000.0 is no number that f16 holds"),
        ("f(out y:T[1], a:T=3.5e38)", {}, "bf16", "a=3.5e+38 is no number that bf16 holds"),
        (
            "f(out y:T[1], a:T=0.5)",
            {},
            "i32",
            "a=0.5 is no i32, which holds whole numbers from -2147483648 to 2147483647",
        ),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    text: str, sizes: dict[str, int], dtype: str, sentence: str
) -> None:
    with pytest.raises(ValueError) as caught:
        parse_signature(text).arguments(Workload(sizes, dtype, ""))
    assert str(caught.value) == sentence


EXAMPLE = "rmsnorm(x:T[rows,cols], out y:T[rows,cols], rows:i32, cols:i32, eps:f32=1e-6)"
TYPES = "T, bf16, f16, f32, f64, i16, i32, i64, i8, u16, u32, u64, u8"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rmsnorm", f"'rmsnorm' is no signature; write it like {EXAMPLE}"),
        ("f(out y:T[n]", f"'f(out y:T[n]' is no signature; write it like {EXAMPLE}"),
        ("(out y:T[n])", "the kernel needs a name of letters, digits and _, not ''"),
        ("9f(out y:T[n])", "the kernel needs a name of letters, digits and _, not '9f'"),
        (
            "main(out y:T[n])",
            "the kernel cannot be called 'main', which means something else; choose another name",
        ),
        ("f()", f"the parameter '' cannot be read; write the signature like {EXAMPLE}"),
        ("f(out y:T[n],)", f"the parameter '' cannot be read; write the signature like {EXAMPLE}"),
        ("f(out y:T[n]z)", f"the parameter 'out y:T[n]z' cannot be read; write the signature like {EXAMPLE}"),
        ("f(outt y:T[n])", "the parameter 'outt y:T[n]' has the unknown role 'outt' (did you mean 'out'?)"),
        (
            "f(const y:T[n])",
            "the parameter 'const y:T[n]' has the unknown role 'const'; "
            "it is one of in, inout, out, out zero, workspace",
        ),
        ("f(out y-1:T[n])", "the parameter 'out y-1:T[n]' needs a name of letters, digits and _, not 'y-1'"),
        (
            "f(out int:T[n])",
            "the parameter 'out int:T[n]' cannot be called 'int', which means something else; choose another name",
        ),
        ("f(out y[n])", f"the parameter y needs a type, such as y:T; known are {TYPES}"),
        ("f(out y:T[n], k)", f"the parameter k needs a type, such as k:i32; known are {TYPES}"),
        ("f(out y:bf17[n])", "the parameter y has the unknown type 'bf17' (did you mean 'bf16'?)"),
        ("f(out y:quad[n])", f"the parameter y has the unknown type 'quad'; known are {TYPES}"),
        ("f(out y:T)", "the parameter y is 'out' and so needs extents, such as y:T[rows,cols]"),
        ("f(out y:T[n]=3)", "the tensor y cannot have a value; only scalars do"),
        ("f(out y:T[])", "the parameter y has an extent that cannot be read: an expression is empty"),
        ("f(out y:T[n,n+])", "the parameter y has an extent that cannot be read: 'n+' ends too early"),
        ("f(out y:T[n], eps:f32)", "the scalar eps needs a value, such as eps:f32=1e-6"),
        ("f(out y:T[n], eps:f32=small)", "the scalar eps needs a number, not 'small'"),
        ("f(out y:T[n], eps:f32=nan)", "eps=nan is no number that f32 holds"),
        ("f(out y:T[n], eps:f32=1e39)", "eps=1e+39 is no number that f32 holds"),
        ("f(out y:T[n], k:i32=1.5)", "the scalar k needs a whole number, not '1.5'"),
        ("f(out y:T[n], k:u8=256)", "k=256 is no u8, which holds whole numbers from 0 to 255"),
        (
            "f(out y:T[n], workspace w:u8[n])",
            "the workspace w has its bytes and nothing else: workspace w[rows*4]",
        ),
        ("f(out y:T[n], workspace w)", "the workspace w has its bytes and nothing else: workspace w[rows*4]"),
        ("f(out y:T[n], workspace w[n,4])", "the workspace w has one number of bytes: workspace w[rows*4]"),
        ("f(out y:T[n], y:i32=1)", "two parameters are called y"),
        ("f(x:T[n], n:i32)", "f writes nothing; mark what it writes with out, as in out y:T[rows]"),
        (
            "f(out y:T[n], n:f32=1)",
            "n is the name of an extent; as a parameter it has to be a whole number, such as i32",
        ),
        ("f(out y:i8[n*sizeof_T])", "the parameter y uses sizeof_T, but no parameter is of the type T"),
        ("f(" + "x:T[1]," * 65 + "out y:T[1])", "a kernel has at most 64 parameters, not 66"),
    ],
)
def test_a_mistake_names_the_parameter_and_what_is_near(text: str, sentence: str) -> None:
    assert mistake(text) == sentence


@settings(max_examples=300, deadline=None)
@given(st.text("fxyT[](),:= out zeroinwkspace132*+-.e\n\x1b", max_size=60))
def test_any_text_is_read_or_refused_on_one_line(text: str) -> None:
    try:
        parse_signature(f"f(out y:T[n],{text})")
    except ValueError as error:
        assert str(error).isprintable()
