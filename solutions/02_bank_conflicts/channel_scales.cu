// The largest magnitude of every column, over 127: the scales of an 8-bit quantisation by channel.
// The task is described in channel_scales.py.

constexpr int WARPS = 32;  // a block's; it handles 32 columns, one a lane

extern "C" __global__ void __launch_bounds__(32 * WARPS)
channel_scales(const float* __restrict__ in, float* __restrict__ scales, int rows, int cols)
{
    __shared__ float partial[WARPS * 32];
    int lane = threadIdx.x;
    int warp = threadIdx.y;
    int col = blockIdx.x * 32 + lane;

    // Each warp walks down its share of the rows: neighbouring lanes, neighbouring columns.
    float largest = 0.0f;
    if (col < cols)
        for (int row = warp; row < rows; row += WARPS)
            largest = fmaxf(largest, fabsf(in[(size_t)row * cols + col]));

    // What a lane has found belongs to column `lane` of the block's 32. Now each warp takes one
    // column: warp w wants, in its 32 lanes, what the 32 warps have found in column w.
    // BEGIN SOLUTION: hand the partial results over without conflicts (about 3 lines)
    partial[warp * 32 + (lane ^ warp)] = largest;
    __syncthreads();
    largest = partial[lane * 32 + (warp ^ lane)];
    // STARTER
    // // Correct, but the 32 lanes of a warp write to the same bank.
    // partial[lane * 32 + warp] = largest;
    // __syncthreads();
    // largest = partial[warp * 32 + lane];
    // END SOLUTION

    for (int distance = 16; distance > 0; distance /= 2)
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffff, largest, distance));
    if (lane == 0 && blockIdx.x * 32 + warp < cols) scales[blockIdx.x * 32 + warp] = largest / 127;
}
