__device__ float warp_max(float value) {
  for (int apart = 16; apart > 0; apart /= 2) value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, apart));
  return value;
}

__device__ float warp_sum(float value) {
  for (int apart = 16; apart > 0; apart /= 2) value += __shfl_xor_sync(0xffffffffu, value, apart);
  return value;
}

// One warp a row.
// launch: grid=(ceil_div(rows, 4)) block=(32, 4)
extern "C" __global__ void softmax(const T* x, T* y, int rows, int cols) {
  int at = blockIdx.x * blockDim.y + threadIdx.y;
  if (at >= rows) return;
  const T* row = x + (long long)at * cols;
  float most = -INFINITY;
  for (int col = threadIdx.x; col < cols; col += 32) most = fmaxf(most, static_cast<float>(row[col]));
  most = warp_max(most);
  float sum = 0.0f;
  for (int col = threadIdx.x; col < cols; col += 32) sum += expf(static_cast<float>(row[col]) - most);
  sum = warp_sum(sum);
  for (int col = threadIdx.x; col < cols; col += 32)
    y[(long long)at * cols + col] = static_cast<T>(expf(static_cast<float>(row[col]) - most) / sum);
}
