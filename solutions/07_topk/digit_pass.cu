// One pass of radix select: how often each digit occurs among the candidates, and the digit of the
// k-th. The task is described in digit_pass.py.

constexpr unsigned ALL = 0xffffffff;
constexpr int THREADS = 256;  // a block's: one a digit
constexpr int DIGITS = 256;

// One more of `digit`, for each lane that has a candidate. All lanes of a warp come here together.
__device__ void count(unsigned* counts, unsigned digit, bool candidate)
{
    // BEGIN SOLUTION: one addition for all lanes that have the same digit (about 5 lines)
    unsigned candidates = __ballot_sync(ALL, candidate);
    if (!candidate) return;
    unsigned same = __match_any_sync(candidates, digit);  // lanes that have this digit
    bool first = __ffs(same) - 1 == threadIdx.x % 32;
    if (first) atomicAdd(&counts[digit], __popc(same));  // for all of them
    // STARTER
    // // Correct, but lanes that have the same digit wait for one another.
    // if (candidate) atomicAdd(&counts[digit], 1);
    // END SOLUTION
}

// The sum of what all threads with a higher number have.
__device__ unsigned sum_above(unsigned mine)
{
    __shared__ unsigned of_warp[THREADS / 32];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    unsigned sum = mine;
    for (int distance = 1; distance < 32; distance *= 2) {
        unsigned other = __shfl_down_sync(ALL, sum, distance);
        if (lane + distance < 32) sum += other;
    }
    if (lane == 0) of_warp[warp] = sum;
    __syncthreads();
    for (int other = warp + 1; other < THREADS / 32; ++other) sum += of_warp[other];
    return sum - mine;
}

extern "C" __global__ void clear(unsigned* counts, unsigned* done)
{
    counts[threadIdx.x] = 0;
    if (threadIdx.x == 0) *done = 0;
}

extern "C" __global__ void __launch_bounds__(THREADS)
digit_pass(const unsigned* __restrict__ keys, const unsigned* __restrict__ state, unsigned* counts,
           unsigned* found, unsigned* done, int shift, int n)
{
    __shared__ unsigned of_block[DIGITS];
    __shared__ bool last;
    unsigned prefix = state[0], k = state[1];
    of_block[threadIdx.x] = 0;
    __syncthreads();

    auto four = reinterpret_cast<const uint4*>(keys);
    int fours = (n + 3) / 4;
    for (int first = blockIdx.x * THREADS; first < fours; first += gridDim.x * THREADS) {
        int at = first + threadIdx.x, there = n - 4 * at;  // keys from here on
        unsigned key[4] = {};
        if (there >= 4) {
            uint4 from = four[at];
            key[0] = from.x, key[1] = from.y, key[2] = from.z, key[3] = from.w;
        } else {
            for (int j = 0; j < there; ++j) key[j] = keys[4 * at + j];
        }
#pragma unroll
        for (int j = 0; j < 4; ++j)
            count(of_block, key[j] >> shift & (DIGITS - 1),
                  j < there && (key[j] >> shift) >> 8 == prefix);
    }
    __syncthreads();
    unsigned mine = of_block[threadIdx.x];
    if (mine) atomicAdd(&counts[threadIdx.x], mine);

    // The last block to come here sees the counts of all.
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) last = atomicAdd(done, 1) == gridDim.x - 1;
    __syncthreads();
    if (!last) return;
    __threadfence();
    unsigned equal = atomicAdd(&counts[threadIdx.x], 0);
    unsigned above = sum_above(equal);
    if (above < k && k <= above + equal) found[0] = prefix << 8 | threadIdx.x, found[1] = k - above;
}
