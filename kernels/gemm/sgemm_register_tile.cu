// C = alpha A B + beta C, row-major float32: 8 x 8 elements of C a thread, 128 x 128 a block.
//
// With an element a thread, two floats are read from shared memory for each multiply-add. A thread
// that keeps 8 x 8 sums reads 16 floats for 64 of them.

constexpr int BM = 128, BN = 128, BK = 8;  // of a block: rows and columns of C, slice of k
constexpr int TM = 8, TN = 8;              // of a thread
constexpr int THREADS = (BM / TM) * (BN / TN);

__device__ void put(float* c, float sum, float alpha, float beta) {
  *c = beta == 0.0f ? alpha * sum : alpha * sum + beta * *c;
}

// Step 4. Thread (y, x) of 16 x 16 owns rows y + 16 i and columns x + 16 j: lanes read neighbouring
// floats of B's tile, and write neighbouring floats of C.
extern "C" __global__ void __launch_bounds__(THREADS)
sgemm_register_tile(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c,
                    int m, int n, int k, float alpha, float beta) {
  constexpr int ACROSS = BN / TN, DOWN = BM / TM;  // threads
  __shared__ float a_tile[BM][BK], b_tile[BK][BN];
  int t = threadIdx.x, x = t % ACROSS, y = t / ACROSS;
  int row0 = blockIdx.y * BM, col0 = blockIdx.x * BN;

  float sum[TM][TN] = {};
  for (int first = 0; first < k; first += BK) {
#pragma unroll
    for (int e = t; e < BM * BK; e += THREADS) {
      int row = row0 + e / BK, i = first + e % BK;
      a_tile[e / BK][e % BK] = row < m && i < k ? a[size_t(row) * k + i] : 0.0f;
    }
#pragma unroll
    for (int e = t; e < BK * BN; e += THREADS) {
      int i = first + e / BN, col = col0 + e % BN;
      b_tile[e / BN][e % BN] = i < k && col < n ? b[size_t(i) * n + col] : 0.0f;
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < BK; ++i) {
      float a_part[TM], b_part[TN];
#pragma unroll
      for (int r = 0; r < TM; ++r) a_part[r] = a_tile[y + DOWN * r][i];
#pragma unroll
      for (int s = 0; s < TN; ++s) b_part[s] = b_tile[i][x + ACROSS * s];
#pragma unroll
      for (int r = 0; r < TM; ++r)
#pragma unroll
        for (int s = 0; s < TN; ++s) sum[r][s] += a_part[r] * b_part[s];
    }
    __syncthreads();
  }
#pragma unroll
  for (int r = 0; r < TM; ++r)
#pragma unroll
    for (int s = 0; s < TN; ++s) {
      int row = row0 + y + DOWN * r, col = col0 + x + ACROSS * s;
      if (row < m && col < n) put(&c[size_t(row) * n + col], sum[r][s], alpha, beta);
    }
}
