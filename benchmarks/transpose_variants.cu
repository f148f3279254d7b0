// Candidates for the fastest transpose. The search instantiates the templates below and times
// them; load and store with their hints are copy_variants.cu's, which comes before this file.

struct Corner {
  int row, col;
};

// The tile of a block, walking down GROUP rows of tiles before going on to the next column.
template <int ROWS, int COLS, int GROUP>
__device__ Corner tile_of(int block, int rows, int cols) {
  int down = (rows + ROWS - 1) / ROWS, across = (cols + COLS - 1) / COLS;
  if constexpr (GROUP == 1) return {block / across * ROWS, block % across * COLS};
  int first = int(block / (static_cast<long long>(GROUP) * across)) * GROUP;
  int height = min(GROUP, down - first);
  int within = block - first * across;
  return {(first + within % height) * ROWS, within / height * COLS};
}

__device__ void turn(const uint4 (&in)[4], uint4 (&out)[4]) {
  out[0] = {in[0].x, in[1].x, in[2].x, in[3].x};
  out[1] = {in[0].y, in[1].y, in[2].y, in[3].y};
  out[2] = {in[0].z, in[1].z, in[2].z, in[3].z};
  out[3] = {in[0].w, in[1].w, in[2].w, in[3].w};
}

// Squares of 4 x 4 turned in registers before they go to shared memory.
template <int ROWS, int COLS, int THREADS, int GROUP, Load LOAD_HOW, Store STORE_HOW>
__device__ void transpose_early(const unsigned* in, unsigned* out, int rows, int cols) {
  constexpr int ACROSS = COLS / 4, DOWN = ROWS / 4;
  constexpr int SQUARES = ACROSS * DOWN / THREADS, QUADS = 4 * SQUARES;
  static_assert(SQUARES >= 1 && DOWN % 8 == 0 && ACROSS % 8 == 0);
  extern __shared__ uint4 tile[];  // COLS x DOWN
  unsigned long long policy = 0;
  if constexpr (LOAD_HOW == LD_FIRST_OUT || STORE_HOW == ST_FIRST_OUT) policy = first_out_policy();
  Corner at = tile_of<ROWS, COLS, GROUP>(blockIdx.x, rows, cols);
  uint4 loaded[SQUARES][4], turned[4];
#pragma unroll
  for (int s = 0; s < SQUARES; ++s) {
    int square = threadIdx.x + s * THREADS;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      int row = at.row + 4 * (square / ACROSS) + i, col = at.col + 4 * (square % ACROSS);
      if (row < rows && col < cols)
        loaded[s][i] = load<LOAD_HOW>(
            reinterpret_cast<const uint4*>(in + size_t(row) * cols + col), policy);
    }
  }
#pragma unroll
  for (int s = 0; s < SQUARES; ++s) {
    int square = threadIdx.x + s * THREADS, x = square % ACROSS, y = square / ACROSS;
    turn(loaded[s], turned);
#pragma unroll
    for (int i = 0; i < 4; ++i) tile[(4 * x + i) * DOWN + (y ^ x % 8)] = turned[i];
  }
  __syncthreads();
#pragma unroll
  for (int q = 0; q < QUADS; ++q) {
    int quad = threadIdx.x + q * THREADS, x = quad / DOWN, y = quad % DOWN;
    int row = at.row + 4 * y, col = at.col + x;
    if (row < rows && col < cols)
      store<STORE_HOW>(reinterpret_cast<uint4*>(out + size_t(col) * rows + row),
                       tile[x * DOWN + (y ^ x / 4 % 8)], policy);
  }
}

__device__ void fetch_quad(uint4* to, const unsigned* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                   static_cast<unsigned>(__cvta_generic_to_shared(to))),
               "l"(from)
               : "memory");
}

template <int ROWS, int COLS, int THREADS>
__device__ void fetch_tile(const unsigned* in, uint4* tile, Corner at, int rows, int cols) {
  constexpr int ACROSS = COLS / 4;
#pragma unroll
  for (int q = 0; q < ROWS * ACROSS / THREADS; ++q) {
    int quad = threadIdx.x + q * THREADS, y = quad / ACROSS, x = quad % ACROSS;
    int row = at.row + y, col = at.col + 4 * x;
    if (row < rows && col < cols)
      fetch_quad(&tile[y * ACROSS + (x ^ y / 4 % 8)], in + size_t(row) * cols + col);
  }
  asm volatile("cp.async.commit_group;" ::: "memory");
}

