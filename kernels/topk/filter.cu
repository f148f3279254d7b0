// The best k of each row, by one pass over the data.
//
// 1. topk_pivot: blocks take a sample of each row and find an entry that so many of the sample are no
//    worse than that k of the whole row are, almost surely, and not many more.
// 2. topk_filter: all blocks read all rows once and keep the entries that are no worse.
// 3. topk_finish: a block a row selects among those. Should they be fewer than k, or more than there
//    was room for, it selects from the row itself: slower, but never wrong.
//
// What the sample happens to be decides how long it takes, and nothing else. A row that a block can
// hold in registers needs none of this: topk_select reads it once and selects.
// Instances of the templates are made in filtered.py.

#include "select.cuh"

constexpr int STAGED = 2048;  // entries that a block of the filter has room for in shared memory

// What is known of a row between the kernels; zeros before the first and after the last.
struct Found {
  Entry pivot;
  Entry best;       // the best entry that was kept
  unsigned kept;    // entries no worse than the pivot, those without room included
  unsigned blocks;  // that have handed in the best of their part of the sample
};

// A number that looks random.
__device__ unsigned scrambled(unsigned x) {
  x = (x ^ x >> 16) * 0x85EBCA6Bu;
  x = (x ^ x >> 13) * 0xC2B2AE35u;
  return x ^ x >> 16;
}

// How many of a sample should be no worse than the pivot, so that almost surely k of the row are:
// as many as the best k of the row are likely to be, and `margin` standard deviations more.
__device__ unsigned aim(unsigned k, unsigned length, unsigned sample, float margin) {
  float likely = float(k) * sample / length;
  return min(unsigned(ceilf(likely + margin * (sqrtf(likely) + 2))), sample);
}

// Each of a row's blocks samples ITEMS * THREADS elements and hands in those that may be among the
// best `wanted` of all samples; the last one to do so selects the pivot from what they handed in.
template <bool LARGEST, int ITEMS, class Key>
__device__ void topk_pivot(const Key* keys, const int* lengths, Entry* state, Entry* best,
                           unsigned n, unsigned k, unsigned room, float margin) {
  __shared__ Scratch s;
  int r = blockIdx.y, blocks = gridDim.x;
  Found* found = reinterpret_cast<Found*>(state);
  constexpr int PART = ITEMS * THREADS;
  unsigned sample = blocks * PART;
  auto row = row_of<LARGEST>(keys, lengths, n, r);
  if (row.length <= sample) return;  // everything is kept

  Held<ITEMS> mine;
#pragma unroll
  for (int i = 0; i < ITEMS; ++i) {
    // One of each stretch of the row, so that a pattern in the data is not taken for the whole.
    unsigned number = (blockIdx.x * ITEMS + i) * THREADS + threadIdx.x;
    unsigned within = __umulhi(scrambled(r * sample + number), row.length);
    mine.entry[i] = row[unsigned((size_t(number) * row.length + within) / sample)];
  }
  unsigned wanted = aim(k, row.length, sample, margin);
  Range range = range_of(mine, s);
  Entry bar = about_kth(mine, min(wanted, unsigned(PART)), range, s);
  if (blocks == 1) {
    if (threadIdx.x == 0) found[r].pivot = bar;
    return;
  }
  best += size_t(r) * room;
  mine.visit([&](Entry e) {
    if (e >= bar) {
      unsigned at = atomicAdd(&found[r].kept, 1);
      if (at < room) best[at] = e;
    }
  });
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) s.count = atomicAdd(&found[r].blocks, 1);
  __syncthreads();
  if (s.count < blocks - 1) return;
  __threadfence();
  unsigned handed = atomicAdd(&found[r].kept, 0);
  __syncthreads();
  Entry pivot = 0;
  if (handed <= room) {
    auto all = listed(best, handed);
    pivot = about_kth(all, wanted, range_of(all, s), s);
  }
  if (threadIdx.x == 0) found[r].pivot = pivot, found[r].kept = 0;
}

template <class Key>
struct alignas(16) Pack {
  static constexpr int SIZE = 16 / sizeof(Key);
  Key key[SIZE];
};

