// Selection by one block of THREADS threads: which entry is the k-th, and which are no worse.
#pragma once

#include "keys.cuh"

constexpr int THREADS = 1024;
constexpr int BINS = 2 * THREADS;

struct Scratch {
  unsigned bins[BINS];
  Entry few[THREADS];
  Entry high[THREADS / 32], low[THREADS / 32];
  unsigned warps[THREADS / 32];
  unsigned bin, before, count;
};

// Sources of entries: `visit` calls a function with each that this thread has, and `count` says how
// many all threads have. Where they are at least as many as threads, each thread has one.

// Elements of a row, ITEMS a thread, kept as ranks.
template <int ITEMS>
struct Ranks {
  unsigned rank[ITEMS];
  unsigned length;
  template <bool LARGEST, class Key>
  __device__ void load(const Row<LARGEST, Key>& row) {
    length = row.length;
#pragma unroll
    for (int i = 0; i < ITEMS; ++i) {
      unsigned at = i * THREADS + threadIdx.x;
      if (at < length) rank[i] = rank_of<LARGEST>(row.keys[at]);
    }
  }
  __device__ unsigned count() const { return length; }
  template <class Function>
  __device__ void visit(Function function) const {
#pragma unroll
    for (int i = 0; i < ITEMS; ++i) {
      unsigned at = i * THREADS + threadIdx.x;
      if (at < length) function(entry_of(rank[i], at));
    }
  }
};

// Entries, ITEMS a thread; 0, which no element has, where there is none.
template <int ITEMS>
struct Held {
  Entry entry[ITEMS];
  unsigned size = ITEMS * THREADS;  // of all threads'
  __device__ unsigned count() const { return size; }
  template <class Function>
  __device__ void visit(Function function) const {
#pragma unroll
    for (int i = 0; i < ITEMS; ++i)
      if (entry[i]) function(entry[i]);
  }
};

// Entries in memory, or elements of a row: eight on their way at a time.
template <class List>
struct Listed {
  List list;
  unsigned length;
  __device__ unsigned count() const { return length; }
  template <class Function>
  __device__ void visit(Function function) const {
    for (unsigned first = threadIdx.x; first < length; first += 8 * THREADS) {
      Entry e[8];
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        unsigned at = first + i * THREADS;
        e[i] = at < length ? list[at] : 0;
      }
#pragma unroll
      for (int i = 0; i < 8; ++i)
        if (e[i]) function(e[i]);
    }
  }
};
template <class List>
__device__ Listed<List> listed(List list, unsigned length) {
  return {list, length};
}

// The smallest and the largest entry of a source that is not empty.
struct Range {
  Entry low, high;
};
template <class Source>
__device__ Range range_of(const Source& source, Scratch& s) {
  Entry low = ~Entry(0), high = 0;
  source.visit([&](Entry e) { low = min(low, e), high = max(high, e); });
  for (int turn = 0; turn < 2; ++turn) {
#pragma unroll
    for (int d = 16; d > 0; d /= 2) {
      low = min(low, __shfl_xor_sync(~0u, low, d));
      high = max(high, __shfl_xor_sync(~0u, high, d));
    }
    if (turn) break;
    if (threadIdx.x % 32 == 0) s.low[threadIdx.x / 32] = low, s.high[threadIdx.x / 32] = high;
    __syncthreads();
    low = s.low[threadIdx.x % 32], high = s.high[threadIdx.x % 32];
  }
  return {low, high};
}

// The sum of what the threads before this one have.
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
  unsigned others = lane < warp ? s.warps[lane] : 0;
  return __reduce_add_sync(~0u, others) + sum - value;
}

// The place of one more, of those that the lanes which are here have in common: one addition a warp.
__device__ unsigned next_place(unsigned* count) {
  unsigned here = __activemask(), lane = threadIdx.x % 32, first = __ffs(here) - 1, start = 0;
  if (lane == first) start = atomicAdd(count, __popc(here));
  return __shfl_sync(here, start, first) + __popc(here & ((1u << lane) - 1));
}

