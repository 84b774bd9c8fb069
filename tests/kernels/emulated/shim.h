// CUDA device code as ordinary C++: each thread is a fiber of the pretended driver.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cassert>
#include <cfloat>
#include <climits>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <tuple>
#include <type_traits>
#include <utility>

#include "abi.h"

static UpskillMachine* upskill;
alignas(1024) static unsigned char upskill_dynamic[UPSKILL_SHARED];

#undef __device__
#undef __host__
#undef __global__
#undef __constant__
#undef __shared__
#undef __forceinline__
#undef __noinline__
#undef __launch_bounds__
#undef __grid_constant__
#undef assert
#define __device__
#define __host__
#define __global__
#define __constant__
#define __shared__ static
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)
#define __grid_constant__
#define __CUDA_ARCH__ 900
#define threadIdx (reinterpret_cast<const uint3&>(upskill->thread))
#define blockIdx (reinterpret_cast<const uint3&>(upskill->block))
#define blockDim (reinterpret_cast<const dim3&>(upskill->threads))
#define gridDim (reinterpret_cast<const dim3&>(upskill->blocks))
#define assert(condition) ((condition) ? void() : upskill->trap(710))
#define warpSize 32

#define __syncthreads() (upskill->barrier(__LINE__, false))
#define __syncthreads_count(p) (upskill->barrier(__LINE__, (p) != 0), int(upskill->votes.yes))
#define __syncthreads_or(p) (upskill->barrier(__LINE__, (p) != 0), int(upskill->votes.yes > 0))
#define __syncthreads_and(p) (upskill->barrier(__LINE__, (p) != 0), int(upskill->votes.yes == upskill->votes.all))

inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
inline void __nanosleep(unsigned) {}
inline void __trap() { upskill->trap(719); }
inline unsigned long long upskill_now() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ull + now.tv_nsec;
}
inline long long clock64() { return (long long)upskill_now(); }
inline unsigned __activemask() { return upskill->active(); }

// Lanes.
template <class V> V upskill_lane(unsigned mask, V value, int source) {
    static_assert(sizeof(V) <= 8, "a shuffle moves 8 bytes at most");
    unsigned long long bits = 0;
    memcpy(&bits, &value, sizeof(V));
    const unsigned long long* all = upskill->exchange(mask, bits);
    if (!(upskill->came >> source & 1)) return value;
    V result;
    memcpy(&result, &all[source], sizeof(V));
    return result;
}
template <class V> V __shfl_sync(unsigned mask, V value, int source, int width = 32) {
    int first = upskill->lane & ~(width - 1);
    return upskill_lane(mask, value, first | (source & (width - 1)));
}
template <class V> V __shfl_xor_sync(unsigned mask, V value, int bits, int width = 32) {
    int own = upskill->lane, source = own ^ bits;
    return upskill_lane(mask, value, source < (own & ~(width - 1)) + width ? source & 31 : own);
}
template <class V> V __shfl_down_sync(unsigned mask, V value, unsigned by, int width = 32) {
    int own = upskill->lane, source = own + int(by);
    return upskill_lane(mask, value, source < (own & ~(width - 1)) + width ? source : own);
}
template <class V> V __shfl_up_sync(unsigned mask, V value, unsigned by, int width = 32) {
    int own = upskill->lane, source = own - int(by);
    return upskill_lane(mask, value, source >= (own & ~(width - 1)) ? source : own);
}
template <class Fold> unsigned upskill_fold(unsigned mask, unsigned value, unsigned start, Fold fold) {
    const unsigned long long* all = upskill->exchange(mask, value);
    for (int lane = 0; lane < 32; ++lane)
        if (upskill->came >> lane & 1) start = fold(start, unsigned(all[lane]), lane);
    return start;
}
inline void __syncwarp(unsigned mask = 0xffffffffu) { upskill->exchange(mask, 0); }
inline unsigned __ballot_sync(unsigned mask, int yes) {
    return upskill_fold(mask, yes != 0, 0, [](unsigned a, unsigned b, int lane) { return a | b << lane; });
}
inline int __any_sync(unsigned mask, int yes) { return __ballot_sync(mask, yes) != 0; }
inline int __all_sync(unsigned mask, int yes) {
    return upskill_fold(mask, yes != 0, 1, [](unsigned a, unsigned b, int) { return a & b; }) != 0;
}
inline unsigned __reduce_add_sync(unsigned mask, unsigned value) {
    return upskill_fold(mask, value, 0, [](unsigned a, unsigned b, int) { return a + b; });
}
inline unsigned __reduce_max_sync(unsigned mask, unsigned value) {
    return upskill_fold(mask, value, 0, [](unsigned a, unsigned b, int) { return a > b ? a : b; });
}
inline unsigned __reduce_min_sync(unsigned mask, unsigned value) {
    return upskill_fold(mask, value, ~0u, [](unsigned a, unsigned b, int) { return a < b ? a : b; });
}

