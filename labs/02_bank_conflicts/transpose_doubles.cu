// The transpose of a matrix of doubles, by tiles of 32 x 32. The task is described in
// transpose_doubles.py.

constexpr int TILE = 32;  // doubles: a row of the tile is 64 words and fills the 32 banks twice
constexpr int STEP = 8;   // rows of the tile that the block's 32 x 8 threads handle at once

// Where in `tile` the double of row y and column x is kept, y and x from 0 to 31.
__device__ int place(int y, int x)
{
    // FILL ME IN: keep both rows and columns free of conflicts (1 line)
    // Correct, but a column of the tile lies in one pair of banks.
    return y * TILE + x;
}

extern "C" __global__ void transpose(const double* __restrict__ in, double* __restrict__ out,
                                     int rows, int cols)
{
    __shared__ double tile[TILE * TILE];
    int across = (cols + TILE - 1) / TILE;
    int first_row = blockIdx.x / across * TILE;
    int first_col = blockIdx.x % across * TILE;

    int lane = threadIdx.x;
    // lanes along a row: neighbours in global memory
    for (int y = threadIdx.y; y < TILE; y += STEP)
        if (first_row + y < rows && first_col + lane < cols)
            tile[place(y, lane)] = in[(size_t)(first_row + y) * cols + first_col + lane];
    __syncthreads();

    // lanes down a column of the tile, which is a row of `out`: neighbours again
    for (int x = threadIdx.y; x < TILE; x += STEP)
        if (first_row + lane < rows && first_col + x < cols)
            out[(size_t)(first_col + x) * rows + first_row + lane] = tile[place(lane, x)];
}
// Generated from solutions/02_bank_conflicts/transpose_doubles.cu by `make generate`; 18be4fdfa644b747
