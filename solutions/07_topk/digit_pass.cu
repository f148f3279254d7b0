// One pass of radix select by weight: what the candidates with each digit weigh, and the digit at
// which the goal is reached. The task is described in digit_pass.py.

constexpr unsigned ALL = 0xffffffff;
constexpr int THREADS = 256;  // a block's: one a digit
constexpr int DIGITS = 256;

// Add the weights of all lanes that have a candidate, each to its digit's sum. All lanes of a warp
// come here together.
__device__ void add(unsigned* sums, unsigned digit, unsigned weight, bool candidate)
{
    // BEGIN SOLUTION: one addition for all lanes that have the same digit (about 6 lines)
    unsigned candidates = __ballot_sync(ALL, candidate);
    if (!candidate) return;
    unsigned same = __match_any_sync(candidates, digit);  // lanes that have this digit
    unsigned sum = __reduce_add_sync(same, weight);       // of these lanes
    bool first = __ffs(same) - 1 == threadIdx.x % 32;
    if (first) atomicAdd(&sums[digit], sum);
    // STARTER
    // // Correct, but lanes that have the same digit wait for one another.
    // if (candidate) atomicAdd(&sums[digit], weight);
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

extern "C" __global__ void clear(unsigned* sums, unsigned* done)
{
    sums[threadIdx.x] = 0;
    if (threadIdx.x == 0) *done = 0;
}

extern "C" __global__ void __launch_bounds__(THREADS)
digit_pass(const unsigned* __restrict__ keys, const unsigned* __restrict__ weights,
           const unsigned* __restrict__ state, unsigned* sums, unsigned* found, unsigned* done,
           int shift, int n)
{
    __shared__ unsigned of_block[DIGITS];
    __shared__ bool last;
    unsigned prefix = state[0], goal = state[1];
    of_block[threadIdx.x] = 0;
    __syncthreads();

    auto four_keys = reinterpret_cast<const uint4*>(keys);
    auto four_weights = reinterpret_cast<const uint4*>(weights);
    int fours = (n + 3) / 4;
    for (int first = blockIdx.x * THREADS; first < fours; first += gridDim.x * THREADS) {
        int at = first + threadIdx.x, there = n - 4 * at;  // keys from here on
        unsigned key[4] = {}, weight[4] = {};
        if (there >= 4) {
            uint4 k = four_keys[at], w = four_weights[at];
            key[0] = k.x, key[1] = k.y, key[2] = k.z, key[3] = k.w;
            weight[0] = w.x, weight[1] = w.y, weight[2] = w.z, weight[3] = w.w;
        } else {
            for (int j = 0; j < there; ++j) key[j] = keys[4 * at + j], weight[j] = weights[4 * at + j];
        }
#pragma unroll
        for (int j = 0; j < 4; ++j)
            add(of_block, key[j] >> shift & (DIGITS - 1), weight[j],
                j < there && (key[j] >> shift) >> 8 == prefix);
    }
    __syncthreads();
    unsigned mine = of_block[threadIdx.x];
    if (mine) atomicAdd(&sums[threadIdx.x], mine);

    // The last block to come here sees the sums of all.
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) last = atomicAdd(done, 1) == gridDim.x - 1;
    __syncthreads();
    if (!last) return;
    __threadfence();
    unsigned here = atomicAdd(&sums[threadIdx.x], 0);
    unsigned above = sum_above(here);
    if (above < goal && goal <= above + here) {
        found[0] = prefix << 8 | threadIdx.x;
        found[1] = goal - above;
    }
}
