// Instruction-level parallelism: a fixed grid walks the array, and each thread has LOADS
// independent loads in flight before the first value is needed.

template <int LOADS>
__device__ void copy_in_flight(const float* in, float* out, int n) {
  int step = gridDim.x * blockDim.x;
  int i = blockIdx.x * blockDim.x + threadIdx.x;
#pragma unroll 1  // left alone, the compiler would put more loads in flight
  for (; (LOADS - 1) * step < n - i; i += LOADS * step) {
    float item[LOADS];
#pragma unroll
    for (int k = 0; k < LOADS; ++k) item[k] = in[i + k * step];
#pragma unroll
    for (int k = 0; k < LOADS; ++k) out[i + k * step] = item[k];
  }
  // what is left is less than LOADS floats a thread
#pragma unroll 1
  for (; i < n; i += step) out[i] = in[i];
}

// Step 1. One load, then its store: a warp waits for memory at every element.
extern "C" __global__ void copy_ilp1(const float* __restrict__ in, float* __restrict__ out,
                                     int n) {
  copy_in_flight<1>(in, out, n);
}

// Step 2. Two loads in flight: half the waits.
extern "C" __global__ void copy_ilp2(const float* __restrict__ in, float* __restrict__ out,
                                     int n) {
  copy_in_flight<2>(in, out, n);
}

// Step 3. Four loads in flight: a quarter of the waits.
extern "C" __global__ void copy_ilp4(const float* __restrict__ in, float* __restrict__ out,
                                     int n) {
  copy_in_flight<4>(in, out, n);
}

// Step 4. Eight loads in flight: few warps now keep memory as busy as many did.
extern "C" __global__ void copy_ilp8(const float* __restrict__ in, float* __restrict__ out,
                                     int n) {
  copy_in_flight<8>(in, out, n);
}
