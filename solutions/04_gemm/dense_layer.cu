// A dense layer: out = max(x w + bias, 0). The task is described in dense_layer.py.

// BEGIN SOLUTION: a larger tile, and several sums a thread (about 3 lines)
constexpr int TILE = 64;            // rows and columns of out a block
constexpr int EACH = TILE / 16;     // a thread computes EACH x EACH of them
constexpr int SLICE = 16;           // of k, in shared memory at a time
// STARTER
// constexpr int TILE = 16;            // rows and columns of out a block
// constexpr int SLICE = 16;           // of k, in shared memory at a time
// END SOLUTION
constexpr int THREADS = 256;        // a block, as 16 x 16

// Bring a slice of x and of w to shared memory; zeros beyond the edges. Complete, for any TILE.
__device__ void fetch(float (&x_tile)[TILE][SLICE], float (&w_tile)[SLICE][TILE], const float* x,
                      const float* w, int first, int m, int n, int k)
{
    for (int e = threadIdx.x; e < TILE * SLICE; e += THREADS) {
        int row = blockIdx.y * TILE + e / SLICE, c = first + e % SLICE;
        x_tile[e / SLICE][e % SLICE] = row < m && c < k ? x[(size_t)row * k + c] : 0.0f;
    }
    for (int e = threadIdx.x; e < SLICE * TILE; e += THREADS) {
        int c = first + e / TILE, col = blockIdx.x * TILE + e % TILE;
        w_tile[e / TILE][e % TILE] = c < k && col < n ? w[(size_t)c * n + col] : 0.0f;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
dense_layer(const float* __restrict__ x, const float* __restrict__ w,
            const float* __restrict__ bias, float* __restrict__ out, int m, int n, int k)
{
    __shared__ float x_tile[TILE][SLICE], w_tile[SLICE][TILE];
    int across = threadIdx.x % 16, down = threadIdx.x / 16;

    // BEGIN SOLUTION: read EACH + EACH floats for EACH x EACH multiply-adds (about 22 lines)
    float sum[EACH][EACH] = {};
    for (int first = 0; first < k; first += SLICE) {
        fetch(x_tile, w_tile, x, w, first, m, n, k);
        __syncthreads();
#pragma unroll
        for (int c = 0; c < SLICE; ++c) {
            float from_x[EACH], from_w[EACH];
            for (int r = 0; r < EACH; ++r) from_x[r] = x_tile[down + 16 * r][c];
            for (int s = 0; s < EACH; ++s) from_w[s] = w_tile[c][across + 16 * s];
            for (int r = 0; r < EACH; ++r)
                for (int s = 0; s < EACH; ++s) sum[r][s] += from_x[r] * from_w[s];
        }
        __syncthreads();  // before the tiles are overwritten
    }
    for (int r = 0; r < EACH; ++r)
        for (int s = 0; s < EACH; ++s) {
            int row = blockIdx.y * TILE + down + 16 * r, col = blockIdx.x * TILE + across + 16 * s;
            if (row < m && col < n) out[(size_t)row * n + col] = fmaxf(sum[r][s] + bias[col], 0.0f);
        }
    // STARTER
    // // Correct, but each multiply-add reads two floats from shared memory.
    // float sum = 0.0f;
    // for (int first = 0; first < k; first += SLICE) {
    //     fetch(x_tile, w_tile, x, w, first, m, n, k);
    //     __syncthreads();
    //     for (int c = 0; c < SLICE; ++c) sum += x_tile[down][c] * w_tile[c][across];
    //     __syncthreads();  // before the tiles are overwritten
    // }
    // int row = blockIdx.y * TILE + down, col = blockIdx.x * TILE + across;
    // if (row < m && col < n) out[(size_t)row * n + col] = fmaxf(sum + bias[col], 0.0f);
    // END SOLUTION
}