// Atomics: a fiber is never interrupted.
template <class V, class W, class Change> V upskill_change(V* place, W value, Change change) {
    V old = *place;
    *place = change(old, V(value));
    return old;
}
#define UPSKILL_ATOMIC(name, result)                                                            \
    template <class V, class W> V name(V* place, W value) {                                     \
        return upskill_change(place, value, [](V a, V b) -> V { return result; });              \
    }
UPSKILL_ATOMIC(atomicAdd, a + b)
UPSKILL_ATOMIC(atomicSub, a - b)
UPSKILL_ATOMIC(atomicExch, b)
UPSKILL_ATOMIC(atomicMax, a > b ? a : b)
UPSKILL_ATOMIC(atomicMin, a < b ? a : b)
UPSKILL_ATOMIC(atomicAnd, a & b)
UPSKILL_ATOMIC(atomicOr, a | b)
UPSKILL_ATOMIC(atomicXor, a ^ b)
UPSKILL_ATOMIC(atomicInc, a >= b ? V(0) : V(a + 1))
template <class V, class W, class X> V atomicCAS(V* place, W expected, X value) {
    V old = *place;
    if (old == V(expected)) *place = V(value);
    return old;
}

// Loads, stores, bits, mathematics.
template <class V> V __ldg(const V* place) { return *place; }
template <class V> V __ldcg(const V* place) { return *place; }
template <class V> V __ldcs(const V* place) { return *place; }
template <class V> V __ldca(const V* place) { return *place; }
template <class V> void __stcg(V* place, V value) { *place = value; }
template <class V> void __stcs(V* place, V value) { *place = value; }
template <class V> void __stwt(V* place, V value) { *place = value; }
template <class To, class From> To upskill_bits(From from) {
    To to;
    memcpy(&to, &from, sizeof(To));
    return to;
}
inline int __float_as_int(float x) { return upskill_bits<int>(x); }
inline unsigned __float_as_uint(float x) { return upskill_bits<unsigned>(x); }
inline float __int_as_float(int x) { return upskill_bits<float>(x); }
inline float __uint_as_float(unsigned x) { return upskill_bits<float>(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float rsqrt(float x) { return rsqrtf(x); }
inline float __frsqrt_rn(float x) { return rsqrtf(x); }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fdividef(float x, float y) { return x / y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline float __expf(float x) { return expf(x); }
inline float __exp2f(float x) { return exp2f(x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __saturatef(float x) { return fminf(fmaxf(x, 0.0f), 1.0f); }
inline float __float2float_rn(float x) { return x; }
inline int __float2int_rn(float x) { return int(nearbyintf(x)); }
inline int __float2int_rz(float x) { return int(x); }
inline float __int2float_rn(int x) { return float(x); }
template <class A, class B> constexpr std::common_type_t<A, B> max(A a, B b) { return a < b ? b : a; }
template <class A, class B> constexpr std::common_type_t<A, B> min(A a, B b) { return b < a ? b : a; }

// How the driver starts the entry.
template <class... A, std::size_t... N>
void upskill_apply(void (*kernel)(A...), void** parameters, std::index_sequence<N...>) {
    kernel(*static_cast<std::remove_cv_t<A>*>(parameters[N])...);
}
template <class... A> void upskill_start(void (*kernel)(A...), void** parameters) {
    upskill_apply(kernel, parameters, std::index_sequence_for<A...>{});
}
#define UPSKILL_SEEN extern "C" __attribute__((visibility("default")))
#define UPSKILL_ENTRY(name)                                                                    \
    UPSKILL_SEEN unsigned char* upskill_bind(UpskillMachine* machine) {                        \
        upskill = machine;                                                                     \
        return upskill_dynamic;                                                                \
    }                                                                                          \
    UPSKILL_SEEN void upskill_start_##name(void** parameters) { upskill_start(&name, parameters); }
