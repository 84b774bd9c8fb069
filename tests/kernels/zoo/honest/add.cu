// launch: grid=(min(ceil_div(rows * cols, 128), 64)) block=(128)
extern "C" __global__ void add(const T* x, const T* residual, T* y, int rows, int cols) {
  long long count = (long long)rows * cols;
  long long stride = (long long)gridDim.x * blockDim.x;
  for (long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x; at < count; at += stride)
    y[at] = static_cast<T>(static_cast<float>(x[at]) + static_cast<float>(residual[at]));
}
