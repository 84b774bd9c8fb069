// launch: grid=(ceil_div(n, 256)) block=(256)
extern "C" __global__ void gelu(const T* x, T* y, int n) {
  int at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= n) return;
  float value = static_cast<float>(x[at]);
  // erfc and not 1 + erf: far below zero that would cancel.
  y[at] = static_cast<T>(0.5f * value * erfcf(-value * 0.70710678118654752f));
}
