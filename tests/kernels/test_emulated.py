"""The pretended device computes what a device would, and refuses what a device would refuse."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from pytest_upskill.kernels.data import Argument, Dims, Launch, Scalar, Tensor
from pytest_upskill.kernels.launcher import Call, Called, Fault, Launcher
from tests.kernels.emulated import build
from tests.kernels.emulated.machine import floats, machine, needs, values

N = 70  # two warps and a part of one


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    with machine() as here, here.launcher() as launcher:
        yield launcher


def run(
    launcher: Launcher,
    body: str,
    *,
    dtype: str = "f32",
    block: Dims = (N, 1, 1),
    grid: Dims = (1, 1, 1),
    shared: int = 0,
    before: str = "",
) -> list[float]:
    """Return y of a kernel on x = 0, 1, 2, ... of N numbers; `i` is the number of the thread in its block."""
    source = f"""{before}
        extern "C" __global__ void probe(const float* x, float* y, int n) {{
            int i = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
            {body}
        }}"""
    kernel = launcher.load(build.image(source, dtype, "probe"), "probe")
    launcher.put(1, [floats(*map(float, range(N)))])
    arguments: tuple[Argument, ...] = (
        Tensor("x", "in", "f32", (N,)),
        Tensor("y", "out zero", "f32", (N,)),
        Scalar("n", "i32", N),
    )
    called: Called = launcher.call(Call(arguments, Launch(grid, block, shared), 1, kernel=kernel))
    return list(values(called.outputs[0]))


def test_threads_wait_for_one_another_at_a_barrier(launcher: Launcher) -> None:
    body = """
        __shared__ float all[70];
        for (int round = 0; round < 3; ++round) {
            all[i] = x[i] + round;
            __syncthreads();
            y[i] = all[n - 1 - i];
            __syncthreads();
        }"""
    assert run(launcher, body) == [N - 1 - i + 2 for i in range(N)]


def test_a_barrier_counts_votes(launcher: Launcher) -> None:
    body = """
        int some = __syncthreads_count(i % 3 == 0);
        int any = __syncthreads_or(i == 69), all = __syncthreads_and(i < 69);
        y[i] = some + 1000 * any + 10000 * all;"""
    assert run(launcher, body) == [24 + 1000] * N


def test_threads_that_have_returned_are_not_waited_for(launcher: Launcher) -> None:
    body = "if (i >= 40) return; __syncthreads(); y[i] = 1;"
    assert run(launcher, body) == [1.0] * 40 + [0.0] * 30


@pytest.mark.parametrize(
    "body",
    [
        "if (i % 2) { __syncthreads(); y[i] = 1; } else {\n __syncthreads(); }",
        "if (i < 32) __shfl_sync(0xffffffffu, 1, 0); else __syncthreads();\n __syncthreads();",
        "if (i == 0) __syncwarp(0x3); else __syncthreads();",
    ],
    ids=["two barriers", "barrier and shuffle", "a lane that does not come"],
)
def test_threads_that_wait_for_one_another_for_ever_are_a_fault(body: str) -> None:
    with machine("ff" * 16) as here, here.launcher() as own, pytest.raises(Fault) as caught:
        run(own, body)
    assert caught.value.word == "CUDA_ERROR_LAUNCH_FAILED"


def test_lanes_exchange_values_within_their_warp(launcher: Launcher) -> None:
    body = """
        unsigned all = __activemask();
        float sum = 0;
        sum += __shfl_xor_sync(all, x[i], 1);
        sum += 40 * __shfl_down_sync(all, x[i], 3);
        sum += 1600 * __shfl_up_sync(all, x[i], 2, 4);
        sum += 64000 * __shfl_sync(all, x[i], 5, 8);
        y[i] = sum;"""
    assert run(launcher, body, block=(32, 1, 1))[:32] == [
        float(
            (i ^ 1)
            + 40 * (i + 3 if i + 3 < 32 else i)
            + 1600 * (i - 2 if i % 4 >= 2 else i)
            + 64000 * (i // 8 * 8 + 5)
        )
        for i in range(32)
    ]


def test_lanes_vote_and_reduce_in_halves_that_do_not_wait_for_one_another(launcher: Launcher) -> None:
    body = """
        unsigned half = i < 16 ? 0xffffu : 0xffff0000u;
        if (i < 16) for (int round = 0; round < 3; ++round) __syncwarp(half);
        unsigned odd = __ballot_sync(half, i % 2);
        y[i] = __popc(odd) + 100 * __reduce_add_sync(half, i) + 100000 * __any_sync(half, i == 3)
             + 1000000 * __all_sync(half, i < 16);"""
    low, high = 8 + 100 * 120 + 100000 + 1000000, 8 + 100 * 376
    assert run(launcher, body, block=(32, 1, 1))[:32] == [low] * 16 + [high] * 16


def test_a_block_reduction_is_right_with_a_part_of_a_warp(launcher: Launcher) -> None:
    before = """
        template <typename V> __device__ __forceinline__ V warp_sum(V value) {
            #pragma unroll
            for (int by = 16; by; by >>= 1) value += __shfl_down_sync(0xffffffffu, value, by);
            return value;
        }"""
    body = """
        __shared__ float parts[32];
        float sum = warp_sum(i < n ? x[i] : 0.0f);
        if (i % 32 == 0) parts[i / 32] = sum;
        __syncthreads();
        if (i < 32) {
            sum = warp_sum(i < blockDim.x / warpSize ? parts[i] : 0.0f);
            if (i == 0) y[0] = sum;
        }"""
    assert run(launcher, body, before=before, block=(96, 1, 1))[0] == sum(range(N))


def test_threads_and_blocks_are_numbered_in_three_dimensions(launcher: Launcher) -> None:
    body = """
        int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
        if (block < n) atomicAdd(&y[block], float(i));"""
    got = run(launcher, body, block=(2, 3, 4), grid=(5, 3, 2))
    assert got == [float(sum(range(24)))] * 30 + [0.0] * 40


def test_atomics_return_what_was_there(launcher: Launcher) -> None:
    body = """
        __shared__ int count; __shared__ unsigned most; __shared__ float least;
        if (i == 0) count = 0, most = 0, least = 9;
        __syncthreads();
        int before = atomicAdd(&count, 2);
        atomicMax(&most, unsigned(i)), atomicMin(&least, x[i] - 3);
        __syncthreads();
        y[i] = before + 1000 * (count == 140) + 10000 * (most == 69) + 100000 * (least == -3)
             + 1000000 * (atomicCAS(&count, 140, 140) == 140);"""
    assert run(launcher, body) == [2.0 * i + 1111000 for i in range(N)]


def test_dynamic_shared_memory_may_be_declared_in_any_of_the_usual_ways(launcher: Launcher) -> None:
    before = "extern __shared__ __align__(16) unsigned char raw[];"
    body = """
        extern __shared__ float4 quads[];
        float* all = reinterpret_cast<float*>(raw);
        all[i] = x[i];
        __syncthreads();
        y[i] = quads[i / 4].x + (i % 4 == 3 ? reinterpret_cast<float4*>(raw)[i / 4].w : 0);"""
    expected = [float(i // 4 * 4 + (i if i % 4 == 3 else 0)) for i in range(N)]
    assert run(launcher, body, before=before, shared=4 * N + 8) == expected


@pytest.mark.parametrize("dtype", ["bf16", "f16", "f32", "f64"])
def test_the_element_type_is_known_and_rounds_as_it_does_on_a_device(launcher: Launcher, dtype: str) -> None:
    body = "T third = T(1.0f) / T(3.0f); y[i] = float(third * T(x[i]));"
    step = {"bf16": 2**-8, "f16": 2**-11, "f32": 2**-24, "f64": 2**-53}[dtype]
    got = run(launcher, body, dtype=dtype)
    assert got[3] == pytest.approx(1.0, rel=2 * step)
    assert max(abs(value - i / 3) for i, value in enumerate(got)) <= N / 3 * (2 * step + 2**-23)
    if dtype in ("bf16", "f16"):
        assert any(value != struct.unpack("f", struct.pack("f", i / 3))[0] for i, value in enumerate(got))


def test_vectors_intrinsics_and_types_of_the_toolkit_are_there(launcher: Launcher) -> None:
    before = "#include <cuda_runtime.h>\n#include <cuda_bf16.h>\n#include <cstdint>\n"
    body = """
        float4 four = make_float4(1, 2, 3, __ldg(x + i));
        __nv_bfloat162 two = __floats2bfloat162_rn(four.x, four.y);
        uint32_t bits = __float_as_uint(rsqrtf(4.0f));
        y[i] = four.w + __bfloat1622float2(two).y + __uint_as_float(bits) + max(1, 2) + fmaxf(0.25f, __expf(-9.0f));"""
    assert run(launcher, body, before=before) == [i + 2 + 0.5 + 2 + 0.25 for i in range(N)]


def test_clocks_go_on(launcher: Launcher) -> None:
    body = """
        unsigned long long first, second;
        asm volatile("mov.u64 %0, %globaltimer;" : "=l"(first));
        long long start = clock64();
        while (clock64() - start < 1000) {}
        asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(second));
        y[i] = second > first;"""
    assert run(launcher, body) == [1.0] * N


def test_constants_and_variables_of_the_module_are_as_they_were_declared(launcher: Launcher) -> None:
    before = "__constant__ float steps[3] = {1, 2, 4};\n__device__ float state = 7;"
    assert run(launcher, "y[i] = steps[i % 3] + state;", before=before) == [
        (1.0, 2.0, 4.0)[i % 3] + 7 for i in range(N)
    ]


def test_a_recursion_without_an_end_is_a_fault() -> None:
    before = """
        __device__ float deep(volatile float* x, int n) {
            volatile char room[4096];
            room[n % 4096] = 1;
            return n < 0 ? 0 : deep(x, n + 1) + room[0];
        }"""
    with machine("ff" * 16) as here, here.launcher() as own, pytest.raises(Fault) as caught:
        run(own, "float local[2] = {1, 2}; y[i] = deep(local, i);", before=before)
    assert caught.value.sticky


@pytest.mark.parametrize(
    "asm",
    [
        'asm volatile("cp.async.bulk.commit_group;");',
        'asm("mov.u32 %0, %nsmid;" : "=r"(k));',
        'asm volatile("mma.sync.aligned;" ::: "memory");',
    ],
)
def test_inline_assembly_is_refused(asm: str) -> None:
    needs()
    with pytest.raises(build.Unsupported, match="inline PTX cannot be emulated"):
        build.image(f'extern "C" __global__ void k(float* y) {{ {asm} }}', "f32", "k")


def test_what_does_not_compile_is_told_in_the_compilers_words() -> None:
    needs()
    with pytest.raises(build.Unsupported, match=r"nothing. was not declared"):
        build.image('extern "C" __global__ void k(float* y) { y[0] = nothing; }', "f32", "k")


def test_the_same_source_is_compiled_once() -> None:
    needs()
    source = 'extern "C" __global__ void k(T* y) { y[0] = 1; }'
    first = build.image(source, "f32", "k")
    assert build.image(source, "f32", "k") == first
    assert build.image(source, "f64", "k") != first
