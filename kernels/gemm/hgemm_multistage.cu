// D = epilogue(A B) on the tensor cores, fed by copies that run ahead.
//
// Over hgemm_mma: slices come through a ring of stages in shared memory by cp.async while older
// ones are multiplied; fragments are read one step ahead; tiles are walked through in groups that
// share rows and columns in L2; and sums go through shared memory on their way out, so that the
// epilogue reads and writes whole rows. Instances of the template are made in hgemm.py.

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

template <class Type>
struct alignas(4 * sizeof(Type)) Four {
  Type element[4];
};

// Four neighbouring sums, finished and stored; one access an array where rows allow it.
template <int EPILOGUE, bool WIDE, class Out>
__device__ void put_four(Out* d, float4 sums, const float* bias, const Out* residual, size_t index,
                         int col, int n) {
  float sum[4] = {sums.x, sums.y, sums.z, sums.w};
  Four<float> b = {};
  Four<Out> old, out;
#pragma unroll
  for (int e = 0; e < 4; ++e) old.element[e] = Out(0.0f);
  if constexpr (WIDE) {
    if constexpr (EPILOGUE & BIAS) b = *reinterpret_cast<const Four<float>*>(bias + col);
    if constexpr (EPILOGUE & RESIDUAL) old = *reinterpret_cast<const Four<Out>*>(residual + index);
  } else {
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      if constexpr (EPILOGUE & BIAS)
        if (col + e < n) b.element[e] = bias[col + e];
      if constexpr (EPILOGUE & RESIDUAL)
        if (col + e < n) old.element[e] = residual[index + e];
    }
  }
#pragma unroll
  for (int e = 0; e < 4; ++e)
    put(&out.element[e], finish<EPILOGUE>(sum[e], b.element[e], to_float(old.element[e])));
  if constexpr (WIDE) {
    *reinterpret_cast<Four<Out>*>(d + index) = out;
  } else {
#pragma unroll
    for (int e = 0; e < 4; ++e)
      if (col + e < n) d[index + e] = out.element[e];
  }
}

// 8 elements of a row, one at a time, of which the first `there` are there; zeros for the others.
template <class Element>
__device__ uint4 eight(const Element* from, int there) {
  union {
    Element element[8];
    uint4 whole;
  } v;
  v.whole = {0, 0, 0, 0};
#pragma unroll
  for (int e = 0; e < 8; ++e)
    if (e < there) v.element[e] = from[e];
  return v.whole;
}

