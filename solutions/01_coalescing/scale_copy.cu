// A message: `lead` zeros, then the payload, alpha * x[0] to alpha * x[n - 1].
// The task is described in scale_copy.py.

// How many floats `p` lies past an address that a float4 could start at: 0, 1, 2 or 3.
__device__ int misalignment(const float* p) { return (int)((size_t)p / sizeof(float) % 4); }

extern "C" __global__ void scale_copy(const float* __restrict__ x, float* __restrict__ out,
                                      float alpha, int lead, int n)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    int threads = gridDim.x * blockDim.x;
    float* y = out + lead;

    for (int i = thread; i < lead; i += threads) out[i] = 0.0f;

    // BEGIN SOLUTION: copy four floats a thread wherever addresses allow it (about 16 lines)
    if (misalignment(x) == misalignment(y)) {
        int head = min((4 - misalignment(x)) % 4, n);  // floats before the first whole float4
        int vectors = (n - head) / 4;
        const float4* from = reinterpret_cast<const float4*>(x + head);
        float4* to = reinterpret_cast<float4*>(y + head);
        for (int v = thread; v < vectors; v += threads) {
            float4 four = from[v];
            to[v] = make_float4(alpha * four.x, alpha * four.y, alpha * four.z, alpha * four.w);
        }
        int tail = head + 4 * vectors;  // the first float after the last whole float4
        if (thread < head) y[thread] = alpha * x[thread];
        if (thread < n - tail) y[tail + thread] = alpha * x[tail + thread];
    } else {
        // Where one side is aligned the other is not: one float a thread, still coalesced.
        for (int i = thread; i < n; i += threads) y[i] = alpha * x[i];
    }
    // STARTER
    // // Correct for any n and any address, but a float a thread.
    // for (int i = thread; i < n; i += threads) y[i] = alpha * x[i];
    // END SOLUTION
}
