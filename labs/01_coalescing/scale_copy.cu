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

    // FILL ME IN: copy four floats a thread wherever addresses allow it (about 16 lines)
    // Correct for any n and any address, but a float a thread.
    for (int i = thread; i < n; i += threads) y[i] = alpha * x[i];
}
// Generated from solutions/01_coalescing/scale_copy.cu by `make generate`; 5c302b81346e731f
