// launch: grid=(rows) block=(128)
extern "C" __global__ void rmsnorm(const T* x, const T* w, T* y, int rows, int cols, float eps) {
  __shared__ float parts[128];
  const T* row = x + (long long)blockIdx.x * cols;
  float sum = 0.0f;
  for (int col = threadIdx.x; col < cols; col += blockDim.x) {
    float value = static_cast<float>(row[col]);
    sum += value * value;
  }
  parts[threadIdx.x] = sum;
  __syncthreads();
  for (int half = blockDim.x / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
    __syncthreads();
  }
  float scale = rsqrtf(parts[0] / cols + eps);
  for (int col = threadIdx.x; col < cols; col += blockDim.x) {
    float value = static_cast<float>(row[col]) * scale * static_cast<float>(w[col]);
    y[(long long)blockIdx.x * cols + col] = static_cast<T>(value);
  }
}
