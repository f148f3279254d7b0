// Queues of the best so far, which warps hold in registers: what warpselect.cu selects with, and
// running.cuh lets other kernels select with. A queue has 32 * N places, of which the first k count.
#pragma once

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
