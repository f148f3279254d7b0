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
    // BEGIN SOLUTION: fetch TILE coordinates of TILE points of each set at a time (about 15 lines)
    __shared__ float x_tile[TILE][TILE];
    __shared__ float y_tile[TILE][TILE + 1];  // + 1: lanes read one column of it
    int mine = blockIdx.x * TILE + threadIdx.y;  // the point of y that this row of threads brings
    for (int first = 0; first < k; first += TILE) {
        int c = first + threadIdx.x;
        x_tile[threadIdx.y][threadIdx.x] = i < m && c < k ? x[(size_t)i * k + c] : 0.0f;
        y_tile[threadIdx.y][threadIdx.x] = mine < n && c < k ? y[(size_t)mine * k + c] : 0.0f;
        __syncthreads();
        for (int c = 0; c < TILE; ++c) {
            float apart = x_tile[threadIdx.y][c] - y_tile[threadIdx.x][c];
            sum += apart * apart;
        }
        __syncthreads();  // before the tiles are overwritten
    }
    // STARTER
    // // Correct, but every thread reads both of its points from global memory.
    // if (i < m && j < n)
    //     for (int c = 0; c < k; ++c) {
    //         float apart = x[(size_t)i * k + c] - y[(size_t)j * k + c];
    //         sum += apart * apart;
    //     }
    // END SOLUTION

    if (i < m && j < n) out[(size_t)i * n + j] = sum;
}