// Squares are turned on their way out of a tile that keeps rows as they came.
template <int ROWS, int COLS, int THREADS, Store STORE_HOW>
__device__ void write_turned(const uint4* tile, unsigned* out, Corner at, int rows, int cols,
                             unsigned long long policy) {
  constexpr int ACROSS = COLS / 4, DOWN = ROWS / 4;
#pragma unroll
  for (int s = 0; s < ACROSS * DOWN / THREADS; ++s) {
    int square = threadIdx.x + s * THREADS, x = square / DOWN, y = square % DOWN;
    uint4 taken[4], turned[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) taken[i] = tile[(4 * y + i) * ACROSS + (x ^ y % 8)];
    turn(taken, turned);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      int row = at.row + 4 * y, col = at.col + 4 * x + i;
      if (row < rows && col < cols)
        store<STORE_HOW>(reinterpret_cast<uint4*>(out + size_t(col) * rows + row), turned[i],
                         policy);
    }
  }
}

// Turned late, loaded through registers.
template <int ROWS, int COLS, int THREADS, int GROUP, Load LOAD_HOW, Store STORE_HOW>
__device__ void transpose_late(const unsigned* in, unsigned* out, int rows, int cols) {
  constexpr int ACROSS = COLS / 4, QUADS = ROWS * ACROSS / THREADS;
  extern __shared__ uint4 tile[];  // ROWS x ACROSS
  unsigned long long policy = 0;
  if constexpr (LOAD_HOW == LD_FIRST_OUT || STORE_HOW == ST_FIRST_OUT) policy = first_out_policy();
  Corner at = tile_of<ROWS, COLS, GROUP>(blockIdx.x, rows, cols);
  uint4 loaded[QUADS];
#pragma unroll
  for (int q = 0; q < QUADS; ++q) {
    int quad = threadIdx.x + q * THREADS;
    int row = at.row + quad / ACROSS, col = at.col + 4 * (quad % ACROSS);
    if (row < rows && col < cols)
      loaded[q] = load<LOAD_HOW>(
          reinterpret_cast<const uint4*>(in + size_t(row) * cols + col), policy);
  }
#pragma unroll
  for (int q = 0; q < QUADS; ++q) {
    int quad = threadIdx.x + q * THREADS, y = quad / ACROSS, x = quad % ACROSS;
    tile[y * ACROSS + (x ^ y / 4 % 8)] = loaded[q];
  }
  __syncthreads();
  write_turned<ROWS, COLS, THREADS, STORE_HOW>(tile, out, at, rows, cols, policy);
}

// Turned late, copied to shared memory without registers; STAGES tiles of a block on their way.
template <int ROWS, int COLS, int THREADS, int GROUP, int STAGES, Store STORE_HOW>
__device__ void transpose_stream(const unsigned* in, unsigned* out, int rows, int cols) {
  extern __shared__ uint4 tile[];  // STAGES x ROWS x COLS / 4
  constexpr int SIZE = ROWS * COLS / 4;
  unsigned long long policy = 0;
  if constexpr (STORE_HOW == ST_FIRST_OUT) policy = first_out_policy();
  int tiles = (rows + ROWS - 1) / ROWS * ((cols + COLS - 1) / COLS), stride = gridDim.x;
#pragma unroll
  for (int s = 0; s < STAGES - 1; ++s) {
    int next = blockIdx.x + s * stride;
    if (next < tiles)
      fetch_tile<ROWS, COLS, THREADS>(in, tile + s * SIZE,
                                      tile_of<ROWS, COLS, GROUP>(next, rows, cols), rows, cols);
    else
      asm volatile("cp.async.commit_group;" ::: "memory");
  }
  int stage = 0;
  for (int now = blockIdx.x; now < tiles; now += stride) {
    int next = now + (STAGES - 1) * stride;
    int free = stage == 0 ? STAGES - 1 : stage - 1;
    if (next < tiles)
      fetch_tile<ROWS, COLS, THREADS>(in, tile + free * SIZE,
                                      tile_of<ROWS, COLS, GROUP>(next, rows, cols), rows, cols);
    else
      asm volatile("cp.async.commit_group;" ::: "memory");
    asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 1) : "memory");
    __syncthreads();
    write_turned<ROWS, COLS, THREADS, STORE_HOW>(tile + stage * SIZE, out,
                                                 tile_of<ROWS, COLS, GROUP>(now, rows, cols), rows,
                                                 cols, policy);
    __syncthreads();
    stage = stage + 1 == STAGES ? 0 : stage + 1;
  }
}

// 4 bytes at a time wherever rows begin anywhere.
template <int ROWS>
__device__ int word(int y, int x) {
  return x * ROWS + (y ^ x % 32 ^ (x / 32 ^ y / 32) % 2 * 2);
}

