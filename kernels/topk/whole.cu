// All of each row, where that many are wanted: a copy, beside the numbers from 0 on. Rows lie along
// the grid's first axis, which is the longer one; along the second are the blocks of a row.
// Instances of the template are made in whole.py.

#include "keys.cuh"

constexpr int LOADS = 4;  // on their way, a thread

template <bool LARGEST, class Key>
__device__ void topk_whole(const Key* keys, const int* lengths, Key* values, int* indices,
                           unsigned n) {
  auto row = row_of<LARGEST>(keys, lengths, n, blockIdx.x);
  values += size_t(blockIdx.x) * n, indices += size_t(blockIdx.x) * n;
  unsigned step = LOADS * blockDim.x;
  for (unsigned first = blockIdx.y * step + threadIdx.x; first < n; first += gridDim.y * step) {
    Key key[LOADS];
#pragma unroll
    for (int i = 0; i < LOADS; ++i) {
      unsigned at = first + i * blockDim.x;
      key[i] = at < row.length ? row.keys[at] : Key();
    }
#pragma unroll
    for (int i = 0; i < LOADS; ++i) {
      unsigned at = first + i * blockDim.x;
      if (at < n) values[at] = key[i], indices[at] = at < row.length ? int(at) : -1;
    }
  }
}
