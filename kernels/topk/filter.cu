// The best k of each row, by one pass over the data.
//
// 1. topk_pivot: a block a row takes a sample and finds an entry that about `wanted` of the sample
//    are better than. Some more than k of the whole row are, almost surely.
// 2. topk_filter: all blocks read all rows once and keep the entries that are no worse.
// 3. topk_finish: a block a row selects among those. Should they be fewer than k, or more than there
//    was room for, it selects from the row itself: slower, but never wrong.
//
// What the sample happens to be decides how long it takes, and nothing else.
// Instances of the templates are made in filtered.py.

#include "select.cuh"

constexpr int STAGED = 128;  // entries that a warp keeps in shared memory
constexpr int FLUSH = 96;    // and hands on when they are as many

// What is known of a row between the kernels.
struct Found {
  Entry pivot;
  Entry best;       // the best entry that was kept
  unsigned kept;    // entries no worse than the pivot, those without room included
  unsigned unused;
};

__device__ unsigned length_of(const int* lengths, int row, unsigned n) {
  return lengths ? min(unsigned(max(lengths[row], 0)), n) : n;
}

// A number that looks random.
__device__ unsigned scrambled(unsigned x) {
  x = (x ^ x >> 16) * 0x85EBCA6Bu;
  x = (x ^ x >> 13) * 0xC2B2AE35u;
  return x ^ x >> 16;
}

// How many of a sample should be no worse than the pivot, so that almost surely k of the row are:
// as many as the best k of the row are likely to be, and six standard deviations more.
__device__ unsigned aim(unsigned k, unsigned length, int sample) {
  float likely = float(k) * sample / length;
  return min(unsigned(ceilf(likely + 6.0f * sqrtf(likely))) + 12, unsigned(sample));
}

template <bool LARGEST, int SAMPLE, class Key>
__device__ void topk_pivot(const Key* keys, const int* lengths, Found* found, unsigned n,
                           unsigned k) {
  extern __shared__ Entry sample[];
  __shared__ Scratch s;
  int r = blockIdx.x;
  Row<LARGEST, Key> row{keys + size_t(r) * n, length_of(lengths, r, n)};
  Entry pivot = 0;
  if (row.length > SAMPLE) {
    // One of each stretch of the row, so that a pattern in the data is not taken for the whole.
#pragma unroll 8
    for (int i = threadIdx.x; i < SAMPLE; i += THREADS) {
      unsigned within = __umulhi(scrambled(r * SAMPLE + i), row.length);
      sample[i] = row[unsigned((size_t(i) * row.length + within) / SAMPLE)];
    }
    __syncthreads();
    Entries entries{sample, SAMPLE};
    Range range = range_of(entries, s);
    pivot = kth(entries, aim(k, row.length, SAMPLE), range.low, range.high, s);
  }
  if (threadIdx.x == 0) found[r] = {pivot, 0, 0, 0};
}

// A warp's share of the entries that are kept. All lanes call its functions together.
struct Keeper {
  Entry* staged;    // STAGED in shared memory
  unsigned count;   // of them; the same in all lanes
  Found* found;
  Entry* kept;      // of the row
  unsigned room;

  __device__ void keep(bool wanted, Entry e) {
    unsigned lanes = __ballot_sync(~0u, wanted);
    if (!lanes) return;
    unsigned lane = threadIdx.x % 32, before = __popc(lanes & ((1u << lane) - 1));
    if (wanted) staged[count + before] = e;
    count += __popc(lanes);
    if (count > FLUSH) flush();
  }
  __device__ void flush() {
    __syncwarp();
    unsigned lane = threadIdx.x % 32, first = 0;
    if (lane == 0 && count) first = atomicAdd(&found->kept, count);
    first = __shfl_sync(~0u, first, 0);
    for (unsigned i = lane; i < count; i += 32)
      if (first + i < room) kept[first + i] = staged[i];
    __syncwarp();
    count = 0;
  }
};

template <class Key>
struct alignas(16) Pack {
  static constexpr int SIZE = 16 / sizeof(Key);
  Key key[SIZE];
};

