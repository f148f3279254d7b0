// The best k so far, where rows arrive in pieces: other kernels include this and offer what they
// compute, so that it need not be written to memory.
//
//   Running<true, 2> best(k);                 // a block a row, k up to 32 * 2
//   best.load(values, indices);               // what is known: one warp takes it in
//   for (...) best.offer(key, index, there);  // all lanes of a warp together
//   best.store(values, indices, handed);      // all threads of the block together
//
// Keys come back from their ranks: -0 as 0, and NaN as the one with all bits of its fraction set.
#pragma once

#include "queues.cuh"

__device__ float real_of(unsigned rank) {
  return __uint_as_float(rank & 0x80000000u ? rank & 0x7FFFFFFFu : ~rank);
}
__device__ void unrank(unsigned rank, float& key) { key = real_of(rank); }
__device__ void unrank(unsigned rank, __half& key) { key = __float2half(real_of(rank)); }
__device__ void unrank(unsigned rank, __nv_bfloat16& key) { key = __float2bfloat16(real_of(rank)); }
__device__ void unrank(unsigned rank, int& key) { key = int(rank ^ 0x80000000u); }
__device__ void unrank(unsigned rank, unsigned& key) { key = rank; }

template <bool LARGEST, int N>
struct Running {
  ThreadQueues<N, (N < 4 ? N : 4)> queues;

  __device__ explicit Running(int k) : queues(k, nullptr) {}

  // What earlier pieces left; index -1 where there is nothing yet.
  template <class Key>
  __device__ void load(const Key* values, const int* indices) {
    if (threadIdx.x / 32 == 0) {
      for (int first = 0; first < queues.k; first += 32) {
        int at = first + lane_id(), index = at < queues.k ? indices[at] : -1;
        offer(index >= 0 ? values[at] : Key(), unsigned(index), index >= 0);
      }
    }
  }
  template <class Key>
  __device__ void offer(Key key, unsigned index, bool there) {
    queues.add(there ? entry_of(rank_of<LARGEST>(key), index) : 0);
  }
  // The best of all the block's warps, the best first. `handed`: shared memory for the queues of
  // half of them, 32 * N entries each. The block's warps are a power of two.
  template <class Key>
  __device__ void store(Key* values, int* indices, Entry* handed) {
    queues.finish();
    merge_warps(queues.best, handed);
    if (threadIdx.x >= 32) return;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      int at = i * 32 + lane_id();
      if (at >= queues.k) continue;
      Entry e = queues.best[i];
      unsigned rank = unsigned(e >> 32);
      values[at] = Key();
      if (e) unrank(LARGEST ? rank : ~rank, values[at]);
      indices[at] = e ? int(index_of(e)) : -1;
    }
  }
};
