// Latencies: one thread does the same thing again and again, each time with what the last one gave.

// A dependent FFMA. The clocks are those of STEPS * rounds of them.
constexpr int STEPS = 128;

extern "C" __global__ void latency_ffma(const float* __restrict__ factors,
                                        long long* __restrict__ clocks, float* __restrict__ out,
                                        int rounds) {
  float a = factors[0], b = factors[1], x = factors[2];
  long long begin = clock64();
#pragma unroll 1
  for (int round = 0; round < rounds; ++round) {
#pragma unroll
    for (int s = 0; s < STEPS; ++s) x = fmaf(x, a, b);
  }
  *out = x;
  *clocks = clock64() - begin;
}

// A dependent load from global memory: `links[i]` says where to read next. Which memory answers
// is up to how far apart the links are, and whether it has been walked before.
extern "C" __global__ void latency_global(const int* __restrict__ links,
                                          long long* __restrict__ clocks, int* __restrict__ out,
                                          int start, int hops) {
  int at = start;
  long long begin = clock64();
#pragma unroll 1
  for (int hop = 0; hop < hops; ++hop) at = links[at];
  *out = at;
  *clocks = clock64() - begin;
}

// A dependent load from shared memory.
constexpr int SHARED_LINKS = 1024;

extern "C" __global__ void latency_shared(const int* __restrict__ links,
                                          long long* __restrict__ clocks, int* __restrict__ out,
                                          int start, int hops) {
  __shared__ int near[SHARED_LINKS];
  for (int i = 0; i < SHARED_LINKS; ++i) near[i] = links[i];
  int at = start;
  long long begin = clock64();
#pragma unroll 1
  for (int hop = 0; hop < hops; ++hop) at = near[at];
  *out = at;
  *clocks = clock64() - begin;
}
