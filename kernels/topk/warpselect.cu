// Queues in registers: the best k so far, sorted, to which what may be better is added.
//
// topk_warp_select: a warp a row. Each lane has a queue of its own; when one is full, all are sorted
//   and merged into the warp's.
// topk_block_select: several warps a row, whose queues are merged at the end.
// topk_grid_select: many blocks a row, whose queues are merged by a second launch; and the lanes of
//   a warp share one queue of candidates, which is full only when it has as many as it can hold.
// A queue has 32 * N places, of which the first k count. Instances of the templates are made in
// warpselect.py.

#include "bitonic.cuh"

__device__ int lane_id() { return threadIdx.x % 32; }

// Calls `function` with entries of a list: all lanes of warp number `warp` of `warps` together, with
// 0 where the list has ended. Loads run ahead of what is done with them.
template <class List, class Function>
__device__ void visit_together(const List& list, unsigned length, unsigned warp, unsigned warps,
                               Function function) {
  constexpr int LOADS = 8;
  for (size_t first = size_t(warp) * LOADS * 32; first < length;
       first += size_t(warps) * LOADS * 32) {
    Entry e[LOADS];
#pragma unroll
    for (int i = 0; i < LOADS; ++i) {
      size_t at = first + i * 32 + lane_id();
      e[i] = at < length ? list[unsigned(at)] : 0;
    }
#pragma unroll 1
    for (int i = 0; i < LOADS; ++i) {
      function(e[0]);
#pragma unroll
      for (int j = 1; j < LOADS; ++j) e[j - 1] = e[j];
    }
  }
}

// WarpSelect: a queue of T entries a lane, in front of one of 32 * N that the lanes have together.
template <int N, int T>
struct ThreadQueues {
  Entry best[N] = {};
  Entry mine[T] = {};  // better than the worst of the best when they came, in any order
  int count = 0;
  int k;
  Entry worst = 0;  // the k-th of the best

  __device__ explicit ThreadQueues(int k, Entry*) : k(k) {}
  // Registers have no index: what is new comes first, and the others move on.
  __device__ void add(Entry e) {
    if (e > worst) {
#pragma unroll
      for (int i = T - 1; i > 0; --i) mine[i] = mine[i - 1];
      mine[0] = e;
      ++count;
    }
    if (__any_sync(~0u, count == T)) merge();
  }
  __device__ void merge() {
    bitonic_sort(mine);
    keep_best(best, mine);
    worst = at_place(best, k - 1);
#pragma unroll
    for (int i = 0; i < T; ++i) mine[i] = 0;
    count = 0;
  }
  __device__ void finish() { merge(); }
};

// GridSelect: the lanes of a warp share a queue of 32 candidates, in shared memory. It takes
// candidates of all lanes at once, in two steps: those for which there is room; and when it is full
// it is merged, and the rest find it empty.
template <int N>
struct SharedQueue {
  Entry best[N] = {};
  Entry* queue;
  int count = 0;  // the same in all lanes
  int k;
  Entry worst = 0;

  __device__ SharedQueue(int k, Entry* queues) : queue(queues + threadIdx.x / 32 * 32), k(k) {}
  __device__ void add(Entry e) {
    bool better = e > worst;
    unsigned these = __ballot_sync(~0u, better);
    if (these == 0) return;
    int place = count + __popc(these & ((1u << lane_id()) - 1));
    if (better && place < 32) queue[place] = e;
    count += __popc(these);
    if (count < 32) return;
    int rest = count - 32;
    count = 32;
    merge();
    if (better && place >= 32) queue[place - 32] = e;
    count = rest;
  }
  __device__ void merge() {
    __syncwarp();
    Entry more[1] = {lane_id() < count ? queue[lane_id()] : 0};
    __syncwarp();  // all have read before others are written
    bitonic_sort(more);
    keep_best(best, more);
    worst = at_place(best, k - 1);
  }
  __device__ void finish() { merge(); }
};

// The queues of a block's warps become one, that of the first: of two halves, the second hands its
// queues to the first, until there is one. `handed`: room for the queues of half the warps.
template <int N>
__device__ void merge_warps(Entry (&best)[N], Entry* handed) {
  int warp = threadIdx.x / 32;
  for (int half = blockDim.x / 64; half > 0; half /= 2) {
    __syncthreads();
    if (warp >= half && warp < 2 * half) {
#pragma unroll
      for (int i = 0; i < N; ++i) handed[(warp - half) * 32 * N + i * 32 + lane_id()] = best[i];
    }
    __syncthreads();
    if (warp < half) {
      Entry other[N];
#pragma unroll
      for (int i = 0; i < N; ++i) other[i] = handed[warp * 32 * N + i * 32 + lane_id()];
      keep_best(best, other);
    }
  }
}

template <bool LARGEST, class Key>
__device__ Row<LARGEST, Key> row_of(const Key* keys, const int* lengths, unsigned n, unsigned r) {
  return {keys + size_t(r) * n, lengths ? min(unsigned(max(lengths[r], 0)), n) : n};
}

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
