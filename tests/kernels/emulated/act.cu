// One kernel that does what it is told to, right or wrong: a compiler's run for all of it.
#include <stdlib.h>

enum What {
    COPY, NOTHING, AFTER_END, BEFORE_START, CHANGE_INPUT, COUNT, FOR_EVER, NULL_POINTER, ABORT, PRINT, REVERSE,
    PLACES, TRAP, ASSERT, DIVERGE, LOOK_AROUND, FAR_BEYOND, SHARED_BEYOND, WORKSPACE, LEAVE_OUT_LAST
};

__device__ int counter;

extern "C" __global__ void act(const float* x, float* y, unsigned char* spare, int what, int n) {
    extern __shared__ float tile[];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (what == REVERSE) {
        tile[threadIdx.x] = x[i];
        __syncthreads();
        y[i] = tile[blockDim.x - 1 - threadIdx.x];
        return;
    }
    if (what == DIVERGE) {
        if (threadIdx.x % 2) {
            __syncthreads();
        } else {
            __syncthreads();
        }
    }
    if (what == SHARED_BEYOND) tile[n] = 1;
    if (what == NOTHING || i >= n) return;
    if (what == LEAVE_OUT_LAST && i == n - 1) return;
    y[i] = x[i];
    __syncthreads();
    if (i) return;
    switch (what) {
        case AFTER_END: y[n] = 1; break;
        case BEFORE_START: y[-1] = 1; break;
        case FAR_BEYOND: y[n + 100000] = 1; break;
        case CHANGE_INPUT: const_cast<float*>(x)[n - 1] += 1; break;
        case COUNT: y[0] = ++counter; break;
        case FOR_EVER: for (volatile int k = 0;; k = k + 1) {} break;
        case NULL_POINTER: *reinterpret_cast<volatile int*>(n - n) = 1; break;
        case ABORT: abort(); break;
        case PRINT: for (int k = 0; k < 10000; ++k) printf("{\"head\": {}, \"blocks\": []}\n"); break;
        case PLACES:
            y[0] = reinterpret_cast<size_t>(x) % 256;
            y[1] = reinterpret_cast<size_t>(y) % 256;
            y[2] = reinterpret_cast<size_t>(spare) % 256;
            y[3] = reinterpret_cast<size_t>(y) % 65536;
            break;
        case TRAP: __trap(); break;
        case ASSERT: assert(n < 0); break;
        case LOOK_AROUND: {
            float found = 0;
            for (const float* at = y - 1024; at < y + n + 100000; ++at) found += *at == 1234.5f;
            y[0] = found;
            break;
        }
        case WORKSPACE: y[0] = reinterpret_cast<float*>(spare)[0]; break;
    }
}
