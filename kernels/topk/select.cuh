// Selection by one block of THREADS threads: which entry is the k-th, and which are better.
#pragma once

#include "keys.cuh"

constexpr int THREADS = 1024;
constexpr int BINS = 2048;
constexpr int FEW = THREADS;  // that are sorted, an entry a thread

struct Scratch {
  unsigned bins[BINS];
  Entry few[FEW];
  Entry entry;
  unsigned warps[THREADS / 32];
  unsigned number[2];
};

// The sum of what the threads before this one have, in the order of `thread`.
__device__ unsigned sum_before(unsigned value, Scratch& s) {
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  unsigned sum = value;
#pragma unroll
  for (int d = 1; d < 32; d *= 2) {
    unsigned other = __shfl_up_sync(~0u, sum, d);
    if (lane >= d) sum += other;
  }
  if (lane == 31) s.warps[warp] = sum;
  __syncthreads();
  if (warp == 0) {
    unsigned all = s.warps[lane], before = all;
#pragma unroll
    for (int d = 1; d < 32; d *= 2) {
      unsigned other = __shfl_up_sync(~0u, all, d);
      if (lane >= d) all += other;
    }
    s.warps[lane] = all - before;
  }
  __syncthreads();
  return s.warps[warp] + sum - value;
}

// The largest of all threads' entries.
__device__ Entry largest_of_all(Entry mine, Scratch& s) {
#pragma unroll
  for (int d = 16; d > 0; d /= 2) mine = max(mine, __shfl_xor_sync(~0u, mine, d));
  __syncthreads();
  if (threadIdx.x % 32 == 0) s.few[threadIdx.x / 32] = mine;
  __syncthreads();
  Entry all = s.few[threadIdx.x % 32];
#pragma unroll
  for (int d = 16; d > 0; d /= 2) all = max(all, __shfl_xor_sync(~0u, all, d));
  __syncthreads();
  return all;
}

// Bitonic, the largest first; `size` is a power of two.
__device__ void sort_descending(Entry* entries, unsigned size) {
  for (unsigned run = 2; run <= size; run *= 2)
    for (unsigned apart = run / 2; apart > 0; apart /= 2) {
      for (unsigned t = threadIdx.x; t < size / 2; t += THREADS) {
        unsigned low = 2 * t - t % apart, high = low + apart;
        Entry a = entries[low], b = entries[high];
        bool descending = (low & run) == 0;
        if ((a < b) == descending) entries[low] = b, entries[high] = a;
      }
      __syncthreads();
    }
}

// The k-th largest entry of `source`, 1 <= k <= its count. All lie between `low` and `high`.
//
// Entries between the two are counted in BINS intervals of equal width, the bin of the k-th becomes
// the new range, and so on until it has FEW entries. Digits that all have in common cost nothing,
// since the range starts where the entries differ.
template <class Source>
__device__ Entry kth(const Source& source, unsigned k, Entry low, Entry high, Scratch& s) {
  unsigned rounds = (source.count() + THREADS - 1) / THREADS;
  while (true) {
    if (low == high) return low;
    int width = 64 - __clzll(low ^ high);          // the digits that differ
    int shift = max(width - 11, 0);                // 2048 bins
    Entry base = low >> shift;
    for (int b = threadIdx.x; b < BINS; b += THREADS) s.bins[b] = 0;
    __syncthreads();
#pragma unroll 4
    for (unsigned round = 0; round < rounds; ++round) {
      unsigned i = round * THREADS + threadIdx.x;
      Entry e = i < source.count() ? source[i] : 0;
      // Lanes that mean the same bin are added up by the hardware, since nobody asks for its sum.
      if (i < source.count() && e >= low && e <= high)
        atomicAdd(&s.bins[unsigned((e >> shift) - base)], 1);
    }
    __syncthreads();
    // bins from the last to the first, two a thread
    unsigned last = BINS - 1 - 2 * threadIdx.x;
    unsigned a = s.bins[last], b = s.bins[last - 1];
    unsigned before = sum_before(a + b, s);
    if (before < k && k <= before + a) s.number[0] = last, s.number[1] = before;
    if (before + a < k && k <= before + a + b) s.number[0] = last - 1, s.number[1] = before + a;
    __syncthreads();
    unsigned bin = s.number[0], inside = s.bins[bin];
    k -= s.number[1];
    low = max(low, (base + bin) << shift);
    high = min(high, low | ((Entry(1) << shift) - 1));
    __syncthreads();
    if (shift == 0) return low;
    if (inside <= FEW) {
      if (threadIdx.x == 0) s.number[0] = 0;
      s.few[threadIdx.x] = 0;
      __syncthreads();
      for (unsigned i = threadIdx.x; i < source.count(); i += THREADS) {
        Entry e = source[i];
        if (e >= low && e <= high) s.few[atomicAdd(&s.number[0], 1)] = e;
      }
      __syncthreads();
      sort_descending(s.few, FEW);
      Entry found = s.few[k - 1];
      __syncthreads();
      return found;
    }
  }
}

// The smallest and the largest entry of a source that is not empty.
struct Range {
  Entry low, high;
};
template <class Source>
__device__ Range range_of(const Source& source, Scratch& s) {
  Entry low = ~Entry(0), high = 0;
#pragma unroll 4
  for (unsigned i = threadIdx.x; i < source.count(); i += THREADS) {
    Entry e = source[i];
    low = min(low, e), high = max(high, e);
  }
  return {~largest_of_all(~low, s), largest_of_all(high, s)};
}
