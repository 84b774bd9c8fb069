// launch: grid=(ceil_div(n, 16), ceil_div(m, 16)) block=(16, 16)
extern "C" __global__ void matmul(const T* a, const T* b, T* c, int m, int n, int k) {
  __shared__ float left[16][16];
  __shared__ float right[16][16];
  int col = blockIdx.x * 16 + threadIdx.x;
  int row = blockIdx.y * 16 + threadIdx.y;
  float sum = 0.0f;
  for (int start = 0; start < k; start += 16) {
    int along = start + threadIdx.x;
    int down = start + threadIdx.y;
    left[threadIdx.y][threadIdx.x] = row < m && along < k ? static_cast<float>(a[(long long)row * k + along]) : 0.0f;
    right[threadIdx.y][threadIdx.x] = down < k && col < n ? static_cast<float>(b[(long long)down * n + col]) : 0.0f;
    __syncthreads();
    for (int i = 0; i < 16; ++i) sum += left[threadIdx.y][i] * right[i][threadIdx.x];
    __syncthreads();
  }
  if (row < m && col < n) c[(long long)row * n + col] = static_cast<T>(sum);
}