// One step towards the k-th largest: entries of the range are counted in BINS intervals of equal
// width, and the bin that has the k-th becomes the range. Digits that all have in common cost
// nothing, since the bins begin where the entries of the range differ.
struct Search {
  Range range;
  unsigned k;       // the k-th of those in the range is sought
  unsigned inside;  // entries in the range

  template <class Source>
  __device__ void narrow(const Source& source, Scratch& s) {
    int width = 64 - __clzll(range.low ^ range.high), shift = max(width - 11, 0);
    Entry base = range.low >> shift;
    s.bins[2 * threadIdx.x] = s.bins[2 * threadIdx.x + 1] = 0;
    __syncthreads();
    source.visit([&](Entry e) {
      if (e >= range.low && e <= range.high) atomicAdd(&s.bins[unsigned((e >> shift) - base)], 1);
    });
    __syncthreads();
    // bins from the last to the first, two a thread
    unsigned last = BINS - 1 - 2 * threadIdx.x, a = s.bins[last], b = s.bins[last - 1];
    unsigned before = sum_before(a + b, s);
    if (before < k && k <= before + a) s.bin = last, s.before = before;
    if (before + a < k && k <= before + a + b) s.bin = last - 1, s.before = before + a;
    __syncthreads();
    inside = s.bins[s.bin];
    k -= s.before;
    Entry first = (base + s.bin) << shift;
    range.high = min(range.high, first | ((Entry(1) << shift) - 1));
    range.low = max(range.low, first);
    __syncthreads();
  }
  // Whether all in the range may be taken, though they are up to `slack` too many.
  __device__ bool done(unsigned slack) const {
    return inside - k <= slack || range.low == range.high;
  }
};

// The same among an entry a thread. Not inlined: it is needed in many places.
__device__ __noinline__ Search narrowed(Search search, Entry mine, unsigned slack, Scratch& s) {
  Held<1> one{{mine}};
  while (!search.done(slack)) search.narrow(one, s);
  return search;
}

// An entry that at least k of `source` are no worse than, and hardly more where k is small beside the
// number of threads: of the threads' best entries, about the k-th. 1 <= k <= THREADS / 2, and at
// least THREADS entries, all of which lie in `range`.
template <class Source>
__device__ Entry bound(const Source& source, unsigned k, Range range, Scratch& s) {
  Entry best = 0;
  source.visit([&](Entry e) { best = max(best, e); });
  return narrowed(Search{range, k, ~0u}, best, k / 8, s).range.low;
}

// An entry that k to k + slack of `source` are no worse than; 1 <= k <= its entries, all of which
// lie in `range`. Adding to a bin is what takes longest here, so that those are left out that cannot
// be among the best; and it ends with an entry a thread as soon as so few are left.
template <class Source>
__device__ Entry kth(const Source& source, unsigned k, unsigned slack, Range range, Scratch& s) {
  if (k <= THREADS / 2 && source.count() >= 2 * THREADS) range.low = bound(source, k, range, s);
  Search search{range, k, ~0u};
  while (!search.done(slack)) {
    search.narrow(source, s);
    if (search.inside > THREADS || search.done(slack)) continue;
    if (threadIdx.x == 0) s.count = 0;
    __syncthreads();
    source.visit([&](Entry e) {
      if (e >= search.range.low && e <= search.range.high) s.few[next_place(&s.count)] = e;
    });
    __syncthreads();
    Entry mine = threadIdx.x < s.count ? s.few[threadIdx.x] : 0;
    __syncthreads();
    search = narrowed(search, mine, slack, s);
  }
  return search.range.low;
}

// About the k-th, at the least effort: no fewer than k are no worse.
template <class Source>
__device__ Entry about_kth(const Source& source, unsigned k, Range range, Scratch& s) {
  if (k <= THREADS / 2 && source.count() >= THREADS) return bound(source, k, range, s);
  return kth(source, k, k / 8, range, s);
}