// A copy of 16 bytes that runs in the background, or as many zeros.
__device__ void copy_async(unsigned to, const void* from, bool wanted) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(wanted ? 16 : 0)
               : "memory");
}
__device__ void close_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int PENDING>
__device__ void wait_for_groups() {
  asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

struct True {
  static constexpr bool value = true;
};
struct False {
  static constexpr bool value = false;
};

struct Corner {
  int row, col;
};

// The tile of a block: `GROUP` rows of tiles are walked through together.
template <int BM, int BN, int GROUP>
__device__ Corner tile_of(int block, int m, int n) {
  int down = (m + BM - 1) / BM, across = (n + BN - 1) / BN;
  int first = block / (GROUP * across) * GROUP;
  int height = min(GROUP, down - first);
  int within = block - first * across;
  return {(first + within % height) * BM, within / height * BN};
}

// Where chunk `chunk` of row `row` lies, in chunks, for rows of CHUNKS. Of 4 chunks, two rows share
// the 32 banks, so that every second row moves on.
template <int CHUNKS>
__device__ int swizzled(int row, int chunk) {
  if constexpr (CHUNKS >= 8) return row * CHUNKS + (chunk ^ row % 8);
  return row * CHUNKS + (chunk ^ row / 2 % 4);
}

// BM x BN of D a block, WM x WN a warp, slices of BK, STAGES of them in shared memory.
// WIDE: rows of A, B and D begin at multiples of 16 bytes.
template <class Element, class Out, int BM, int BN, int BK, int WM, int WN, int STAGES, int GROUP,
          int EPILOGUE, bool WIDE>
__device__ void hgemm(const Element* __restrict__ a, const Element* __restrict__ b,
                      Out* __restrict__ d, const float* __restrict__ bias,
                      const Out* __restrict__ residual, int m, int n, int k) {
  constexpr int WARPS = BM / WM * (BN / WN), THREADS = 32 * WARPS;
  constexpr int A_CHUNKS = BK / 8, B_CHUNKS = BN / 8;  // 16-byte chunks of a row
  constexpr int A_STAGE = BM * A_CHUNKS, STAGE = A_STAGE + BK * B_CHUNKS;
  static_assert(A_CHUNKS >= 4 && B_CHUNKS >= 8, "the swizzle takes as many chunks");
  extern __shared__ __align__(128) uint4 stages[];
  int t = threadIdx.x, lane = t % 32, warp = t / 32;
  Corner at = tile_of<BM, BN, GROUP>(blockIdx.x, m, n);
  int warp_row = warp / (BN / WN) * WM, warp_col = warp % (BN / WN) * WN;
  // The first slice is the one that is not full, so that none of the others has to be checked.
  int slices = (k + BK - 1) / BK;
  int first = k - (slices - 1) * BK;
  constexpr unsigned STAGE_BYTES = 16 * STAGE, RING = STAGES * STAGE_BYTES;
  unsigned ring = shared_address(stages);

  // --- copies ------------------------------------------------------------------------------------
  // A thread copies the same chunks of every slice: rows a_row, a_row + A_ROWS .. of A's, and the
  // like of B's. What lies beyond an edge becomes zeros.
  constexpr int A_ROWS = THREADS / A_CHUNKS, B_ROWS = THREADS / B_CHUNKS;
  static_assert(A_ROWS % 8 == 0 && BM % A_ROWS == 0, "rows of one thread have one swizzle");
  static_assert(B_ROWS >= 1 && BK % B_ROWS == 0, "threads copy B's slice by whole rows");
  int a_row = t / A_CHUNKS, a_col = t % A_CHUNKS * 8;
  int b_row = t / B_CHUNKS, b_col = t % B_CHUNKS * 8;
  const Element* a_from = a + size_t(at.row + a_row) * k + a_col;
  const Element* b_from = b + size_t(b_row) * n + at.col + b_col;
  int rows_left = m - at.row - a_row, cols_left = n - at.col - b_col;
  unsigned a_to = 16 * swizzled<A_CHUNKS>(a_row, a_col / 8);

  // Starts to copy the next slice, of which `inside` columns of A and rows of B are there, to a
  // stage; the FIRST is checked against that.
  auto copy = [&](auto is_first, int inside, unsigned stage) {
    constexpr bool FIRST = decltype(is_first)::value;
    const Element* from = a_from;
#pragma unroll
    for (int time = 0; time < BM / A_ROWS; ++time) {
      unsigned to = a_to + 16 * time * A_ROWS * A_CHUNKS + stage;
      bool wanted = time * A_ROWS < rows_left && (!FIRST || a_col < inside);
      if constexpr (WIDE)
        copy_async(ring + to, from, wanted);
      else
        stages[to / 16] = eight(from, wanted ? inside - a_col : 0);
      from += size_t(A_ROWS) * k;
    }
    a_from += inside;
    from = b_from;
#pragma unroll
    for (int time = 0; time < BK / B_ROWS; ++time) {
      int row = b_row + time * B_ROWS;
      unsigned to = 16 * (A_STAGE + swizzled<B_CHUNKS>(row, b_col / 8)) + stage;
      bool wanted = cols_left > 0 && (!FIRST || row < inside);
      if constexpr (WIDE)
        copy_async(ring + to, from, wanted);
      else
        stages[to / 16] = eight(from, wanted ? cols_left : 0);
      from += size_t(B_ROWS) * n;
    }
    b_from += size_t(inside) * n;
  };

  // --- multiply-adds -----------------------------------------------------------------------------
  constexpr int STEPS = BK / 16;
  static_assert(STEPS % 2 == 0, "the fragments' two buffers take turns across slices");
  float sum[WM / 16][WN / 8][4] = {};
  unsigned a_part[2][WM / 16][4], b_part[2][WN / 16][4];

  // Lanes 0 to 15 address the rows of the left 8 columns, 16 to 31 those of the right 8. Going 16
  // rows on changes no swizzle, so that one address a step serves all of A's fragments, and one a
  // fragment all steps of B's.
  int lane_row = lane % 16, lane_chunk = lane / 16;
  unsigned a_at[STEPS], b_at[WN / 16];
#pragma unroll
  for (int step = 0; step < STEPS; ++step)
    a_at[step] = 16 * swizzled<A_CHUNKS>(warp_row + lane_row, 2 * step + lane_chunk);
#pragma unroll
  for (int s = 0; s < WN / 16; ++s)
    b_at[s] =
        16 * (A_STAGE + swizzled<B_CHUNKS>(lane_row, warp_col / 8 + 2 * s + lane_chunk));

  auto read = [&](unsigned stage, int step, int buffer) {
#pragma unroll
    for (int r = 0; r < WM / 16; ++r)
      load_matrices(a_part[buffer][r], ring + stage + a_at[step] + 16 * 16 * r * A_CHUNKS);
#pragma unroll
    for (int s = 0; s < WN / 16; ++s)
      load_transposed(b_part[buffer][s], ring + stage + b_at[s] + 16 * 16 * step * B_CHUNKS);
  };

  if (slices > 0) copy(True(), first, 0);
  close_group();
#pragma unroll
  for (int s = 1; s < STAGES - 1; ++s) {
    if (s < slices) copy(False(), BK, s * STAGE_BYTES);
    close_group();  // an empty one, too: a group a slice
  }
  if (slices > 0) {
    wait_for_groups<STAGES - 2>();
    __syncthreads();
    read(0, 0, 0);
  }
  unsigned stage = 0, ahead = RING - STAGE_BYTES;  // being multiplied; being filled
#pragma unroll 1
  for (int left = slices; left > 0; --left) {
    unsigned next = stage + STAGE_BYTES == RING ? 0 : stage + STAGE_BYTES;
#pragma unroll
    for (int step = 0; step < STEPS; ++step) {
      if (step < STEPS - 1) read(stage, step + 1, (step + 1) % 2);
      if (step == 0) {
        // All have read the stage being filled: they have passed the last barrier since.
        if (left >= STAGES) copy(False(), BK, ahead);
        close_group();
      }
      if (step == STEPS - 1 && left > 1) {
        wait_for_groups<STAGES - 2>();  // mine of the next slice have arrived
        __syncthreads();                // everybody's have
        read(next, 0, (step + 1) % 2);
      }
#pragma unroll
      for (int r = 0; r < WM / 16; ++r)
#pragma unroll
        for (int s = 0; s < WN / 8; ++s) {
          int across = r % 2 ? WN / 8 - 1 - s : s;  // there and back, to reuse operands
          const unsigned* b_pair = &b_part[step % 2][across / 2][across % 2 * 2];
          multiply_add(sum[r][across], a_part[step % 2][r], b_pair[0], b_pair[1], Element());
        }
    }
    ahead = stage;
    stage = next;
  }

  // --- epilogue ----------------------------------------------------------------------------------
  // 16 rows of a warp's sums at a time go through shared memory. Rows are 8 banks apart, so that
  // the 4 rows which half a warp writes, 8 bytes a lane, fill the 32 banks.
  constexpr int PITCH = WN + 8, QUADS = WN / 4;
  static_assert(WN % 32 == 0, "the pitch of a slab fits the banks");
  static_assert(WARPS * 16 * PITCH * 4 <= STAGES * STAGE * 16, "slabs fit where the stages were");
  __syncthreads();  // the stages are free
  float* slab = reinterpret_cast<float*>(stages) + warp * 16 * PITCH;
#pragma unroll
  for (int r = 0; r < WM / 16; ++r) {
#pragma unroll
    for (int s = 0; s < WN / 8; ++s)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        *reinterpret_cast<float2*>(&slab[(lane / 4 + 8 * half) * PITCH + 8 * s + lane % 4 * 2]) = {
            sum[r][s][2 * half], sum[r][s][2 * half + 1]};
    __syncwarp();
#pragma unroll
    for (int e = lane; e < 16 * QUADS; e += 32) {
      int row = at.row + warp_row + 16 * r + e / QUADS;
      int col = at.col + warp_col + e % QUADS * 4;
      if (row >= m || col >= n) continue;
      float4 v = *reinterpret_cast<const float4*>(&slab[e / QUADS * PITCH + e % QUADS * 4]);
      put_four<EPILOGUE, WIDE>(d, v, bias, residual, size_t(row) * n + col, col, n);
    }
    __syncwarp();
  }
}
