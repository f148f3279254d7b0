// A matrix transposed, out[col][row] = in[row][col], by blocks of 32 x 8 threads, each of which
// moves a tile of 32 x 32 floats. Any rows and columns: tiles at the edges are not full.

constexpr int TILE = 32;
constexpr int STEP = 8;  // rows of the tile that the block's threads handle at once

// Step 1. Straight from row to column: a warp reads 32 neighbours, and writes 32 floats that lie
// `rows` floats apart, in 32 sectors.
extern "C" __global__ void transpose_naive(const float* __restrict__ in, float* __restrict__ out,
                                           int rows, int cols) {
  int tiles_across = (cols + TILE - 1) / TILE;
  int col = blockIdx.x % tiles_across * TILE + threadIdx.x;
  int row = blockIdx.x / tiles_across * TILE + threadIdx.y;
  for (int k = 0; k < TILE; k += STEP)
    if (row + k < rows && col < cols)
      out[size_t(col) * rows + row + k] = in[size_t(row + k) * cols + col];
}

// Where element (y, x) of the tile lies in shared memory.
template <int PITCH, bool SWIZZLED>
__device__ int place(int y, int x) {
  return y * PITCH + (SWIZZLED ? x ^ y : x);
}

// In by rows, out by columns: both sides of global memory see neighbours.
template <int PITCH, bool SWIZZLED>
__device__ void transpose_by_tile(const float* in, float* out, int rows, int cols) {
  __shared__ float tile[TILE * PITCH];
  int tiles_across = (cols + TILE - 1) / TILE;
  int first_col = blockIdx.x % tiles_across * TILE;
  int first_row = blockIdx.x / tiles_across * TILE;

  int col = first_col + threadIdx.x, row = first_row + threadIdx.y;
  for (int k = 0; k < TILE; k += STEP) {
    int at = place<PITCH, SWIZZLED>(threadIdx.y + k, threadIdx.x);
    if (row + k < rows && col < cols) tile[at] = in[size_t(row + k) * cols + col];
  }
  __syncthreads();

  // now lanes go down a column
  col = first_col + threadIdx.y, row = first_row + threadIdx.x;
  for (int k = 0; k < TILE; k += STEP) {
    int at = place<PITCH, SWIZZLED>(threadIdx.x, threadIdx.y + k);
    if (row < rows && col + k < cols) out[size_t(col + k) * rows + row] = tile[at];
  }
}

// Step 2. Through a tile in shared memory. A column of it is 32 words that lie 32 words apart:
// all in one bank.
extern "C" __global__ void transpose_tiled(const float* __restrict__ in, float* __restrict__ out,
                                           int rows, int cols) {
  transpose_by_tile<TILE, false>(in, out, rows, cols);
}

// Step 3. A word of padding behind each row: the words of a column lie 33 apart, each in the bank
// after the last one's.
extern "C" __global__ void transpose_padded(const float* __restrict__ in, float* __restrict__ out,
                                            int rows, int cols) {
  transpose_by_tile<TILE + 1, false>(in, out, rows, cols);
}

// Step 4. No padding: row y keeps column x at x ^ y. For fixed y and for fixed x alike that goes
// through all 32 banks.
extern "C" __global__ void transpose_swizzled(const float* __restrict__ in,
                                              float* __restrict__ out, int rows, int cols) {
  transpose_by_tile<TILE, true>(in, out, rows, cols);
}
