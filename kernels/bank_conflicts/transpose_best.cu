// The transpose that is as fast as a copy: 64 x 64 floats a block. Where rows of `out` begin at
// multiples of 32 bytes, the sectors that DRAM is written by, and those of `in` at multiples of 16,
// each access has 16 bytes; elsewhere 4, and as few instructions around each as can be.

constexpr int TILE = 64;
constexpr int QUADS = TILE / 4;     // float4s across a tile
constexpr int QUAD_THREADS = 128;   // of a block of transpose_best
constexpr int THREADS = 256;        // of one of transpose_best_any
constexpr int SECTOR = 8;           // floats of 32 bytes, which DRAM and L2 take at a time
constexpr int PITCH = TILE + 1;

struct Corner {
  int row, col;
};

__device__ void transpose_4x4(const float4 (&in)[4], float4 (&out)[4]) {
  out[0] = {in[0].x, in[1].x, in[2].x, in[3].x};
  out[1] = {in[0].y, in[1].y, in[2].y, in[3].y};
  out[2] = {in[0].z, in[1].z, in[2].z, in[3].z};
  out[3] = {in[0].w, in[1].w, in[2].w, in[3].w};
}

// Step 5. `rows` a multiple of 8 and `cols` one of 4; `in` and `out` begin as their rows do.
//
// A thread takes two squares of 4 x 4 floats, transposes each in registers and puts it down as four
// float4s. The swizzle moves whole float4s: those that eight neighbouring lanes write, one below the
// other, lie in eight different groups of four banks.
extern "C" __global__ void __launch_bounds__(QUAD_THREADS)
transpose_best(const float* __restrict__ in, float* __restrict__ out, int rows, int cols) {
  constexpr int SQUARES = QUADS * QUADS / QUAD_THREADS;
  __shared__ float4 tile[TILE * QUADS];
  // Tiles, along the shorter side of the matrix: what blocks write at the same time is close together.
  int down = (rows + TILE - 1) / TILE, across = (cols + TILE - 1) / TILE, block = blockIdx.x;
  Corner at = rows < cols ? Corner{block % down * TILE, block / down * TILE}
                          : Corner{block / across * TILE, block % across * TILE};
  float4 loaded[SQUARES][4], turned[4];
#pragma unroll
  for (int s = 0; s < SQUARES; ++s) {
    int square = threadIdx.x + s * QUAD_THREADS;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      int row = at.row + 4 * (square / QUADS) + i, col = at.col + 4 * (square % QUADS);
      if (row < rows && col < cols)
        loaded[s][i] = *reinterpret_cast<const float4*>(in + size_t(row) * cols + col);
    }
  }
#pragma unroll
  for (int s = 0; s < SQUARES; ++s) {
    int square = threadIdx.x + s * QUAD_THREADS, x = square % QUADS, y = square / QUADS;
    transpose_4x4(loaded[s], turned);
#pragma unroll
    for (int i = 0; i < 4; ++i) tile[(4 * x + i) * QUADS + (y ^ x % 8)] = turned[i];
  }
  __syncthreads();
#pragma unroll
  for (int q = 0; q < 4 * SQUARES; ++q) {
    int quad = threadIdx.x + q * QUAD_THREADS, x = quad / QUADS, y = quad % QUADS;
    int row = at.row + 4 * y, col = at.col + x;
    if (row < rows && col < cols)
      *reinterpret_cast<float4*>(out + size_t(col) * rows + row) =
          tile[x * QUADS + (y ^ x / 4 % 8)];
  }
}

// 4 bytes an access, for any other number of rows and columns, and arrays that begin anywhere.
//
// L2 takes a sector that is written in parts much slower than a whole one, and a row of `out` begins
// anywhere in a sector. So what a block writes of each row begins where a sector does: up to SECTOR - 1
// elements before its tile, whose rows are loaded twice, and ends as many before the tile's end. Within
// the matrix nothing has to be checked, and the next of a thread's elements is a step away that is
// known beforehand: without that, working out where they lie takes longer than moving them.
template <bool WITHIN>
__device__ void transpose_words(const float* in, float* out, int rows, int cols, Corner at,
                                float* tile) {
  constexpr int WARPS = THREADS / 32, LOADS = (TILE + SECTOR) / WARPS, STORES = TILE / WARPS;
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  int row = at.row - SECTOR + warp, col = at.col + lane;
  const float* from = in + ptrdiff_t(row) * cols + col;
  float item[LOADS][2];
#pragma unroll
  for (int i = 0; i < LOADS; ++i) {
#pragma unroll
    for (int half = 0; half < 2; ++half)
      if (WITHIN || (row >= 0 && row < rows && col + 32 * half < cols))
        item[i][half] = from[32 * half];
    row += WARPS, from += ptrdiff_t(WARPS) * cols;
  }
#pragma unroll
  for (int i = 0; i < LOADS; ++i)
#pragma unroll
    for (int half = 0; half < 2; ++half)
      tile[(warp + i * WARPS) * PITCH + lane + 32 * half] = item[i][half];
  __syncthreads();
  float* to = out + size_t(at.col + warp) * rows + at.row;
#pragma unroll
  for (int i = 0; i < STORES; ++i) {
    int x = warp + i * WARPS;  // a row of `out`
    int early = size_t(to) / sizeof(float) % SECTOR;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      int y = lane + 32 * half - early;
      if (WITHIN || (at.col + x < cols && at.row + y >= 0 && at.row + y < rows))
        to[y] = tile[(y + SECTOR) * PITCH + x];
    }
    to += size_t(WARPS) * rows;
  }
}

extern "C" __global__ void __launch_bounds__(THREADS, 4)
transpose_best_any(const float* __restrict__ in, float* __restrict__ out, int rows, int cols) {
  __shared__ float tile[(TILE + SECTOR) * PITCH];
  int down = (rows + SECTOR - 1 + TILE - 1) / TILE;  // tiles, taken column by column
  Corner at = {int(blockIdx.x) % down * TILE, int(blockIdx.x) / down * TILE};
  if (at.row >= SECTOR && at.row + TILE <= rows && at.col + TILE <= cols)
    transpose_words<true>(in, out, rows, cols, at, tile);
  else
    transpose_words<false>(in, out, rows, cols, at, tile);
}
