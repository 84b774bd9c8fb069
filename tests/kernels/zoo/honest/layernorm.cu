__device__ float block_sum(float value, float* parts) {
  parts[threadIdx.x] = value;
  __syncthreads();
  for (int half = blockDim.x / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
    __syncthreads();
  }
  float sum = parts[0];
  __syncthreads();
  return sum;
}

// launch: grid=(rows) block=(64) smem=64 * 4
extern "C" __global__ void layernorm(const T* x, const T* w, const T* b, T* y, int rows, int cols, float eps) {
  extern __shared__ float parts[];
  const T* row = x + (long long)blockIdx.x * cols;
  float sum = 0.0f;
  for (int col = threadIdx.x; col < cols; col += blockDim.x) sum += static_cast<float>(row[col]);
  float mean = block_sum(sum, parts) / cols;
  float squares = 0.0f;
  for (int col = threadIdx.x; col < cols; col += blockDim.x) {
    float apart = static_cast<float>(row[col]) - mean;
    squares += apart * apart;
  }
  float scale = rsqrtf(block_sum(squares, parts) / cols + eps);
  for (int col = threadIdx.x; col < cols; col += blockDim.x) {
    float value = (static_cast<float>(row[col]) - mean) * scale;
    value = value * static_cast<float>(w[col]) + static_cast<float>(b[col]);
    y[(long long)blockIdx.x * cols + col] = static_cast<T>(value);
  }
}