template <int ROWS, int COLS, int THREADS, int GROUP, int IN_QUADS, int OUT_QUADS>
__device__ void transpose_words(const unsigned* in, unsigned* out, int rows, int cols) {
  extern __shared__ unsigned words[];  // COLS x ROWS
  constexpr int ITEMS = ROWS * COLS / THREADS;
  Corner at = tile_of<ROWS, COLS, GROUP>(blockIdx.x, rows, cols);
  if constexpr (IN_QUADS) {
    uint4 item[ITEMS / 4];
#pragma unroll
    for (int k = 0; k < ITEMS / 4; ++k) {
      int quad = threadIdx.x + k * THREADS, y = quad / (COLS / 4), x = quad % (COLS / 4) * 4;
      if (at.row + y < rows && at.col + x < cols)
        item[k] = *reinterpret_cast<const uint4*>(in + size_t(at.row + y) * cols + at.col + x);
    }
#pragma unroll
    for (int k = 0; k < ITEMS / 4; ++k) {
      int quad = threadIdx.x + k * THREADS, y = quad / (COLS / 4), x = quad % (COLS / 4) * 4;
      words[word<ROWS>(y, x)] = item[k].x;
      words[word<ROWS>(y, x + 1)] = item[k].y;
      words[word<ROWS>(y, x + 2)] = item[k].z;
      words[word<ROWS>(y, x + 3)] = item[k].w;
    }
  } else {
    unsigned item[ITEMS];
#pragma unroll
    for (int k = 0; k < ITEMS; ++k) {
      int i = threadIdx.x + k * THREADS, y = i / COLS, x = i % COLS;
      if (at.row + y < rows && at.col + x < cols)
        item[k] = in[size_t(at.row + y) * cols + at.col + x];
    }
#pragma unroll
    for (int k = 0; k < ITEMS; ++k) {
      int i = threadIdx.x + k * THREADS;
      words[word<ROWS>(i / COLS, i % COLS)] = item[k];
    }
  }
  __syncthreads();
  if constexpr (OUT_QUADS) {
#pragma unroll
    for (int k = 0; k < ITEMS / 4; ++k) {
      int quad = threadIdx.x + k * THREADS, x = quad / (ROWS / 4), y = quad % (ROWS / 4) * 4;
      if (at.row + y < rows && at.col + x < cols)
        *reinterpret_cast<uint4*>(out + size_t(at.col + x) * rows + at.row + y) = {
            words[word<ROWS>(y, x)], words[word<ROWS>(y + 1, x)], words[word<ROWS>(y + 2, x)],
            words[word<ROWS>(y + 3, x)]};
    }
  } else {
#pragma unroll
    for (int k = 0; k < ITEMS; ++k) {
      int i = threadIdx.x + k * THREADS, x = i / ROWS, y = i % ROWS;
      if (at.row + y < rows && at.col + x < cols)
        out[size_t(at.col + x) * rows + at.row + y] = words[word<ROWS>(y, x)];
    }
  }
}

// 4 bytes at a time, and stores that begin at a sector: column c takes its rows from s(c) earlier
// on, where s(c) is how far the tile's first row would lie past a sector's start in `out`.
template <int ROWS, int COLS, int THREADS, int GROUP, int SECTOR>
__device__ void transpose_aligned(const unsigned* in, unsigned* out, int rows, int cols) {
  extern __shared__ unsigned words[];  // COLS x ROWS
  constexpr int LOADS = (ROWS + SECTOR - 1) * COLS / THREADS + 1;
  int past = reinterpret_cast<size_t>(out) / 4 % SECTOR;
  Corner at = tile_of<ROWS, COLS, GROUP>(blockIdx.x, rows + SECTOR - 1, cols);
  unsigned item[LOADS];
  auto place = [&](int i, int& row, int& x) {
    row = at.row - (SECTOR - 1) + i / COLS;
    x = i % COLS;
    int shift = (past + (at.col + x) % SECTOR * (rows % SECTOR)) % SECTOR;
    int y = row + shift - at.row;
    bool mine = i < (ROWS + SECTOR - 1) * COLS && row >= 0 && row < rows && at.col + x < cols;
    return mine && y >= 0 && y < ROWS ? y : -1;
  };
  int row, x;
#pragma unroll
  for (int k = 0; k < LOADS; ++k)
    if (place(threadIdx.x + k * THREADS, row, x) >= 0)
      item[k] = in[size_t(row) * cols + at.col + x];
#pragma unroll
  for (int k = 0; k < LOADS; ++k) {
    int y = place(threadIdx.x + k * THREADS, row, x);
    if (y >= 0) words[word<ROWS>(y, x)] = item[k];
  }
  __syncthreads();
#pragma unroll
  for (int k = 0; k < ROWS * COLS / THREADS; ++k) {
    int i = threadIdx.x + k * THREADS, x = i / ROWS, y = i % ROWS;
    int shift = (past + (at.col + x) % SECTOR * (rows % SECTOR)) % SECTOR;
    int row = at.row - shift + y;
    if (row >= 0 && row < rows && at.col + x < cols)
      out[size_t(at.col + x) * rows + row] = words[word<ROWS>(y, x)];
  }
}
