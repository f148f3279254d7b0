// Radix select: the k-th entry, digit by digit.
//
// A histogram of the first digit says which digit the k-th entry has; among the entries that begin
// with it, a histogram of the next digit says how the k-th goes on, and so to the end. Digits of the
// key come first, then those of the index, which are needed only where keys are equal.
//
// topk_radix_pass, topk_radix_filter: a launch a digit, each of which reads the whole row, and one
//   that takes what is no worse than the k-th entry.
// topk_air: all of it in one launch. Blocks that are all on the chip wait for each other; entries
//   that are still undecided are written down once they are few, and read in place of the row; and
//   it ends as soon as all of them are wanted.
// Instances of the templates are made in radix.py.

#include "select.cuh"

// What is known of the k-th entry: those of its bits that are in `known`.
struct Kth {
  Entry prefix, known;
  unsigned k;       // it is the k-th of the entries that have these bits
  unsigned inside;  // entries that have them
  __device__ bool undecided(Entry e) const { return (e & known) == prefix; }
  __device__ bool better(Entry e) const { return (e & known) > prefix; }
  __device__ bool done() const { return k == inside; }  // all that have them are wanted
};

// What the blocks of a row tell each other; zeros before the first launch and after the last.
struct Progress {
  Kth kth;
  unsigned arrived;  // blocks that have added to the histogram
  unsigned passes;   // that are over
  unsigned stored;   // entries in the buffer that is written
  unsigned taken;    // places of the output
  unsigned left;     // blocks that have taken what they wanted
};

template <int BITS>
__device__ unsigned digit_of(Entry e, int shift) {
  return unsigned(e >> shift) & ((1u << BITS) - 1);
}

// Calls `function` with each entry of this block's part of a list: eight loads on their way at a time.
template <class List, class Function>
__device__ void visit(const List& list, unsigned length, Function function) {
  constexpr int LOADS = 8;
  size_t step = size_t(gridDim.y) * LOADS * THREADS;
  for (size_t first = blockIdx.y * LOADS * THREADS + threadIdx.x; first < length; first += step) {
    Entry e[LOADS];
#pragma unroll
    for (int i = 0; i < LOADS; ++i) {
      size_t at = first + i * THREADS;
      e[i] = at < length ? list[unsigned(at)] : 0;
    }
#pragma unroll
    for (int i = 0; i < LOADS; ++i)
      if (e[i]) function(e[i]);
  }
}

template <int BITS>
__device__ void clear(Scratch& s) {
  for (int b = threadIdx.x; b < 1 << BITS; b += THREADS) s.bins[b] = 0;
  __syncthreads();
}

// Lanes whose digits are equal do not wait for each other: the hardware counts those that add 1 to
// one word, and adds their number. Only a sum that nobody reads is added so.
template <int BITS>
__device__ void count(Entry e, int shift, Scratch& s) {
  atomicAdd(&s.bins[digit_of<BITS>(e, shift)], 1u);
}

// A block's histogram goes to that of all blocks. Whether this block was the last to bring its own.
template <int BITS>
__device__ bool handed_in(unsigned* bins, unsigned* arrived, Scratch& s) {
  for (int b = threadIdx.x; b < 1 << BITS; b += THREADS)
    if (s.bins[b]) atomicAdd(&bins[b], s.bins[b]);
  __threadfence();  // what this block wrote is there before it says so
  __syncthreads();
  if (threadIdx.x == 0) s.count = atomicAdd(arrived, 1u);
  __syncthreads();
  bool last = s.count % gridDim.y == gridDim.y - 1;
  if (last) __threadfence();
  return last;
}

// One digit more of the k-th entry, from the histogram of those of the undecided. Bins are left zero.
template <int BITS>
__device__ Kth with_digit(Kth kth, int shift, unsigned* bins, Scratch& s) {
  // from the last bin, which is the best, to the first: two a thread
  int last = (1 << BITS) - 1 - 2 * int(threadIdx.x);
  unsigned a = 0, b = 0;
  if (last > 0) {
    a = bins[last], b = bins[last - 1];
    bins[last] = bins[last - 1] = 0;
  }
  unsigned before = sum_before(a + b, s);
  if (before < kth.k && kth.k <= before + a) s.bin = last, s.before = before, s.count = a;
  before += a;
  if (before < kth.k && kth.k <= before + b) s.bin = last - 1, s.before = before, s.count = b;
  __syncthreads();
  kth.prefix |= Entry(s.bin) << shift;
  kth.known |= Entry((1 << BITS) - 1) << shift;
  kth.k -= s.before;
  kth.inside = s.count;
  return kth;
}

// One row of a launch, and where its best go.
template <bool LARGEST, class Key>
struct Work {
  Row<LARGEST, Key> row;
  Key* values;
  int* indices;
  unsigned there;  // how many are wanted: k, or the row's length if that is less

  __device__ Work(const Key* keys, const int* lengths, Key* values, int* indices, unsigned n,
                  unsigned k)
      : row(row_of<LARGEST>(keys, lengths, n, blockIdx.x)), values(values), indices(indices) {
    there = min(k, row.length);
    if (!values) return;
    this->values += size_t(blockIdx.x) * k, this->indices += size_t(blockIdx.x) * k;
    // what is left over has index -1
    if (blockIdx.y == 0)
      for (unsigned i = there + threadIdx.x; i < k; i += THREADS)
        this->values[i] = Key(), this->indices[i] = -1;
  }
  // Nothing is known yet: of all entries, the last that is wanted is sought.
  __device__ Kth begin() const { return {0, 0, there, row.length}; }
  __device__ void take(Entry e, unsigned* taken) const {
    unsigned to = next_place(taken), index = index_of(e);
    values[to] = row.keys[index];
    indices[to] = int(index);
  }
};