template <bool LARGEST, int BLOCK, int LOADS, class Key>
__device__ void topk_filter(const Key* keys, const int* lengths, Found* found, Entry* kept,
                            unsigned n, unsigned room) {
  constexpr int PACK = Pack<Key>::SIZE;
  __shared__ Entry staged[BLOCK / 32 * STAGED];
  int r = blockIdx.y;
  Row<LARGEST, Key> row{keys + size_t(r) * n, length_of(lengths, r, n)};
  Entry pivot = found[r].pivot, best = 0;
  unsigned bar = pivot >> 32;  // what a rank has to reach for a second look
  Keeper keeper{staged + threadIdx.x / 32 * STAGED, 0, found + r, kept + size_t(r) * room, room};

  auto look = [&](Key key, unsigned index, bool there) {
    unsigned rank = rank_of<LARGEST>(key);
    Entry e = entry_of(rank, index);
    bool wanted = there && rank >= bar && e >= pivot;
    if (wanted) best = max(best, e);
    keeper.keep(wanted, e);
  };

  // What comes before the first multiple of 16 bytes, and after the last, goes one at a time.
  unsigned head = unsigned(-(reinterpret_cast<size_t>(row.keys) / sizeof(Key)) % PACK);
  head = min(head, row.length);
  unsigned packs = (row.length - head) / PACK, tail = head + packs * PACK;
  if (blockIdx.x == 0 && threadIdx.x < 32) {
    unsigned lane = threadIdx.x;
    look(lane < head ? row.keys[lane] : Key(), lane, lane < head);
    bool there = tail + lane < row.length;
    look(there ? row.keys[tail + lane] : Key(), tail + lane, there);
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
      bool any = false;
#pragma unroll
      for (int j = 0; j < PACK; ++j) any |= rank_of<LARGEST>(pack[i].key[j]) >= bar;
      if (!__any_sync(~0u, any && at < packs)) continue;
#pragma unroll
      for (int j = 0; j < PACK; ++j) look(pack[i].key[j], head + at * PACK + j, at < packs);
    }
  }
  keeper.flush();
#pragma unroll
  for (int d = 16; d > 0; d /= 2) best = max(best, __shfl_xor_sync(~0u, best, d));
  if (threadIdx.x % 32 == 0 && best) atomicMax(&found[r].best, best);
}

// The k best of a source, in any order: each as its index, and the key that lies there.
template <bool LARGEST, class Key, class Source>
__device__ void emit(const Source& source, Entry worst, const Row<LARGEST, Key>& row, Key* values,
                     int* indices, unsigned* count) {
  for (unsigned i = threadIdx.x; i < source.count(); i += THREADS) {
    Entry e = source[i];
    if (e < worst) continue;
    unsigned to = atomicAdd(count, 1), index = index_of(e);
    values[to] = row.keys[index];
    indices[to] = int(index);
  }
}

template <bool LARGEST, class Key, class Source>
__device__ void select(const Source& source, unsigned k, Range range, const Row<LARGEST, Key>& row,
                       Key* values, int* indices, Scratch& s) {
  Entry worst = kth(source, k, range.low, range.high, s);
  __syncthreads();
  if (threadIdx.x == 0) s.number[0] = 0;
  __syncthreads();
  emit(source, worst, row, values, indices, &s.number[0]);
}

// FILTERED: there is `found`; otherwise rows themselves are all there is.
template <bool LARGEST, bool FILTERED, class Key>
__device__ void topk_finish(const Key* keys, const int* lengths, const Found* found,
                            const Entry* kept, Key* values, int* indices, unsigned n,
                            unsigned room, unsigned k) {
  __shared__ Scratch s;
  int r = blockIdx.x;
  Row<LARGEST, Key> row{keys + size_t(r) * n, length_of(lengths, r, n)};
  values += size_t(r) * k, indices += size_t(r) * k;
  // Where a row has fewer than k elements, what is left over has index -1.
  unsigned there = min(k, row.length);
  for (unsigned i = there + threadIdx.x; i < k; i += THREADS) values[i] = Key(), indices[i] = -1;
  if (there == 0) return;
  if constexpr (FILTERED)
    if (found[r].kept >= there && found[r].kept <= room) {
      Entries entries{kept + size_t(r) * room, found[r].kept};
      select(entries, there, Range{found[r].pivot, found[r].best}, row, values, indices, s);
      return;
    }
  select(row, there, range_of(row, s), row, values, indices, s);
}
