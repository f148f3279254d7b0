// What the chip can do: the ceilings that kernels are held against.

// Reads every vector once. What it makes of them is stored only if it is a number that random bits
// do not give.
extern "C" __global__ void read_only(const uint4* __restrict__ in, unsigned* out, size_t n) {
  constexpr int LOADS = 8;
  unsigned all = ~0u;
  size_t step = size_t(gridDim.x) * blockDim.x;
  size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  for (; i + (LOADS - 1) * step < n; i += LOADS * step) {
    uint4 item[LOADS];
#pragma unroll
    for (int k = 0; k < LOADS; ++k) item[k] = in[i + k * step];
#pragma unroll
    for (int k = 0; k < LOADS; ++k) all ^= item[k].x ^ item[k].y ^ item[k].z ^ item[k].w;
  }
  for (; i < n; i += step) all ^= in[i].x ^ in[i].y ^ in[i].z ^ in[i].w;
  if (all == 0xDEADBEEFu) out[0] = all;
}

// Writes every vector once.
extern "C" __global__ void write_only(uint4* __restrict__ out, unsigned value, size_t n) {
  size_t step = size_t(gridDim.x) * blockDim.x;
  for (size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step)
    out[i] = make_uint4(value, value, value, value);
}

// 8 independent chains of fused multiply-adds a thread: 16 * rounds floating-point operations.
extern "C" __global__ void multiply_add(float* out, float a, float b, int rounds) {
  float chain[8];
#pragma unroll
  for (int k = 0; k < 8; ++k) chain[k] = threadIdx.x + k;
#pragma unroll 16
  for (int round = 0; round < rounds; ++round) {
#pragma unroll
    for (int k = 0; k < 8; ++k) chain[k] = fmaf(chain[k], a, b);
  }
  float sum = 0;
#pragma unroll
  for (int k = 0; k < 8; ++k) sum += chain[k];
  out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

// Nothing: what starting a grid costs.
extern "C" __global__ void nothing() {}
