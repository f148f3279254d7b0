// Sums down the columns of a matrix, a strip of rows at a time: sums[strip][col]. A block of
// 32 x 32 threads takes 32 columns of a strip; its warps read rows, so what they have at the end
// is 32 partial sums a column, one in each warp.

constexpr int COLUMNS = 32;  // a block's
constexpr int WARPS = 32;    // a block's
constexpr int STRIP = 256;   // rows a block adds up

template <int PITCH>
__device__ void column_sums(const float* in, float* sums, int rows, int cols) {
  __shared__ float partial[WARPS * PITCH];
  int lane = threadIdx.x, warp = threadIdx.y;
  int blocks_across = (cols + COLUMNS - 1) / COLUMNS;
  int first_col = blockIdx.x % blocks_across * COLUMNS;
  int strip = blockIdx.x / blocks_across;

  float sum = 0.0f;
  for (int k = warp; k < STRIP; k += WARPS) {
    int row = strip * STRIP + k, col = first_col + lane;
    if (row < rows && col < cols) sum += in[size_t(row) * cols + col];
  }
  partial[warp * PITCH + lane] = sum;
  __syncthreads();

  // warp w adds up column w: lane i reads what warp i had of it
  sum = partial[lane * PITCH + warp];
  for (int distance = 16; distance > 0; distance /= 2)
    sum += __shfl_down_sync(0xffffffff, sum, distance);
  if (lane == 0 && first_col + warp < cols)
    sums[size_t(strip) * cols + first_col + warp] = sum;
}

// Step 1. The 32 partial sums of a column lie 32 words apart: one bank, 32 wavefronts.
extern "C" __global__ void __launch_bounds__(1024)
column_sums_tiled(const float* __restrict__ in, float* __restrict__ sums, int rows, int cols) {
  column_sums<COLUMNS>(in, sums, rows, cols);
}

// Step 2. They lie 33 words apart: 32 banks, one wavefront.
extern "C" __global__ void __launch_bounds__(1024)
column_sums_padded(const float* __restrict__ in, float* __restrict__ sums, int rows, int cols) {
  column_sums<COLUMNS + 1>(in, sums, rows, cols);
}