// The last block to leave a row has it ready for the next time.
__device__ void leave(Progress& progress) {
  __threadfence();
  __syncthreads();
  if (threadIdx.x > 0 || atomicAdd(&progress.left, 1u) < gridDim.y - 1) return;
  __threadfence();
  progress = {};
}

template <bool LARGEST, int BITS, class Key>
__device__ void topk_radix_pass(const Key* keys, const int* lengths, Entry* state, unsigned* bins,
                                unsigned n, unsigned k, int shift) {
  __shared__ Scratch s;
  Work<LARGEST, Key> work(keys, lengths, nullptr, nullptr, n, k);
  Progress& progress = reinterpret_cast<Progress*>(state)[blockIdx.x];
  bins += size_t(blockIdx.x) << BITS;
  Kth kth = progress.kth.known ? progress.kth : work.begin();
  if (kth.done()) return;  // an earlier pass has found out all there is
  clear<BITS>(s);
  visit(work.row, work.row.length, [&](Entry e) {
    if (kth.undecided(e)) count<BITS>(e, shift, s);
  });
  __syncthreads();
  if (!handed_in<BITS>(bins, &progress.arrived, s)) return;
  kth = with_digit<BITS>(kth, shift, bins, s);
  if (threadIdx.x == 0) progress.kth = kth;
}

template <bool LARGEST, class Key>
__device__ void topk_radix_filter(const Key* keys, const int* lengths, Entry* state, Key* values,
                                  int* indices, unsigned n, unsigned k) {
  Work<LARGEST, Key> work(keys, lengths, values, indices, n, k);
  Progress& progress = reinterpret_cast<Progress*>(state)[blockIdx.x];
  Kth kth = progress.kth;
  visit(work.row, work.row.length, [&](Entry e) {
    if (kth.undecided(e) || kth.better(e)) work.take(e, &progress.taken);
  });
  leave(progress);
}

// What the blocks of a row do between passes: the last one to come finds the digit, the others wait
// for it. All of them are on the chip, or they would wait for ever. A block that has the row for
// itself needs no one, and its histogram stays where it is.
template <int BITS>
__device__ Kth agreed(Kth kth, int shift, Progress& progress, unsigned* bins, unsigned pass,
                      Scratch& s) {
  if (gridDim.y == 1) return with_digit<BITS>(kth, shift, s.bins, s);
  if (handed_in<BITS>(bins, &progress.arrived, s)) {
    kth = with_digit<BITS>(kth, shift, bins, s);
    if (threadIdx.x == 0) progress.kth = kth, progress.stored = 0;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) atomicExch(&progress.passes, pass + 1);
  } else {
    if (threadIdx.x == 0)
      while (atomicAdd(&progress.passes, 0u) <= pass) __nanosleep(100);
    __syncthreads();
    __threadfence();
    kth = progress.kth;
  }
  return kth;
}

// The part of the entries that may at most be undecided for them to be written down.
constexpr unsigned FEW = 16;

// `bins`: a histogram a row, unless rows have a block each. `buffers`: two a row, of n / FEW entries.
// `bits`: how many bits of indices differ.
template <bool LARGEST, int BITS, class Key>
__device__ void topk_air(const Key* keys, const int* lengths, Entry* state, unsigned* bins,
                         Entry* buffers, Key* values, int* indices, unsigned n, unsigned k,
                         int bits) {
  __shared__ Scratch s;
  Work<LARGEST, Key> work(keys, lengths, values, indices, n, k);
  Progress& progress = reinterpret_cast<Progress*>(state)[blockIdx.x];
  if (gridDim.y > 1) bins += size_t(blockIdx.x) << BITS;
  Entry* into = buffers + size_t(blockIdx.x) * 2 * (n / FEW);
  Entry* other = into + n / FEW;

  Entry* from = nullptr;  // where the undecided are: in the row, or a buffer
  unsigned length = work.row.length;
  auto visit_all = [&](auto function) {
    if (from) {
      visit(from, length, function);
    } else {
      visit(work.row, length, function);
    }
  };

  Kth kth = work.begin();
  int shift = 64 - BITS;
  for (unsigned pass = 0; !kth.done(); ++pass) {
    clear<BITS>(s);
    // The filter of the pass before and the histogram of this one are one pass over the data.
    bool store = kth.inside <= length / FEW;
    visit_all([&](Entry e) {
      if (kth.undecided(e)) {
        count<BITS>(e, shift, s);
        if (store) into[next_place(&progress.stored)] = e;
      } else if (store && kth.better(e)) {
        work.take(e, &progress.taken);  // nobody will see it again
      }
    });
    __syncthreads();
    if (store) {
      length = kth.inside;
      from = into, into = other, other = from;
    }
    kth = agreed<BITS>(kth, shift, progress, bins, pass, s);
    if (gridDim.y == 1 && threadIdx.x == 0) progress.stored = 0;
    __syncthreads();
    // from the key's digits to the index's, of which those come first that differ
    shift = shift > 32 ? max(shift - BITS, 32) : max(min(shift, bits) - BITS, 0);
  }
  visit_all([&](Entry e) {
    if (kth.undecided(e) || kth.better(e)) work.take(e, &progress.taken);
  });
  leave(progress);
}