template <bool LARGEST, int BLOCK, int LOADS, class Key>
__device__ void topk_filter(const Key* keys, const int* lengths, Entry* state, Entry* kept,
                            unsigned n, unsigned room) {
  constexpr int PACK = Pack<Key>::SIZE;
  __shared__ Entry staged[STAGED];
  __shared__ unsigned count, start;
  int r = blockIdx.y;
  Found* found = reinterpret_cast<Found*>(state);
  auto row = row_of<LARGEST>(keys, lengths, n, r);
  kept += size_t(r) * room;
  Entry pivot = found[r].pivot, best = 0;
  Bar<LARGEST> bar(pivot >> 32);
  bool full = false;  // enough is staged to be handed on
  if (threadIdx.x == 0) count = 0;
  __syncthreads();

  auto look = [&](Key key, unsigned index) {
    if (!bar.passes(key)) return;
    Entry e = entry_of(rank_of<LARGEST>(key), index);
    if (e < pivot) return;
    best = max(best, e);
    unsigned to = atomicAdd(&count, 1);
    full |= to >= STAGED / 2;
    if (to < STAGED) {
      staged[to] = e;
    } else {  // more than expected: straight on
      to = atomicAdd(&found[r].kept, 1);
      if (to < room) kept[to] = e;
    }
  };
  // Entries that were staged go to where those of all blocks are.
  auto flush = [&] {
    __syncthreads();
    unsigned some = min(count, unsigned(STAGED));
    if (threadIdx.x == 0) start = atomicAdd(&found[r].kept, some);
    __syncthreads();
    for (unsigned i = threadIdx.x; i < some; i += BLOCK)
      if (start + i < room) kept[start + i] = staged[i];
    if (threadIdx.x == 0) count = 0;
    full = false;
    __syncthreads();
  };

  // What comes before the first multiple of 16 bytes, and after the last, goes one at a time.
  unsigned head = unsigned(-(reinterpret_cast<size_t>(row.keys) / sizeof(Key)) % PACK);
  head = min(head, row.length);
  unsigned packs = (row.length - head) / PACK, tail = head + packs * PACK;
  if (blockIdx.x == 0 && threadIdx.x < 2 * PACK) {
    unsigned at = threadIdx.x < PACK ? threadIdx.x : tail + threadIdx.x - PACK;
    if (at < (threadIdx.x < PACK ? head : row.length)) look(row.keys[at], at);
  }
  const Pack<Key>* from = reinterpret_cast<const Pack<Key>*>(row.keys + head);
  unsigned step = gridDim.x * BLOCK * LOADS;
  for (unsigned first = blockIdx.x * BLOCK * LOADS; first < packs; first += step) {
    Pack<Key> pack[LOADS];
#pragma unroll
    for (int i = 0; i < LOADS; ++i) {
      unsigned at = first + i * BLOCK + threadIdx.x;
      if (at < packs) pack[i] = from[at];
    }
#pragma unroll
    for (int i = 0; i < LOADS; ++i) {
      unsigned at = first + i * BLOCK + threadIdx.x;
      if (at >= packs) break;
#pragma unroll
      for (int j = 0; j < PACK; ++j) look(pack[i].key[j], head + at * PACK + j);
    }
    if (__syncthreads_or(full)) flush();
  }
  flush();
#pragma unroll
  for (int d = 16; d > 0; d /= 2) best = max(best, __shfl_xor_sync(~0u, best, d));
  if (threadIdx.x % 32 == 0 && best) atomicMax(&found[r].best, best);
}

// The k best of a source, in any order: each as its index, and the key that lies there.
template <bool LARGEST, class Key, class Source>
__device__ void select(const Source& source, unsigned k, Range range, const Row<LARGEST, Key>& row,
                       Key* values, int* indices, Scratch& s) {
  Entry worst = kth(source, k, 0, range, s);
  if (threadIdx.x == 0) s.count = 0;
  __syncthreads();
  source.visit([&](Entry e) {
    if (e < worst) return;
    unsigned to = next_place(&s.count), index = index_of(e);
    values[to] = row.keys[index];
    indices[to] = int(index);
  });
}

// The outputs of a row. Where it has fewer than k elements, what is left over has index -1.
template <class Key>
__device__ unsigned outputs(Key*& values, int*& indices, unsigned length, unsigned k, int r) {
  values += size_t(r) * k, indices += size_t(r) * k;
  unsigned there = min(k, length);
  for (unsigned i = there + threadIdx.x; i < k; i += THREADS) values[i] = Key(), indices[i] = -1;
  return there;
}

template <bool LARGEST, class Key>
struct KeptOrRow {
  const Entry* kept;
  Row<LARGEST, Key> row;
  __device__ Entry operator[](unsigned i) const { return kept ? kept[i] : row[i]; }
};

template <bool LARGEST, class Key>
__device__ void topk_finish(const Key* keys, const int* lengths, Entry* state,
                            const Entry* kept, Key* values, int* indices, unsigned n,
                            unsigned room, unsigned k) {
  __shared__ Scratch s;
  int r = blockIdx.x;
  auto row = row_of<LARGEST>(keys, lengths, n, r);
  unsigned there = outputs(values, indices, row.length, k, r);
  Found* found = reinterpret_cast<Found*>(state);
  Found f = found[r];
  __syncthreads();
  if (threadIdx.x == 0) found[r] = {};  // for the next time
  if (there == 0) return;
  kept += size_t(r) * room;
  bool trusted = f.kept >= there && f.kept <= room;
  if (trusted && f.kept <= 8 * THREADS) {
    Held<8> held;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      unsigned at = i * THREADS + threadIdx.x;
      held.entry[i] = at < f.kept ? kept[at] : 0;
    }
    held.size = f.kept;
    select(held, there, Range{f.pivot, f.best}, row, values, indices, s);
  } else {
    auto all = listed(KeptOrRow<LARGEST, Key>{trusted ? kept : nullptr, row},
                      trusted ? f.kept : row.length);
    Range range = trusted ? Range{f.pivot, f.best} : range_of(all, s);
    select(all, there, range, row, values, indices, s);
  }
}

// A row of up to ITEMS * THREADS elements.
template <bool LARGEST, int ITEMS, class Key>
__device__ void topk_select(const Key* keys, const int* lengths, Key* values, int* indices,
                            unsigned n, unsigned k) {
  __shared__ Scratch s;
  int r = blockIdx.x;
  auto row = row_of<LARGEST>(keys, lengths, n, r);
  unsigned there = outputs(values, indices, row.length, k, r);
  if (there == 0) return;
  Ranks<ITEMS> ranks;
  ranks.load(row);
  select(ranks, there, range_of(ranks, s), row, values, indices, s);
}
