// y = p(p(... p(x))), `rounds` times, with p of degree 15: arithmetic alone, since an x is read
// once. A thread's FFMAs wait for one another unless there are others to issue meanwhile.

constexpr int DEGREE = 15;

// Step 1. Horner, an x a thread: 15 FFMAs, each of which waits for the one before.
extern "C" __global__ void polynomial_horner(const float* __restrict__ x,
                                             const float* __restrict__ coefficients,
                                             float* __restrict__ y, int n, int rounds) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float c[DEGREE + 1];
#pragma unroll
  for (int j = 0; j <= DEGREE; ++j) c[j] = coefficients[j];
  float at = x[i];
#pragma unroll 1
  for (int round = 0; round < rounds; ++round) {
    float p = c[DEGREE];
#pragma unroll
    for (int j = DEGREE - 1; j >= 0; --j) p = fmaf(p, at, c[j]);
    at = p;
  }
  y[i] = at;
}

// Step 2. Estrin: pairs, then pairs of pairs. 18 instructions for 15, but at most 5 one after
// another: ILP out of a single x.
extern "C" __global__ void polynomial_estrin(const float* __restrict__ x,
                                             const float* __restrict__ coefficients,
                                             float* __restrict__ y, int n, int rounds) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float c[DEGREE + 1];
#pragma unroll
  for (int j = 0; j <= DEGREE; ++j) c[j] = coefficients[j];
  float at = x[i];
#pragma unroll 1
  for (int round = 0; round < rounds; ++round) {
    float at2 = at * at, at4 = at2 * at2, at8 = at4 * at4;
    float p[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) p[j] = fmaf(c[2 * j + 1], at, c[2 * j]);
#pragma unroll
    for (int j = 0; j < 4; ++j) p[j] = fmaf(p[2 * j + 1], at2, p[2 * j]);
    p[0] = fmaf(p[1], at4, p[0]);
    p[1] = fmaf(p[3], at4, p[2]);
    at = fmaf(p[1], at8, p[0]);
  }
  y[i] = at;
}

struct Stamp {
  long long clock, ns;  // the SM's clock, and a timer in nanoseconds
};

__device__ Stamp now() {
  Stamp stamp;
  asm volatile("mov.u64 %0, %%clock64;" : "=l"(stamp.clock));
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(stamp.ns));
  return stamp;
}

struct Coefficients {
  float of[DEGREE + 1];
};

// Step 3. Horner over ELEMENTS x a thread: no instruction more for each x, and ELEMENTS chains. A
// coefficient, once read from its register, may serve the next chain, too. Its instances have launch
// bounds: without, the compiler aims at 32 registers and makes fewer chains of them.
//
// Step 4. The same with coefficients that are a parameter of the kernel, by value. All threads have
// the same ones, and the compiler puts them into uniform registers. The others, which give an FFMA
// two operands a clock, then have only two to give; step 3 asks them for three, unless the FFMA just
// before asked for the same.
template <int ELEMENTS, bool STAMPED>
__device__ void polynomial_of_several(const float* x, const Coefficients& c, float* y, int n,
                                      int rounds, Stamp* stamps) {
  int first = blockIdx.x * blockDim.x * ELEMENTS + threadIdx.x;
  float at[ELEMENTS];
#pragma unroll
  for (int k = 0; k < ELEMENTS; ++k) {
    int i = first + k * blockDim.x;
    at[k] = i < n ? x[i] : 0.0f;
  }
  Stamp begin, end;
  if (STAMPED) {
    __syncthreads();
    begin = now();
  }
#pragma unroll 2  // what counts and jumps comes once in 30 FFMAs an element
  for (int round = 0; round < rounds; ++round) {
    float p[ELEMENTS];
#pragma unroll
    for (int k = 0; k < ELEMENTS; ++k) p[k] = c.of[DEGREE];
#pragma unroll
    for (int j = DEGREE - 1; j >= 0; --j)
#pragma unroll
      for (int k = 0; k < ELEMENTS; ++k) p[k] = fmaf(p[k], at[k], c.of[j]);
#pragma unroll
    for (int k = 0; k < ELEMENTS; ++k) at[k] = p[k];
  }
  if (STAMPED) {
    end = now();
    int warp = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (threadIdx.x % 32 == 0) {
      stamps[2 * warp] = begin;
      stamps[2 * warp + 1] = end;
    }
  }
#pragma unroll
  for (int k = 0; k < ELEMENTS; ++k) {
    int i = first + k * blockDim.x;
    if (i < n) y[i] = at[k];
  }
}

__device__ Coefficients loaded(const float* coefficients) {
  Coefficients c;
#pragma unroll
  for (int j = 0; j <= DEGREE; ++j) c.of[j] = coefficients[j];
  return c;
}
