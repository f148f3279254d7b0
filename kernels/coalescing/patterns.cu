// What a warp's addresses cost: one float a thread, written aligned, read in three ways.

// Step 1. Lane i reads float i: 128 bytes in 4 sectors of 32.
extern "C" __global__ void copy_aligned(const float* __restrict__ in, float* __restrict__ out,
                                        int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = in[i];
}

// Step 2. Moved by `offset` floats, the same 128 bytes straddle 5 sectors unless it is a multiple
// of 8.
extern "C" __global__ void copy_offset(const float* __restrict__ in, float* __restrict__ out,
                                       int n, int offset) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = in[i + offset];
}

// Step 3. `stride` floats apart: 8 sectors at 2, 32 from 8 on, one for each lane.
extern "C" __global__ void copy_stride(const float* __restrict__ in, float* __restrict__ out,
                                       int n, int stride) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = in[i * stride];
}
