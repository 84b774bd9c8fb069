// launch: grid=(rows) block=(64)
extern "C" __global__ void scale_shift(T* x, const T* scale, const T* shift, int rows, int cols) {
  T* row = x + (long long)blockIdx.x * cols;
  for (int col = threadIdx.x; col < cols; col += blockDim.x)
    row[col] = static_cast<T>(fmaf(static_cast<float>(row[col]), static_cast<float>(scale[col]), static_cast<float>(shift[col])));
}
