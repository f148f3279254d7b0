// Sort, and take k: a radix sort of entries from the last digit to the first, 8 bits a pass.
//
// A pass is three launches: sort_count counts the digits of each block's part of a row; sort_scan
// makes of the counts the places where each block's entries of each digit go; sort_scatter takes
// them there. Entries of equal digits stay in order, so that the passes add up. All n elements are
// written once a pass, to find k of them: that is what the other steps save.
// sort_few sorts as many as fit in shared memory, by a bitonic network, in one launch.

#include "select.cuh"

constexpr int DIGITS = 256;
constexpr int BLOCK = DIGITS;  // threads of a block: one looks after each digit
constexpr int WARPS = BLOCK / 32;

// The best digit is 0, so that the best entries come first.
__device__ unsigned digit_of(Entry e, int shift) { return ~unsigned(e >> shift) % DIGITS; }

// Entries of the part of a row that one of its blocks has.
struct Part {
  unsigned first, end;
  __device__ explicit Part(unsigned n) {
    unsigned each = ((n - 1) / gridDim.x / BLOCK + 1) * BLOCK;
    first = unsigned(min(size_t(blockIdx.x) * each, size_t(n)));
    end = unsigned(min(size_t(first) + each, size_t(n)));
  }
};

// counts: (rows, DIGITS, blocks of a row)
extern "C" __global__ void __launch_bounds__(BLOCK)
sort_count(const Entry* from, unsigned* counts, unsigned n, int shift) {
  __shared__ unsigned bins[DIGITS];
  bins[threadIdx.x] = 0;
  __syncthreads();
  Part part(n);
  from += size_t(blockIdx.y) * n;
  for (unsigned at = part.first + threadIdx.x; at < part.end; at += BLOCK)
    atomicAdd(&bins[digit_of(from[at], shift)], 1);
  __syncthreads();
  counts[(size_t(blockIdx.y) * DIGITS + threadIdx.x) * gridDim.x + blockIdx.x] = bins[threadIdx.x];
}

// Each of a row's `size` counts becomes the sum of those before it.
extern "C" __global__ void __launch_bounds__(THREADS) sort_scan(unsigned* counts, unsigned size) {
  __shared__ Scratch s;
  counts += size_t(blockIdx.x) * size;
  unsigned sum = 0;
  for (unsigned first = 0; first < size; first += THREADS) {
    unsigned at = first + threadIdx.x, count = at < size ? counts[at] : 0;
    unsigned before = sum_before(count, s);
    if (at < size) counts[at] = sum + before;
    if (threadIdx.x == THREADS - 1) s.count = before + count;
    __syncthreads();
    sum += s.count;
    __syncthreads();
  }
}

extern "C" __global__ void __launch_bounds__(BLOCK)
sort_scatter(const Entry* from, Entry* to, const unsigned* starts, unsigned n, int shift) {
  __shared__ unsigned next[DIGITS];          // where the next entry of a digit goes
  __shared__ unsigned counts[WARPS][DIGITS];  // of each warp's entries
  int t = threadIdx.x, warp = t / 32, lane = t % 32;
  next[t] = starts[(size_t(blockIdx.y) * DIGITS + t) * gridDim.x + blockIdx.x];
  Part part(n);
  from += size_t(blockIdx.y) * n, to += size_t(blockIdx.y) * n;
  for (unsigned first = part.first; first < part.end; first += BLOCK) {
#pragma unroll
    for (int w = 0; w < WARPS; ++w) counts[w][t] = 0;
    __syncthreads();
    bool here = t < part.end - first;
    Entry e = here ? from[first + t] : 0;
    unsigned digit = here ? digit_of(e, shift) : DIGITS;
    unsigned same = __match_any_sync(~0u, digit);
    unsigned before = __popc(same & ((1u << lane) - 1));
    if (here && before == 0) counts[warp][digit] = __popc(same);
    __syncthreads();
    if (here) {
      for (int w = 0; w < warp; ++w) before += counts[w][digit];
      to[next[digit] + before] = e;
    }
    __syncthreads();
#pragma unroll
    for (int w = 0; w < WARPS; ++w) next[t] += counts[w][t];
  }
}

// Entries of whole rows; 0 behind the last of a shorter one. The grid covers n, and rows.
template <bool LARGEST, class Key>
__device__ void sort_entries(const Key* keys, const int* lengths, Entry* to, unsigned n) {
  unsigned at = blockIdx.x * BLOCK + threadIdx.x;
  if (at >= n) return;
  auto row = row_of<LARGEST>(keys, lengths, n, blockIdx.y);
  to[size_t(blockIdx.y) * n + at] = at < row.length ? row[at] : 0;
}

// Entries of what was selected: n is that of a row of keys.
template <bool LARGEST, class Key>
__device__ void sort_found(const Key* keys, const int*, const int* indices, Entry* to, unsigned n,
                           unsigned k) {
  unsigned at = blockIdx.x * BLOCK + threadIdx.x;
  if (at >= k) return;
  Row<LARGEST, Key> row{keys + size_t(blockIdx.y) * n, n};
  int index = indices[size_t(blockIdx.y) * k + at];
  to[size_t(blockIdx.y) * k + at] = index >= 0 ? row[index] : 0;
}

// The first k of each `stride` entries: the keys that lie there, and their indices.
template <bool LARGEST, class Key>
__device__ void sort_take(const Key* keys, const int*, const Entry* from, Key* values, int* indices,
                          unsigned n, unsigned stride, unsigned k) {
  unsigned at = blockIdx.x * BLOCK + threadIdx.x;
  if (at >= k) return;
  Entry e = from[size_t(blockIdx.y) * stride + at];
  size_t to = size_t(blockIdx.y) * k + at;
  values[to] = e ? keys[size_t(blockIdx.y) * n + index_of(e)] : Key();
  indices[to] = e ? int(index_of(e)) : -1;
}

// Sorts what was selected of a row where it lies. `size`, a power of two, is k or more.
template <bool LARGEST, class Key>
__device__ void sort_few(const Key* keys, const int*, Key* values, int* indices, unsigned n,
                         unsigned k, unsigned size) {
  extern __shared__ Entry list[];
  Row<LARGEST, Key> row{keys + size_t(blockIdx.x) * n, n};
  values += size_t(blockIdx.x) * k, indices += size_t(blockIdx.x) * k;
  for (unsigned i = threadIdx.x; i < size; i += BLOCK) {
    int index = i < k ? indices[i] : -1;
    list[i] = index >= 0 ? row[index] : 0;
  }
  for (unsigned run = 2; run <= size; run *= 2) {
    for (unsigned d = run / 2; d > 0; d /= 2) {
      __syncthreads();
      for (unsigned pair = threadIdx.x; pair < size / 2; pair += BLOCK) {
        unsigned i = pair / d * 2 * d + pair % d, j = i + d;
        Entry a = list[i], b = list[j];
        bool falls = (i & run) == 0;
        if ((a < b) == falls) list[i] = b, list[j] = a;
      }
    }
  }
  __syncthreads();
  for (unsigned i = threadIdx.x; i < k; i += BLOCK) {
    Entry e = list[i];
    values[i] = e ? row.keys[index_of(e)] : Key();
    indices[i] = e ? int(index_of(e)) : -1;
  }
}
