// launch: grid=(rows) block=(96)
extern "C" __global__ void row_sum(const T* x, float* sums, int rows, int cols) {
  __shared__ float parts[3];
  float sum = 0.0f;
  for (int col = threadIdx.x; col < cols; col += blockDim.x)
    sum += static_cast<float>(x[(long long)blockIdx.x * cols + col]);
  for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_down_sync(0xffffffffu, sum, apart);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x == 0) sums[blockIdx.x] = parts[0] + parts[1] + parts[2];
}
