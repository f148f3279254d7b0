// The transpose that is as fast as a copy: 64 x 64 floats a block, 16 bytes an access wherever rows
// begin at multiples of 16 bytes, tiles in an order that suits L2.

constexpr int TILE = 64;
constexpr int THREADS = 256;
constexpr int QUADS = TILE / 4;  // float4s across a tile
constexpr int GROUP = 8;         // rows of tiles that are walked through together

struct Corner {
  int row, col;
};

// The tile of a block. Blocks that run at the same time should cover a compact part of the matrix:
// then rows of both matrices are complete while L2 still holds them.
__device__ Corner tile_of(int block, int rows, int cols) {
  int down = (rows + TILE - 1) / TILE, across = (cols + TILE - 1) / TILE;
  int first = block / (GROUP * across) * GROUP;
  int height = min(GROUP, down - first);
  int within = block - first * across;
  return {(first + within % height) * TILE, within / height * TILE};
}

__device__ void transpose_4x4(const float4 (&in)[4], float4 (&out)[4]) {
  out[0] = {in[0].x, in[1].x, in[2].x, in[3].x};
  out[1] = {in[0].y, in[1].y, in[2].y, in[3].y};
  out[2] = {in[0].z, in[1].z, in[2].z, in[3].z};
  out[3] = {in[0].w, in[1].w, in[2].w, in[3].w};
}

// 16 bytes everywhere. A thread takes a square of 4 x 4 floats, transposes it in registers and puts
// it down as four float4s. The swizzle moves whole float4s: those that eight neighbouring lanes
// write, one below the other, lie in eight different groups of four banks.
__device__ void transpose_quads(const float* in, float* out, int rows, int cols, Corner at,
                                float4* tile) {
  int quad_col = threadIdx.x % QUADS, quad_row = threadIdx.x / QUADS;
  float4 loaded[4], turned[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    int row = at.row + 4 * quad_row + i, col = at.col + 4 * quad_col;
    if (row < rows && col < cols)
      loaded[i] = *reinterpret_cast<const float4*>(in + size_t(row) * cols + col);
  }
  transpose_4x4(loaded, turned);
#pragma unroll
  for (int i = 0; i < 4; ++i)
    tile[(4 * quad_col + i) * QUADS + (quad_row ^ quad_col % 8)] = turned[i];
  __syncthreads();
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    int y = threadIdx.x / QUADS + k * (THREADS / QUADS), quad = threadIdx.x % QUADS;
    int row = at.row + 4 * quad, col = at.col + y;
    if (row < rows && col < cols)
      *reinterpret_cast<float4*>(out + size_t(col) * rows + row) =
          tile[y * QUADS + (quad ^ y / 4 % 8)];
  }
}

// Where the float of row y, column x lies: its bank follows from the lowest five bits of both, and
// from bit 5 of both, so that neighbours in y, neighbours in x, and every fourth float of two rows
// or of two columns are all in different banks.
__device__ int word(int y, int x) {
  return x * TILE + (y ^ x % 32 ^ (x / 32 ^ y / 32) * 2);
}

