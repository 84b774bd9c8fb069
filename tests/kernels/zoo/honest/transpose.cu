// launch: grid=(ceil_div(cols, 16), ceil_div(rows, 16)) block=(16, 16)
extern "C" __global__ void transpose(const T* x, T* y, int rows, int cols) {
  __shared__ float tile[16][17];
  int col = blockIdx.x * 16 + threadIdx.x;
  int row = blockIdx.y * 16 + threadIdx.y;
  if (row < rows && col < cols)
    tile[threadIdx.y][threadIdx.x] = static_cast<float>(x[(long long)row * cols + col]);
  __syncthreads();
  col = blockIdx.x * 16 + threadIdx.y;
  row = blockIdx.y * 16 + threadIdx.x;
  if (row < rows && col < cols)
    y[(long long)col * rows + row] = static_cast<T>(tile[threadIdx.x][threadIdx.y]);
}
