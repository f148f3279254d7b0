// Every pixel's 16 channels are mixed into 16 others. The task is described in mix_channels.py.

constexpr int CHANNELS = 16;
constexpr int THREADS = 128;  // a block's

extern "C" __global__ void __launch_bounds__(THREADS)
mix_channels(const float* __restrict__ x, const float* __restrict__ w, float* __restrict__ y, int n)
{
    // BEGIN SOLUTION: operands from registers (about 35 lines)
    // Sums, and the channel that is being added to them, in registers: 4 pixels and 16 sums each.
    // A weight that was read from shared memory serves 4 FFMAs, and a float4 of them 16.
    constexpr int PIXELS = 4;
    __shared__ float4 turned[CHANNELS][CHANNELS / 4];  // row j: what channel j adds to each sum
    auto weight = reinterpret_cast<float*>(turned);
    for (int k = threadIdx.x; k < CHANNELS * CHANNELS; k += THREADS)
        weight[k] = w[k % CHANNELS * CHANNELS + k / CHANNELS];
    __syncthreads();
    int first = blockIdx.x * THREADS * PIXELS + threadIdx.x;
    float sum[CHANNELS][PIXELS] = {};
#pragma unroll 4
    for (int j = 0; j < CHANNELS; ++j) {
        float in[PIXELS];
#pragma unroll
        for (int k = 0; k < PIXELS; ++k) {
            int i = first + k * THREADS;
            in[k] = i < n ? x[(size_t)j * n + i] : 0.0f;
        }
#pragma unroll
        for (int q = 0; q < CHANNELS / 4; ++q) {
            float4 by = turned[j][q];
#pragma unroll
            for (int k = 0; k < PIXELS; ++k) {
                sum[4 * q][k] = fmaf(by.x, in[k], sum[4 * q][k]);
                sum[4 * q + 1][k] = fmaf(by.y, in[k], sum[4 * q + 1][k]);
                sum[4 * q + 2][k] = fmaf(by.z, in[k], sum[4 * q + 2][k]);
                sum[4 * q + 3][k] = fmaf(by.w, in[k], sum[4 * q + 3][k]);
            }
        }
    }
#pragma unroll
    for (int r = 0; r < CHANNELS; ++r)
#pragma unroll
        for (int k = 0; k < PIXELS; ++k) {
            int i = first + k * THREADS;
            if (i < n) y[(size_t)r * n + i] = sum[r][k];
        }
    // STARTER
    // // Correct, but both factors of every product come from shared memory.
    // __shared__ float weight[CHANNELS][CHANNELS], in[CHANNELS][THREADS];
    // for (int k = threadIdx.x; k < CHANNELS * CHANNELS; k += THREADS)
    //     weight[k / CHANNELS][k % CHANNELS] = w[k];
    // int i = blockIdx.x * THREADS + threadIdx.x;
    // for (int j = 0; j < CHANNELS; ++j)
    //     in[j][threadIdx.x] = i < n ? x[(size_t)j * n + i] : 0.0f;
    // __syncthreads();
    // for (int r = 0; r < CHANNELS; ++r) {
    //     float sum = 0;
    // #pragma unroll 1
    //     for (int j = 0; j < CHANNELS; ++j) sum = fmaf(weight[r][j], in[j][threadIdx.x], sum);
    //     if (i < n) y[(size_t)r * n + i] = sum;
    // }
    // END SOLUTION
}
