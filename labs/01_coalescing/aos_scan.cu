// Running energy of pulses, 256 records at a time. One block per chunk, one thread per record.
// The task is described in aos_scan.py.

constexpr int CHUNK = 256;  // records a block, and threads a block
constexpr int FIELDS = 31;  // floats a record: the samples of one pulse

__device__ float energy(const float* record, float gain)
{
    float sum = 0.0f;
    for (int f = 0; f < FIELDS; ++f) sum += record[f] * record[f];
    return gain * sum;
}

// The sum of `value` over threads 0 to this one. Complete: nothing to do here.
__device__ float running_sum(float value)
{
    __shared__ float warp_totals[CHUNK / 32];
    int lane = threadIdx.x % 32;
    int warp = threadIdx.x / 32;
    for (int distance = 1; distance < 32; distance *= 2) {
        float other = __shfl_up_sync(0xffffffff, value, distance);
        if (lane >= distance) value += other;
    }
    if (lane == 31) warp_totals[warp] = value;
    __syncthreads();
    for (int w = 0; w < warp; ++w) value += warp_totals[w];
    return value;
}

extern "C" __global__ void energy_scan(const float* __restrict__ records, float* __restrict__ out,
                                       float gain, int n)
{
    int first = blockIdx.x * CHUNK;     // the block's first record
    int here = min(CHUNK, n - first);   // records in this chunk; the last may have fewer
    int i = threadIdx.x;

    float value = 0.0f;
    // FILL ME IN: let neighbouring threads read neighbouring floats (about 7 lines)
    // Correct, but thread i starts to read 31 floats after thread i - 1.
    if (i < here) value = energy(records + (size_t)(first + i) * FIELDS, gain);

    float sum = running_sum(value);
    if (i < here) out[first + i] = sum;
}
// Generated from solutions/01_coalescing/aos_scan.cu by `make generate`; 7d01ca2cec347fdb
