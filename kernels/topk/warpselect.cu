// Queues in registers: the best k so far, sorted, to which what may be better is added.
//
// topk_warp_select: a warp a row. Each lane has a queue of its own; when one is full, all are sorted
//   and merged into the warp's.
// topk_block_select: several warps a row, whose queues are merged at the end.
// topk_grid_select: many blocks a row, whose queues are merged by a second launch; and the lanes of
//   a warp share one queue of candidates, which is full only when it has as many as it can hold.
// A queue has 32 * N places, of which the first k count. Instances of the templates are made in
// warpselect.py.

#include "queues.cuh"

// A warp writes the first k of its queue: the keys that lie there, and their indices; -1 where the
// row has ended.
template <bool LARGEST, class Key, int N>
__device__ void write(const Entry (&best)[N], const Row<LARGEST, Key>& row, Key* values,
                      int* indices, unsigned k, unsigned r) {
  values += size_t(r) * k, indices += size_t(r) * k;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    unsigned place = i * 32 + lane_id();
    if (place >= k) continue;
    values[place] = best[i] ? row.keys[index_of(best[i])] : Key();
    indices[place] = best[i] ? int(index_of(best[i])) : -1;
  }
}

template <bool LARGEST, int N, int T, class Key>
__device__ void topk_warp_select(const Key* keys, const int* lengths, Key* values, int* indices,
                                 unsigned n, unsigned k, unsigned rows) {
  unsigned r = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
  if (r >= rows) return;
  auto row = row_of<LARGEST>(keys, lengths, n, r);
  ThreadQueues<N, T> queues(k, nullptr);
  visit_together(row, row.length, 0, 1, [&](Entry e) { queues.add(e); });
  queues.finish();
  write(queues.best, row, values, indices, k, r);
}

template <bool LARGEST, int N, int T, class Key>
__device__ void topk_block_select(const Key* keys, const int* lengths, Key* values, int* indices,
                                  unsigned n, unsigned k) {
  extern __shared__ Entry handed[];
  auto row = row_of<LARGEST>(keys, lengths, n, blockIdx.x);
  ThreadQueues<N, T> queues(k, nullptr);
  visit_together(row, row.length, threadIdx.x / 32, blockDim.x / 32,
                 [&](Entry e) { queues.add(e); });
  queues.finish();
  merge_warps(queues.best, handed);
  if (threadIdx.x < 32) write(queues.best, row, values, indices, k, blockIdx.x);
}

// Each of a row's blocks leaves the best of its part, 32 * N entries, for topk_grid_merge.
template <bool LARGEST, int N, class Key>
__device__ void topk_grid_select(const Key* keys, const int* lengths, Entry* kept, unsigned n,
                                 unsigned k) {
  extern __shared__ Entry shared[];  // a queue of 32 a warp, and then the room of merge_warps
  auto row = row_of<LARGEST>(keys, lengths, n, blockIdx.x);
  unsigned warps = blockDim.x / 32;
  SharedQueue<N> queue(k, shared);
  visit_together(row, row.length, blockIdx.y * warps + threadIdx.x / 32, gridDim.y * warps,
                 [&](Entry e) { queue.add(e); });
  queue.finish();
  merge_warps(queue.best, shared + 32 * warps);
  if (threadIdx.x >= 32) return;
  kept += (size_t(blockIdx.x) * gridDim.y + blockIdx.y) * 32 * N;
#pragma unroll
  for (int i = 0; i < N; ++i) kept[i * 32 + lane_id()] = queue.best[i];
}

// `lists`: how many sorted lists of 32 * N entries a row has. A warp merges every so-manieth.
template <bool LARGEST, int N, class Key>
__device__ void topk_grid_merge(const Key* keys, const int* lengths, const Entry* kept,
                                Key* values, int* indices, unsigned n, unsigned k, unsigned lists) {
  extern __shared__ Entry handed[];
  auto row = row_of<LARGEST>(keys, lengths, n, blockIdx.x);
  kept += size_t(blockIdx.x) * lists * 32 * N;
  Entry best[N] = {};
  for (unsigned list = threadIdx.x / 32; list < lists; list += blockDim.x / 32) {
    Entry more[N];
#pragma unroll
    for (int i = 0; i < N; ++i) more[i] = kept[list * 32 * N + i * 32 + lane_id()];
    keep_best(best, more);
  }
  merge_warps(best, handed);
  if (threadIdx.x < 32) write(best, row, values, indices, k, blockIdx.x);
}
