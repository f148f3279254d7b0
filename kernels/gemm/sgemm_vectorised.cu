// C = alpha A B + beta C, row-major float32: the register tile with 16-byte accesses, then with
// lanes arranged for it. A and B must begin at multiples of 16 bytes.

constexpr int BM = 128, BN = 128, BK = 8;  // of a block: rows and columns of C, slice of k
constexpr int TM = 8, TN = 8;              // of a thread: two groups of four rows, and of columns
constexpr int THREADS = (BM / TM) * (BN / TN);
constexpr int PITCH = BM + 4;  // of a row of A's tile: see below

__device__ void put(float* c, float sum, float alpha, float beta) {
  *c = beta == 0.0f ? alpha * sum : alpha * sum + beta * *c;
}

// Four floats of a row from column `col` on, with zeros beyond the edge; one access where rows
// begin at multiples of 16 bytes.
__device__ float4 row_of_four(const float* matrix, int row, int col, int rows, int cols) {
  float4 v = {0.0f, 0.0f, 0.0f, 0.0f};
  if (row >= rows || col >= cols) return v;
  const float* from = matrix + size_t(row) * cols + col;
  if (cols % 4 == 0) return *reinterpret_cast<const float4*>(from);
  v.x = from[0];
  if (col + 1 < cols) v.y = from[1];
  if (col + 2 < cols) v.z = from[2];
  if (col + 3 < cols) v.w = from[3];
  return v;
}

// The sums of a block's tile. A thread has rows y + 0..3 and y + 0..3 + DOWN of it, and columns
// x + 0..3 and x + 0..3 + ACROSS.
template <int DOWN, int ACROSS>
__device__ void tile_sums(const float* a, const float* b, int m, int n, int k, int row0, int col0,
                          int y, int x, float (&sum)[TM][TN]) {
  // A's tile lies transposed, so that a thread reads its four rows as one float4 as well. The
  // float4 of A that a lane brings becomes four stores. Lanes 0, 2, 4 .. bring neighbouring rows of
  // column i, lanes 1, 3, 5 .. of column i + 4, which is 16 banks further: no conflict.
  __shared__ __align__(16) float a_tile[BK][PITCH];
  __shared__ __align__(16) float b_tile[BK][BN];
  int t = threadIdx.x;
  int a_row = t / (BK / 4), a_col = t % (BK / 4) * 4;
  int b_row = t / (BN / 4), b_col = t % (BN / 4) * 4;
  static_assert(THREADS * 4 == BM * BK && THREADS * 4 == BK * BN, "a thread brings one float4");

  for (int first = 0; first < k; first += BK) {
    float4 from_a = row_of_four(a, row0 + a_row, first + a_col, m, k);
    float4 from_b = row_of_four(b, first + b_row, col0 + b_col, k, n);
    a_tile[a_col + 0][a_row] = from_a.x;
    a_tile[a_col + 1][a_row] = from_a.y;
    a_tile[a_col + 2][a_row] = from_a.z;
    a_tile[a_col + 3][a_row] = from_a.w;
    *reinterpret_cast<float4*>(&b_tile[b_row][b_col]) = from_b;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < BK; ++i) {
      float a_part[TM], b_part[TN];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        *reinterpret_cast<float4*>(&a_part[4 * half]) =
            *reinterpret_cast<const float4*>(&a_tile[i][y + DOWN * half]);
        *reinterpret_cast<float4*>(&b_part[4 * half]) =
            *reinterpret_cast<const float4*>(&b_tile[i][x + ACROSS * half]);
      }
#pragma unroll
      for (int r = 0; r < TM; ++r)
#pragma unroll
        for (int s = 0; s < TN; ++s) sum[r][s] += a_part[r] * b_part[s];
    }
    __syncthreads();
  }
}

template <int DOWN, int ACROSS>
__device__ void put_tile(float* c, int m, int n, int row0, int col0, float (&sum)[TM][TN],
                         float alpha, float beta) {
#pragma unroll
  for (int r = 0; r < TM; ++r) {
    int row = row0 + r / 4 * DOWN + r % 4;
    if (row >= m) break;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      int col = col0 + half * ACROSS;
      float* to = c + size_t(row) * n + col;
      if (n % 4 == 0 && col < n) {
        float4 old = {0.0f, 0.0f, 0.0f, 0.0f};
        if (beta != 0.0f) old = *reinterpret_cast<float4*>(to);
        const float* four = &sum[r][4 * half];
        *reinterpret_cast<float4*>(to) = {alpha * four[0] + beta * old.x,
                                          alpha * four[1] + beta * old.y,
                                          alpha * four[2] + beta * old.z,
                                          alpha * four[3] + beta * old.w};
      } else {
#pragma unroll
        for (int s = 0; s < 4; ++s)
          if (col + s < n) put(to + s, sum[r][4 * half + s], alpha, beta);
      }
    }
  }
}

// Step 5. 16 bytes an access, everywhere. Threads lie in the block's tile as 16 x 16, so that a
// warp covers 2 x 16 of them.
extern "C" __global__ void __launch_bounds__(THREADS)
sgemm_vectorised(const float4* __restrict__ a, const float4* __restrict__ b, float4* __restrict__ c,
                 int m, int n, int k, float alpha, float beta) {
  int row0 = blockIdx.y * BM, col0 = blockIdx.x * BN;
  int y = threadIdx.x / 16 * 4, x = threadIdx.x % 16 * 4;
  float sum[TM][TN] = {};
  tile_sums<BM / 2, BN / 2>(reinterpret_cast<const float*>(a), reinterpret_cast<const float*>(b), m,
                            n, k, row0, col0, y, x, sum);
  put_tile<BM / 2, BN / 2>(reinterpret_cast<float*>(c), m, n, row0 + y, col0 + x, sum, alpha, beta);
}

// Step 6. A warp covers 64 x 32 elements, as 8 x 4 threads: it reads 8 + 4 different float4s where
// 2 x 16 threads read 2 + 16. Lanes l and l ^ 1 have the same rows, l and l ^ 2 the same columns:
// only then does a read of 16 bytes a lane take 2 wavefronts and not 4.
extern "C" __global__ void __launch_bounds__(THREADS)
sgemm_warp_tile(const float4* __restrict__ a, const float4* __restrict__ b, float4* __restrict__ c,
                int m, int n, int k, float alpha, float beta) {
  constexpr int WM = 64, WN = 32;  // of a warp
  int row0 = blockIdx.y * BM, col0 = blockIdx.x * BN;
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  int y = warp / (BN / WN) * WM + (lane / 8 * 2 + lane / 2 % 2) * 4;
  int x = warp % (BN / WN) * WN + (lane / 4 % 2 * 2 + lane % 2) * 4;
  float sum[TM][TN] = {};
  tile_sums<WM / 2, WN / 2>(reinterpret_cast<const float*>(a), reinterpret_cast<const float*>(b), m,
                            n, k, row0, col0, y, x, sum);
  put_tile<WM / 2, WN / 2>(reinterpret_cast<float*>(c), m, n, row0 + y, col0 + x, sum, alpha, beta);
}
