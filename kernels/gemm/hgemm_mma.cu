// D = epilogue(A B) on the tensor cores: A (m x k) and B (k x n) of 16-bit floats, sums in float32.
//
// A warp's mma.sync multiplies 16 x 16 of A by 16 x 8 of B. Each lane holds some elements of each,
// in a layout of the instruction's own, which ldmatrix reads from shared memory: 8 rows of 16 bytes
// at a time. Rows of a tile begin in the same bank, so 16-byte chunks are swizzled: chunk c of row
// r lies where chunk c ^ r would, and the 8 rows of a column of chunks lie in different banks.
//
// Instances of the template, one a dtype, epilogue and shape, are made in hgemm.py.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

enum Epilogue { PLAIN = 0, BIAS = 1, GELU = 2, RESIDUAL = 4 };  // any sum of them

__device__ unsigned shared_address(const void* p) { return __cvta_generic_to_shared(p); }

// Four 8 x 8 matrices; lane l gives the address of row l % 8 of matrix l / 8.
__device__ void load_matrices(unsigned (&out)[4], unsigned row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(row)
               : "memory");
}
__device__ void load_transposed(unsigned (&out)[4], unsigned row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(row)
               : "memory");
}

#define MULTIPLY_ADD(type)                                                                      \
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." type "." type                           \
               ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"           \
               : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])                         \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1))
__device__ void multiply_add(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1,
                             __half) {
  MULTIPLY_ADD("f16");
}
__device__ void multiply_add(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1,
                             __nv_bfloat16) {
  MULTIPLY_ADD("bf16");
}

__device__ float to_float(float x) { return x; }
__device__ float to_float(__half x) { return __half2float(x); }
__device__ float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ void put(float* to, float x) { *to = x; }
__device__ void put(__half* to, float x) { *to = __float2half_rn(x); }
__device__ void put(__nv_bfloat16* to, float x) { *to = __float2bfloat16_rn(x); }

__device__ float gelu(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678f)); }

// What becomes of a sum before it is stored: + bias of its column, GELU, + residual, in this order.
template <int EPILOGUE>
__device__ float finish(float sum, float bias, float residual) {
  if constexpr (EPILOGUE & BIAS) sum += bias;
  if constexpr (EPILOGUE & GELU) sum = gelu(sum);
  if constexpr (EPILOGUE & RESIDUAL) sum += residual;
  return sum;
}

// 8 elements of a row from `col` on, zeros beyond the edge; one access where rows begin at
// multiples of 16 bytes.
template <bool WIDE, class Element>
__device__ uint4 eight(const Element* matrix, int row, int col, int rows, int cols) {
  union {
    Element element[8];
    uint4 whole;
  } v;
  v.whole = {0, 0, 0, 0};
  if (row >= rows || col >= cols) return v.whole;
  const Element* from = matrix + size_t(row) * cols + col;
  if constexpr (WIDE) return *reinterpret_cast<const uint4*>(from);
#pragma unroll
  for (int e = 0; e < 8; ++e)
    if (col + e < cols) v.element[e] = from[e];
  return v.whole;
}

// BM x BN of D a block, WM x WN a warp, slices of BK.
template <class Element, class Out, int BM, int BN, int BK, int WM, int WN, int EPILOGUE, bool WIDE>
__device__ void hgemm(const Element* __restrict__ a, const Element* __restrict__ b,
                      Out* __restrict__ d, const float* __restrict__ bias,
                      const Out* __restrict__ residual, int m, int n, int k) {
  constexpr int THREADS = BM / WM * (BN / WN) * 32;
  constexpr int A_CHUNKS = BK / 8, B_CHUNKS = BN / 8;  // 16-byte chunks of a row
  static_assert(A_CHUNKS >= 8 && B_CHUNKS >= 8, "the swizzle takes 8 chunks");
  __shared__ __align__(128) uint4 a_tile[BM * A_CHUNKS];
  __shared__ __align__(128) uint4 b_tile[BK * B_CHUNKS];
  int t = threadIdx.x, lane = t % 32, warp = t / 32;
  int row0 = blockIdx.y * BM, col0 = blockIdx.x * BN;
  int warp_row = warp / (BN / WN) * WM, warp_col = warp % (BN / WN) * WN;

  float sum[WM / 16][WN / 8][4] = {};
  for (int first = 0; first < k; first += BK) {
#pragma unroll
    for (int e = t; e < BM * A_CHUNKS; e += THREADS) {
      int row = e / A_CHUNKS, chunk = e % A_CHUNKS;
      a_tile[row * A_CHUNKS + (chunk ^ row % 8)] =
          eight<WIDE>(a, row0 + row, first + 8 * chunk, m, k);
    }
#pragma unroll
    for (int e = t; e < BK * B_CHUNKS; e += THREADS) {
      int row = e / B_CHUNKS, chunk = e % B_CHUNKS;
      b_tile[row * B_CHUNKS + (chunk ^ row % 8)] =
          eight<WIDE>(b, first + row, col0 + 8 * chunk, k, n);
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < BK; i += 16) {
      unsigned a_part[WM / 16][4], b_part[WN / 16][4];
#pragma unroll
      for (int r = 0; r < WM / 16; ++r) {
        // lanes 0 to 15 address the rows of the left 8 columns, 16 to 31 those of the right 8
        int row = warp_row + 16 * r + lane % 16, chunk = i / 8 + lane / 16;
        load_matrices(a_part[r], shared_address(&a_tile[row * A_CHUNKS + (chunk ^ row % 8)]));
      }
#pragma unroll
      for (int s = 0; s < WN / 16; ++s) {
        int row = i + lane % 16, chunk = warp_col / 8 + 2 * s + lane / 16;
        load_transposed(b_part[s], shared_address(&b_tile[row * B_CHUNKS + (chunk ^ row % 8)]));
      }
#pragma unroll
      for (int r = 0; r < WM / 16; ++r)
#pragma unroll
        for (int s = 0; s < WN / 8; ++s)
          multiply_add(sum[r][s], a_part[r], b_part[s / 2][s % 2 * 2], b_part[s / 2][s % 2 * 2 + 1],
                       Element());
    }
    __syncthreads();
  }

  // Lane l has columns 2 (l % 4) and the next one of rows l / 4 and l / 4 + 8 of each 16 x 8.
#pragma unroll
  for (int r = 0; r < WM / 16; ++r)
#pragma unroll
    for (int s = 0; s < WN / 8; ++s)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        int row = row0 + warp_row + 16 * r + lane / 4 + e / 2 * 8;
        int col = col0 + warp_col + 8 * s + lane % 4 * 2 + e % 2;
        if (row >= m || col >= n) continue;
        size_t index = size_t(row) * n + col;
        float add = 0.0f, old = 0.0f;
        if constexpr (EPILOGUE & BIAS) add = bias[col];
        if constexpr (EPILOGUE & RESIDUAL) old = to_float(residual[index]);
        put(&d[index], finish<EPILOGUE>(sum[r][s][e], add, old));
      }
}
