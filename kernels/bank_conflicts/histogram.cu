// How often each of 256 byte values occurs. `counts` must be zero before the launch.

constexpr int BINS = 256;
constexpr int THREADS = 256;
constexpr int WARPS = THREADS / 32;

// Calls `count` with every byte of `in`, each once: 16 of them a load but for the ends, so that what
// takes time is the counting.
template <class Count>
__device__ void each_byte(const unsigned char* in, size_t n, Count count) {
  size_t thread = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  size_t threads = size_t(gridDim.x) * blockDim.x;
  size_t head = -reinterpret_cast<size_t>(in) & 15;
  if (head > n) head = n;
  size_t vectors = (n - head) / 16, tail = head + 16 * vectors;
  if (thread < head) count(in[thread]);
  if (thread < n - tail) count(in[tail + thread]);
  for (size_t v = thread; v < vectors; v += threads) {
    uint4 four = reinterpret_cast<const uint4*>(in + head)[v];
    unsigned words[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
    for (int k = 0; k < 16; ++k) count(words[k / 4] >> k % 4 * 8 & 255);
  }
}

// Step 1. Every byte is an atomic addition in global memory. Bytes that are alike queue up at one
// address in L2.
extern "C" __global__ void histogram_global(const unsigned char* __restrict__ in,
                                            unsigned* __restrict__ counts, size_t n) {
  each_byte(in, n, [&](int bin) { atomicAdd(&counts[bin], 1u); });
}

// COPIES histograms in shared memory, each for its share of the block's warps; added up at the end.
template <int COPIES>
__device__ void histogram_by_copies(const unsigned char* in, unsigned* counts, size_t n) {
  __shared__ unsigned copies[COPIES][BINS];
  for (int k = threadIdx.x; k < COPIES * BINS; k += THREADS) copies[0][k] = 0;
  __syncthreads();

  unsigned* mine = copies[threadIdx.x / 32 % COPIES];
  each_byte(in, n, [&](int bin) { atomicAdd(&mine[bin], 1u); });
  __syncthreads();

  unsigned sum = 0;
  for (int k = 0; k < COPIES; ++k) sum += copies[k][threadIdx.x];
  if (sum != 0) atomicAdd(&counts[threadIdx.x], sum);
}

// Step 2. One histogram a block: 256 global additions at the end instead of one a byte. Lanes that
// add 1 to the same word are counted first (ATOMS.POPC.INC) and cost one wavefront together; those
// at other words of the same bank wait for one another, and so do the block's eight warps.
extern "C" __global__ void __launch_bounds__(THREADS)
histogram_shared(const unsigned char* __restrict__ in, unsigned* __restrict__ counts, size_t n) {
  histogram_by_copies<1>(in, counts, n);
}

// Step 3. One a warp: no warp waits for another's word. The lanes of a warp meet in banks as before.
extern "C" __global__ void __launch_bounds__(THREADS)
histogram_warps(const unsigned char* __restrict__ in, unsigned* __restrict__ counts, size_t n) {
  histogram_by_copies<WARPS>(in, counts, n);
}

// Step 4. One a lane: lane i keeps its 256 counters in bank i, whatever the data, so that an
// addition is never more than one wavefront. The block's warps share the 32 copies.
extern "C" __global__ void __launch_bounds__(THREADS)
histogram_lanes(const unsigned char* __restrict__ in, unsigned* __restrict__ counts, size_t n) {
  __shared__ unsigned copies[BINS * 32];  // counter of bin b and lane i: 32 b + i
  for (int k = threadIdx.x; k < BINS * 32; k += THREADS) copies[k] = 0;
  __syncthreads();

  int lane = threadIdx.x % 32;
  each_byte(in, n, [&](int bin) { atomicAdd(&copies[bin * 32 + lane], 1u); });
  __syncthreads();

  // thread b adds up the 32 counters of bin b, beginning with another lane's than its neighbours
  unsigned sum = 0;
  for (int k = 0; k < 32; ++k) sum += copies[threadIdx.x * 32 + (k + lane) % 32];
  if (sum != 0) atomicAdd(&counts[threadIdx.x], sum);
}
