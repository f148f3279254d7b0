// The talk's arithmetic experiment: n warps, each with CHAINS chains of dependent FFMAs. Nothing
// but FFMAs is inside the loop, and all of them count in the result.

struct Stamp {
  long long clock, ns;  // the SM's clock, and a timer in nanoseconds
};

__device__ Stamp now() {
  Stamp stamp;
  asm volatile("mov.u64 %0, %%clock64;" : "=l"(stamp.clock));
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(stamp.ns));
  return stamp;
}

// Each warp says when it began and ended.
__device__ void keep(Stamp* stamps, Stamp begin, Stamp end) {
  int warp = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
  if (threadIdx.x % 32 == 0) {
    stamps[2 * warp] = begin;
    stamps[2 * warp + 1] = end;
  }
}

constexpr int UNROLLED = 256;  // FFMAs in the loop, at most: what counts and jumps is 1 % of it

// x = x * a + b, again and again, for CHAINS different x.
template <int CHAINS>
__device__ void ffma_chains(const float* factors, Stamp* stamps, float* out, int rounds) {
  constexpr int STEPS = UNROLLED / CHAINS;
  int thread = blockIdx.x * blockDim.x + threadIdx.x;
  float a = factors[0], b = factors[1];
  float x[CHAINS];
#pragma unroll
  for (int k = 0; k < CHAINS; ++k) x[k] = float(threadIdx.x + k);
  __syncthreads();
  Stamp begin = now();
#pragma unroll 1
  for (int round = 0; round < rounds; ++round) {
#pragma unroll
    for (int s = 0; s < STEPS; ++s)
#pragma unroll
      for (int k = 0; k < CHAINS; ++k) x[k] = fmaf(x[k], a, b);
  }
  Stamp end = now();
  float sum = 0;
#pragma unroll
  for (int k = 0; k < CHAINS; ++k) sum += x[k];
  out[thread] = sum;
  keep(stamps, begin, end);
}

// Where the operands come from: 8 chains, in which FFMA j of 16 adds the lane's weight j.
constexpr int WEIGHTS = 16;
constexpr int OPERAND_CHAINS = 8;

// Step 1. From registers: the weights are loaded once.
__device__ void ffma_from_registers(const float* weights, Stamp* stamps, float* out, int rounds) {
  int thread = blockIdx.x * blockDim.x + threadIdx.x;
  float weight[WEIGHTS], x[OPERAND_CHAINS];
#pragma unroll
  for (int j = 0; j < WEIGHTS; ++j) weight[j] = weights[32 * j + threadIdx.x % 32];
#pragma unroll
  for (int k = 0; k < OPERAND_CHAINS; ++k) x[k] = float(threadIdx.x + k);
  float a = weight[0] < 0 ? -1.0f : 1.0f;  // the compiler does not know which
  __syncthreads();
  Stamp begin = now();
#pragma unroll 1
  for (int round = 0; round < rounds; ++round)
#pragma unroll
    for (int j = 0; j < WEIGHTS; ++j)
#pragma unroll
      for (int k = 0; k < OPERAND_CHAINS; ++k) x[k] = fmaf(x[k], a, weight[j]);
  Stamp end = now();
  float sum = 0;
#pragma unroll
  for (int k = 0; k < OPERAND_CHAINS; ++k) sum += x[k];
  out[thread] = sum;
  keep(stamps, begin, end);
}

// Step 2. From shared memory: a weight that was read serves USES chains, then it is read again.
template <int USES>
__device__ void ffma_shared(const float* weights, Stamp* stamps, float* out, int rounds) {
  __shared__ volatile float weight[WEIGHTS][32];  // volatile: each read is one
  int thread = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x % 32;
  float x[OPERAND_CHAINS];
  for (int i = threadIdx.x; i < WEIGHTS * 32; i += blockDim.x) weight[i / 32][i % 32] = weights[i];
#pragma unroll
  for (int k = 0; k < OPERAND_CHAINS; ++k) x[k] = float(threadIdx.x + k);
  __syncthreads();
  float a = weight[0][lane] < 0 ? -1.0f : 1.0f;
  Stamp begin = now();
#pragma unroll 1
  for (int round = 0; round < rounds; ++round)
#pragma unroll
    for (int j = 0; j < WEIGHTS; ++j)
#pragma unroll
      for (int first = 0; first < OPERAND_CHAINS; first += USES) {
        float read = weight[j][lane];
#pragma unroll
        for (int k = first; k < first + USES; ++k) x[k] = fmaf(x[k], a, read);
      }
  Stamp end = now();
  float sum = 0;
#pragma unroll
  for (int k = 0; k < OPERAND_CHAINS; ++k) sum += x[k];
  out[thread] = sum;
  keep(stamps, begin, end);
}
