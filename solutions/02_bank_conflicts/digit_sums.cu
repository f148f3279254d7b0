// How much the keys of each 4-bit digit weigh in every tile of 4096 keys: a weighted histogram.
// The task is described in digit_sums.py.

constexpr int TILE = 4096;    // keys a block
constexpr int THREADS = 256;  // a block's
constexpr int DIGITS = 16;

extern "C" __global__ void __launch_bounds__(THREADS)
digit_sums(const unsigned* __restrict__ keys, const unsigned* __restrict__ weights,
           unsigned* __restrict__ sums, int shift, int n)
{
    int first = blockIdx.x * TILE;
    int here = min(TILE, n - first);  // keys of this tile; the last may have fewer
    // BEGIN SOLUTION: sums that no two lanes of a warp share (about 15 lines)
    // One sum a digit and lane. Lane l's are all in bank l, so that an addition is never more
    // than one wavefront, whatever the digits are.
    __shared__ unsigned mine[DIGITS * 32];
    int lane = threadIdx.x % 32;
    int warp = threadIdx.x / 32;
    for (int k = threadIdx.x; k < DIGITS * 32; k += THREADS) mine[k] = 0;
    __syncthreads();
    for (int k = threadIdx.x; k < here; k += THREADS) {
        unsigned digit = keys[first + k] >> shift & (DIGITS - 1);
        atomicAdd(&mine[digit * 32 + lane], weights[first + k]);  // warps share the lane's
    }
    __syncthreads();
    for (int digit = warp; digit < DIGITS; digit += THREADS / 32) {
        unsigned sum = __reduce_add_sync(0xffffffff, mine[digit * 32 + lane]);
        if (lane == 0) sums[(size_t)blockIdx.x * DIGITS + digit] = sum;
    }
    // STARTER
    // // Correct, but lanes whose keys have the same digit have to wait for one another.
    // __shared__ unsigned shared_by_all[DIGITS];
    // if (threadIdx.x < DIGITS) shared_by_all[threadIdx.x] = 0;
    // __syncthreads();
    // for (int k = threadIdx.x; k < here; k += THREADS) {
    //     unsigned digit = keys[first + k] >> shift & (DIGITS - 1);
    //     atomicAdd(&shared_by_all[digit], weights[first + k]);
    // }
    // __syncthreads();
    // if (threadIdx.x < DIGITS)
    //     sums[(size_t)blockIdx.x * DIGITS + threadIdx.x] = shared_by_all[threadIdx.x];
    // END SOLUTION
}
