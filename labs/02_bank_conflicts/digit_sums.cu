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
    // FILL ME IN: sums that no two lanes of a warp share (about 15 lines)
    // Correct, but lanes whose keys have the same digit have to wait for one another.
    __shared__ unsigned shared_by_all[DIGITS];
    if (threadIdx.x < DIGITS) shared_by_all[threadIdx.x] = 0;
    __syncthreads();
    for (int k = threadIdx.x; k < here; k += THREADS) {
        unsigned digit = keys[first + k] >> shift & (DIGITS - 1);
        atomicAdd(&shared_by_all[digit], weights[first + k]);
    }
    __syncthreads();
    if (threadIdx.x < DIGITS)
        sums[(size_t)blockIdx.x * DIGITS + threadIdx.x] = shared_by_all[threadIdx.x];
}
// Generated from solutions/02_bank_conflicts/digit_sums.cu by `make generate`; 2251646fd5bfc505
