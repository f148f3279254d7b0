// C = alpha A B + beta C, row-major float32: the first steps, a thread an element of C.
// A is m x k, B is k x n, C is m x n. Where beta is 0, C is not read: it may hold anything.

__device__ void put(float* c, float sum, float alpha, float beta) {
  *c = beta == 0.0f ? alpha * sum : alpha * sum + beta * *c;
}

// Step 1. Neighbouring threads take neighbouring rows: they read A, and write C, a whole row apart.
extern "C" __global__ void sgemm_naive(const float* __restrict__ a, const float* __restrict__ b,
                                       float* __restrict__ c, int m, int n, int k, float alpha,
                                       float beta) {
  int row = blockIdx.x * blockDim.x + threadIdx.x;
  int col = blockIdx.y * blockDim.y + threadIdx.y;
  if (row >= m || col >= n) return;
  float sum = 0.0f;
  for (int i = 0; i < k; ++i) sum += a[size_t(row) * k + i] * b[size_t(i) * n + col];
  put(&c[size_t(row) * n + col], sum, alpha, beta);
}

// Step 2. Neighbouring threads take neighbouring columns: reads of B and writes of C are coalesced,
// and a warp reads one float of A for all its lanes.
extern "C" __global__ void sgemm_coalesced(const float* __restrict__ a, const float* __restrict__ b,
                                           float* __restrict__ c, int m, int n, int k, float alpha,
                                           float beta) {
  int col = blockIdx.x * blockDim.x + threadIdx.x;
  int row = blockIdx.y * blockDim.y + threadIdx.y;
  if (row >= m || col >= n) return;
  float sum = 0.0f;
  for (int i = 0; i < k; ++i) sum += a[size_t(row) * k + i] * b[size_t(i) * n + col];
  put(&c[size_t(row) * n + col], sum, alpha, beta);
}

// Step 3. A block brings a tile of A and one of B into shared memory; each float that it fetched is
// used TILE times.
constexpr int TILE = 32;

extern "C" __global__ void __launch_bounds__(TILE* TILE)
sgemm_shared_tile(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c,
                  int m, int n, int k, float alpha, float beta) {
  __shared__ float a_tile[TILE][TILE], b_tile[TILE][TILE];
  int x = threadIdx.x, y = threadIdx.y;
  int row = blockIdx.y * TILE + y, col = blockIdx.x * TILE + x;
  float sum = 0.0f;
  for (int first = 0; first < k; first += TILE) {
    // zeros beyond the edges add nothing
    a_tile[y][x] = row < m && first + x < k ? a[size_t(row) * k + first + x] : 0.0f;
    b_tile[y][x] = first + y < k && col < n ? b[size_t(first + y) * n + col] : 0.0f;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < TILE; ++i) sum += a_tile[y][i] * b_tile[i][x];
    __syncthreads();
  }
  if (row < m && col < n) put(&c[size_t(row) * n + col], sum, alpha, beta);
}
