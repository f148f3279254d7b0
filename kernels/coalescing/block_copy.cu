// The talk's experiment: a block of 1024 threads copies 4096 floats, each thread 4 of them.
// Which 4 decides how many sectors a warp touches; the cache operator, whether L1 may help.

constexpr int ITEMS = 4;  // floats a thread; a block copies ITEMS * blockDim.x of them

// Step 1. Thread t takes floats 4t .. 4t+3, so at any instant a warp's lanes are 4 floats apart:
// 16 sectors a request instead of 4. L1 keeps them for the three loads that follow.
extern "C" __global__ void copy_strided(const float* __restrict__ in, float* __restrict__ out,
                                        int n) {
  int first = (blockIdx.x * blockDim.x + threadIdx.x) * ITEMS;
  float item[ITEMS];
#pragma unroll
  for (int k = 0; k < ITEMS; ++k)
    if (first + k < n) item[k] = __ldca(&in[first + k]);  // .ca: cache in all levels
#pragma unroll
  for (int k = 0; k < ITEMS; ++k)
    if (first + k < n) out[first + k] = item[k];
}

// Step 2. The same without L1: each of the four loads fetches its sectors from L2 again.
extern "C" __global__ void copy_strided_no_l1(const float* __restrict__ in,
                                              float* __restrict__ out, int n) {
  int first = (blockIdx.x * blockDim.x + threadIdx.x) * ITEMS;
  float item[ITEMS];
#pragma unroll
  for (int k = 0; k < ITEMS; ++k)
    if (first + k < n) item[k] = __ldcg(&in[first + k]);  // .cg: cache globally, in L2 only
#pragma unroll
  for (int k = 0; k < ITEMS; ++k)
    if (first + k < n) out[first + k] = item[k];
}

// Step 3. Thread t takes floats t, t + 1024, t + 2048, t + 3072: lanes are neighbours, 4 sectors
// a request.
extern "C" __global__ void copy_coalesced(const float* __restrict__ in, float* __restrict__ out,
                                          int n) {
  int first = blockIdx.x * blockDim.x * ITEMS + threadIdx.x;
  int step = blockDim.x;
  float item[ITEMS];
#pragma unroll
  for (int k = 0; k < ITEMS; ++k)
    if (first + k * step < n) item[k] = __ldca(&in[first + k * step]);
#pragma unroll
  for (int k = 0; k < ITEMS; ++k)
    if (first + k * step < n) out[first + k * step] = item[k];
}

// Step 4. The same without L1: nothing is touched twice, so L1 had nothing to give.
extern "C" __global__ void copy_coalesced_no_l1(const float* __restrict__ in,
                                                float* __restrict__ out, int n) {
  int first = blockIdx.x * blockDim.x * ITEMS + threadIdx.x;
  int step = blockDim.x;
  float item[ITEMS];
#pragma unroll
  for (int k = 0; k < ITEMS; ++k)
    if (first + k * step < n) item[k] = __ldcg(&in[first + k * step]);
#pragma unroll
  for (int k = 0; k < ITEMS; ++k)
    if (first + k * step < n) out[first + k * step] = item[k];
}