// Rows of `in`, of `out` or of both begin anywhere: those go 4 bytes at a time, 16 of them on their
// way in each thread.
template <bool IN_QUADS, bool OUT_QUADS>
__device__ void transpose_words(const float* in, float* out, int rows, int cols, Corner at,
                                float* tile) {
  constexpr int ITEMS = TILE * TILE / THREADS;
  if constexpr (IN_QUADS) {
    float4 item[ITEMS / 4];
#pragma unroll
    for (int k = 0; k < ITEMS / 4; ++k) {
      int y = threadIdx.x / QUADS + k * (THREADS / QUADS), x = threadIdx.x % QUADS * 4;
      if (at.row + y < rows && at.col + x < cols)
        item[k] = *reinterpret_cast<const float4*>(in + size_t(at.row + y) * cols + at.col + x);
    }
#pragma unroll
    for (int k = 0; k < ITEMS / 4; ++k) {
      int y = threadIdx.x / QUADS + k * (THREADS / QUADS), x = threadIdx.x % QUADS * 4;
      tile[word(y, x)] = item[k].x;
      tile[word(y, x + 1)] = item[k].y;
      tile[word(y, x + 2)] = item[k].z;
      tile[word(y, x + 3)] = item[k].w;
    }
  } else {
    float item[ITEMS];
#pragma unroll
    for (int k = 0; k < ITEMS; ++k) {
      int y = threadIdx.x / TILE + k * (THREADS / TILE), x = threadIdx.x % TILE;
      if (at.row + y < rows && at.col + x < cols)
        item[k] = in[size_t(at.row + y) * cols + at.col + x];
    }
#pragma unroll
    for (int k = 0; k < ITEMS; ++k)
      tile[word(threadIdx.x / TILE + k * (THREADS / TILE), threadIdx.x % TILE)] = item[k];
  }
  __syncthreads();
  if constexpr (OUT_QUADS) {
#pragma unroll
    for (int k = 0; k < ITEMS / 4; ++k) {
      int x = threadIdx.x / QUADS + k * (THREADS / QUADS), y = threadIdx.x % QUADS * 4;
      if (at.row + y < rows && at.col + x < cols)
        *reinterpret_cast<float4*>(out + size_t(at.col + x) * rows + at.row + y) = {
            tile[word(y, x)], tile[word(y + 1, x)], tile[word(y + 2, x)], tile[word(y + 3, x)]};
    }
  } else {
#pragma unroll
    for (int k = 0; k < ITEMS; ++k) {
      int x = threadIdx.x / TILE + k * (THREADS / TILE), y = threadIdx.x % TILE;
      if (at.row + y < rows && at.col + x < cols)
        out[size_t(at.col + x) * rows + at.row + y] = tile[word(y, x)];
    }
  }
}

// Few registers, and slower: for arrays that themselves begin between multiples of 16 bytes.
__device__ void transpose_one_by_one(const float* in, float* out, int rows, int cols, Corner at,
                                     float* tile) {
#pragma unroll 2
  for (int i = threadIdx.x; i < TILE * TILE; i += THREADS) {
    int y = i / TILE, x = i % TILE;
    if (at.row + y < rows && at.col + x < cols)
      tile[word(y, x)] = in[size_t(at.row + y) * cols + at.col + x];
  }
  __syncthreads();
#pragma unroll 2
  for (int i = threadIdx.x; i < TILE * TILE; i += THREADS) {
    int x = i / TILE, y = i % TILE;
    if (at.row + y < rows && at.col + x < cols)
      out[size_t(at.col + x) * rows + at.row + y] = tile[word(y, x)];
  }
}

__device__ bool aligned(const float* at) { return reinterpret_cast<size_t>(at) % 16 == 0; }

// Step 5. Rows and columns that are multiples of 4.
extern "C" __global__ void __launch_bounds__(THREADS)
transpose_best(const float* __restrict__ in, float* __restrict__ out, int rows, int cols) {
  __shared__ float4 tile[TILE * QUADS];
  Corner at = tile_of(blockIdx.x, rows, cols);
  if (aligned(in) && aligned(out))
    transpose_quads(in, out, rows, cols, at, tile);
  else
    transpose_one_by_one(in, out, rows, cols, at, reinterpret_cast<float*>(tile));
}

// The same for any other number of either. A kernel of its own, since it takes more registers.
extern "C" __global__ void __launch_bounds__(THREADS)
transpose_best_any(const float* __restrict__ in, float* __restrict__ out, int rows, int cols) {
  __shared__ float4 tile[TILE * QUADS];
  auto words = reinterpret_cast<float*>(tile);
  Corner at = tile_of(blockIdx.x, rows, cols);
  if (cols % 4 == 0 && aligned(in))
    transpose_words<true, false>(in, out, rows, cols, at, words);
  else if (rows % 4 == 0 && aligned(out))
    transpose_words<false, true>(in, out, rows, cols, at, words);
  else
    transpose_words<false, false>(in, out, rows, cols, at, words);
}
