// What a warp's addresses in shared memory cost: each lane reads the element whose number it is
// given, so that one kernel shows strides, broadcasts, permutations and chance alike.

constexpr int PLACES = 1024;  // elements that a lane may be given
constexpr int LOADS = 8;      // a round

__device__ void mix(unsigned& x, unsigned y) { x ^= y; }

__device__ void mix(uint2& x, uint2 y) {
  mix(x.x, y.x);
  mix(x.y, y.y);
}

__device__ void mix(uint4& x, uint4 y) {
  mix(x.x, y.x);
  mix(x.y, y.y);
  mix(x.z, y.z);
  mix(x.w, y.w);
}

// A round's loads are 128 bytes apart, and rounds change all lanes' places by the same xor. Both
// leave alone which lanes share a bank, so that every load costs what the first one does.
template <class Element>
__device__ void read_places(const Element* table, const int* places, Element* out, int n,
                            int rounds) {
  constexpr int ROW = 128 / sizeof(Element);  // elements that fill the 32 banks once
  constexpr int ELEMENTS = PLACES + (LOADS - 1) * ROW;
  __shared__ Element tile[ELEMENTS];
  for (int k = threadIdx.x; k < ELEMENTS; k += blockDim.x) tile[k] = table[k];
  __syncthreads();

  int place = places[threadIdx.x % 32];
  Element found = {};
  for (int round = 0; round < rounds; ++round) {
    const Element* from = tile + (place ^ round % 32);
#pragma unroll
    for (int k = 0; k < LOADS; ++k) mix(found, from[k * ROW]);
  }
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = found;
}

// 4 bytes a lane: the warp's 32 words are served together.
extern "C" __global__ void read_shared_4(const unsigned* __restrict__ table,
                                         const int* __restrict__ places,
                                         unsigned* __restrict__ out, int n, int rounds) {
  read_places(table, places, out, n, rounds);
}

// 8 bytes a lane: half a warp at a time.
extern "C" __global__ void read_shared_8(const uint2* __restrict__ table,
                                         const int* __restrict__ places,
                                         uint2* __restrict__ out, int n, int rounds) {
  read_places(table, places, out, n, rounds);
}

// 16 bytes a lane: a quarter of a warp at a time.
extern "C" __global__ void read_shared_16(const uint4* __restrict__ table,
                                          const int* __restrict__ places,
                                          uint4* __restrict__ out, int n, int rounds) {
  read_places(table, places, out, n, rounds);
}
