// Squared distances between all points of two sets: out[i, j] = |x[i] - y[j]|^2.
// The task is described in squared_distances.py.

constexpr int TILE = 32;  // a block has TILE x TILE threads, each for one pair of points

extern "C" __global__ void squared_distances(const float* __restrict__ x,
                                             const float* __restrict__ y, float* __restrict__ out,
                                             int m, int n, int k)
{
    int i = blockIdx.y * TILE + threadIdx.y;  // a point of x
    int j = blockIdx.x * TILE + threadIdx.x;  // a point of y

    float sum = 0.0f;
    // FILL ME IN: fetch TILE coordinates of TILE points of each set at a time (about 15 lines)
    // Correct, but every thread reads both of its points from global memory.
    if (i < m && j < n)
        for (int c = 0; c < k; ++c) {
            float apart = x[(size_t)i * k + c] - y[(size_t)j * k + c];
            sum += apart * apart;
        }

    if (i < m && j < n) out[(size_t)i * n + j] = sum;
}
// Generated from solutions/04_gemm/squared_distances.cu by `make generate`; 71e276030d024abe
