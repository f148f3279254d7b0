// A running top-k takes in the next piece of each row: a block a row. Indices are those in the whole
// row, of which the piece begins at `offset`. An instance of the template is made in merge.py.

#include "running.cuh"

template <bool LARGEST, int N, class Key>
__device__ void topk_merge(const Key* keys, const int* lengths, Key* values, int* indices,
                           unsigned n, unsigned k, unsigned offset) {
  extern __shared__ Entry handed[];
  unsigned r = blockIdx.x;
  auto row = row_of<LARGEST>(keys, lengths, n, r);
  values += size_t(r) * k, indices += size_t(r) * k;
  Running<LARGEST, N> best(k);
  best.load(values, indices);
  // all lanes of a warp go round equally often, as the queues need it
  for (unsigned first = threadIdx.x / 32 * 32; first < row.length; first += blockDim.x) {
    unsigned at = first + lane_id();
    best.offer(at < row.length ? row.keys[at] : Key(), offset + at, at < row.length);
  }
  best.store(values, indices, handed);
}
