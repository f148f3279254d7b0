// C = alpha A B + beta C, row-major float32: the warp tile, fed by copies that run ahead.
//
// Slices of A and B come through a ring of stages in shared memory by cp.async, while older ones
// are being multiplied; and what the next multiply-adds need is read into registers one step ahead.
// So neither the latency of global memory nor that of shared memory is waited for.
//
// On an H100 a scheduler issues one instruction a clock, and FP32 takes one a clock: whatever is no
// multiply-add costs its share of the peak. Hence large thread tiles: 8 x 16 sums take 6 reads of
// 16 bytes for 128 multiply-adds. Instances of the template are made in sgemm.py.

enum CopyA { WORDS, REGISTERS };  // how A's slice is transposed on its way, see below

__device__ unsigned shared_address(const void* p) { return __cvta_generic_to_shared(p); }

// A copy of BYTES that runs in the background, or as many zeros.
template <int BYTES>
__device__ void copy_async(unsigned to, const float* from, bool wanted = true) {
  if constexpr (BYTES == 16)  // past L1: what a block has fetched, it keeps in shared memory
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
                 "r"(wanted ? 16 : 0)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from),
                 "r"(wanted ? 4 : 0)
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

// The tile of a block. Blocks that run at the same time should share rows of A and columns of B
// while these are in L2: `GROUP` rows of tiles are walked through together.
template <int BM, int BN, int GROUP>
__device__ Corner tile_of(int block, int m, int n) {
  int down = (m + BM - 1) / BM, across = (n + BN - 1) / BN;
  int first = block / (GROUP * across) * GROUP;
  int height = min(GROUP, down - first);
  int within = block - first * across;
  return {(first + within % height) * BM, within / height * BN};
}

// BM x BN of C a block, WM x WN a warp, TM x TN a thread; slices of BK. The code of UNROLL steps of a
// slice is repeated: an SM's instruction cache is small. WIDE: rows of B and C begin at multiples of
// 16 bytes (and rows of A, where it comes through registers).
template <int BM, int BN, int BK, int WM, int WN, int TM, int TN, int STAGES, CopyA COPY_A,
          int GROUP, int UNROLL, bool WIDE>
__device__ void sgemm(const float* __restrict__ a, const float* __restrict__ b,
                      float* __restrict__ c, int m, int n, int k, float alpha, float beta) {
  constexpr int THREADS = BM / WM * (BN / WN) * 32;
  constexpr int DOWN = WM / TM, ACROSS = WN / TN;  // a warp's threads
  static_assert(DOWN * ACROSS == 32, "a warp's 32 threads cover its tile");
  static_assert(TM % 4 == 0 && TN % 4 == 0, "a thread has groups of four rows and columns");
  static_assert(UNROLL % 2 == 0 && BK % UNROLL == 0, "two sets of operands take turns");
  // Rows of A's slice, transposed, are 4 banks apart from one another. A warp copies 4 rows of
  // 8 floats of A at a time, the whole of a sector each: no two of these 32 meet in a bank.
  constexpr int PITCH = BM + 4;
  constexpr int A_STAGE = BK * PITCH, STAGE = A_STAGE + BK * BN;
  extern __shared__ __align__(16) float stages[];
  constexpr unsigned STAGE_BYTES = 4 * STAGE, RING = STAGES * STAGE_BYTES;

  int t = threadIdx.x, lane = t % 32, warp = t / 32;
  Corner at = tile_of<BM, BN, GROUP>(blockIdx.x, m, n);
  // The first slice is the one that is not full, so that none of the others has to be checked.
  int slices = (k + BK - 1) / BK;
  int first = k - (slices - 1) * BK;

  // --- copies ------------------------------------------------------------------------------------
  // Rows of A and columns of B beyond the edge are copied from the last ones: what comes of them is
  // not stored.
  constexpr bool BY_WORDS = COPY_A == WORDS || !WIDE;
  constexpr int A_LANES = BY_WORDS ? 8 : BK / 4;     // threads along a row of the slice
  constexpr int A_WIDTH = BY_WORDS ? 1 : 4;          // floats of each
  constexpr int A_ROWS = THREADS / A_LANES;          // rows at a time
  constexpr int A_TIMES = BM / A_ROWS;               // times
  constexpr int A_PARTS = BK / (A_LANES * A_WIDTH);  // parts of a row
  static_assert(BM % A_ROWS == 0 && A_PARTS >= 1, "threads cover whole copies of A's slice");
  int a_row = t / A_LANES, a_col = t % A_LANES * A_WIDTH;
  const float* a_from[A_TIMES];
#pragma unroll
  for (int time = 0; time < A_TIMES; ++time)
    a_from[time] = a + size_t(min(at.row + a_row + time * A_ROWS, m - 1)) * k + a_col;
  float4 held[BY_WORDS ? 1 : A_TIMES * A_PARTS];  // of A, between loading and storing

  constexpr int B_WIDTH = WIDE ? 4 : 1;
  constexpr int B_LANES = BN / B_WIDTH < THREADS ? BN / B_WIDTH : THREADS;
  constexpr int B_ROWS = THREADS / B_LANES;
  constexpr int B_TIMES = BK / B_ROWS;
  constexpr int B_PARTS = BN / (B_LANES * B_WIDTH);
  static_assert(BK % B_ROWS == 0 && B_PARTS >= 1, "and of B's");
  int b_row = t / B_LANES, b_col = t % B_LANES * B_WIDTH;
  const float* b_from[B_PARTS];
#pragma unroll
  for (int part = 0; part < B_PARTS; ++part)
    b_from[part] =
        b + size_t(b_row) * n + min(at.col + b_col + part * B_LANES * B_WIDTH, n - B_WIDTH);

  unsigned a_to = shared_address(stages + a_col * PITCH + a_row);
  unsigned b_to = shared_address(stages + A_STAGE + b_row * BN + b_col);

  // Starts to copy the next slice, of which `inside` rows of B and columns of A are there, to a
  // stage; the FIRST is checked against that.
  auto copy = [&](auto is_first, int inside, unsigned stage) {
    constexpr bool FIRST = decltype(is_first)::value;
#pragma unroll
    for (int time = 0; time < A_TIMES; ++time) {
#pragma unroll
      for (int part = 0; part < A_PARTS; ++part) {
        int i = part * A_LANES * A_WIDTH;
        bool wanted = !FIRST || a_col + i < inside;
        if constexpr (BY_WORDS)
          copy_async<4>(a_to + stage + 4 * (i * PITCH + time * A_ROWS), a_from[time] + i, wanted);
        else
          held[time * A_PARTS + part] =
              wanted ? *reinterpret_cast<const float4*>(a_from[time] + i) : float4{};
      }
      a_from[time] += inside;
    }
#pragma unroll
    for (int part = 0; part < B_PARTS; ++part) {
      const float* from = b_from[part];
#pragma unroll
      for (int time = 0; time < B_TIMES; ++time) {
        bool wanted = !FIRST || b_row + time * B_ROWS < inside;
        copy_async<4 * B_WIDTH>(
            b_to + stage + 4 * (time * B_ROWS * BN + part * B_LANES * B_WIDTH), from, wanted);
        from += size_t(B_ROWS) * n;
      }
      b_from[part] += size_t(inside) * n;
    }
  };
  // What came through registers goes to its place.
  auto store_a = [&](unsigned stage) {
    if constexpr (!BY_WORDS) {
      float* to = stages + stage / 4 + a_col * PITCH + a_row;
#pragma unroll
      for (int time = 0; time < A_TIMES; ++time)
#pragma unroll
        for (int part = 0; part < A_PARTS; ++part) {
          float4 v = held[time * A_PARTS + part];
          float* there = to + part * A_LANES * A_WIDTH * PITCH + time * A_ROWS;
          there[0 * PITCH] = v.x;
          there[1 * PITCH] = v.y;
          there[2 * PITCH] = v.z;
          there[3 * PITCH] = v.w;
        }
    }
  };

  // --- multiply-adds -----------------------------------------------------------------------------
  // A thread has TM / 4 groups of four rows and TN / 4 of four columns, spread over its warp's tile
  // so that lanes read neighbouring float4s. Lanes l and l ^ 1 have the same rows, l and l ^ 2 the
  // same columns: a read of 16 bytes a lane then takes 2 wavefronts and not 4.
  int lane_y = lane / 2 % 2 + lane / 4 / (ACROSS / 2) * 2;
  int lane_x = lane % 2 + lane / 4 % (ACROSS / 2) * 2;
  int y = warp / (BN / WN) * WM + lane_y * 4, x = warp % (BN / WN) * WN + lane_x * 4;
  float a_part[2][TM], b_part[2][TN];
  float sum[TM][TN] = {};

  auto read = [&](unsigned stage, int i, int buffer) {
    const char* slice = reinterpret_cast<const char*>(stages) + stage;
#pragma unroll
    for (int r = 0; r < TM; r += 4)
      *reinterpret_cast<float4*>(&a_part[buffer][r]) =
          *reinterpret_cast<const float4*>(slice + 4 * y + 4 * (i * PITCH + r * DOWN));
#pragma unroll
    for (int s = 0; s < TN; s += 4)
      *reinterpret_cast<float4*>(&b_part[buffer][s]) =
          *reinterpret_cast<const float4*>(slice + 4 * x + 4 * (A_STAGE + i * BN + s * ACROSS));
  };

  if (slices > 0) {
    copy(True(), first, 0);
    store_a(0);
  }
  close_group();
#pragma unroll
  for (int s = 1; s < STAGES - 1; ++s) {
    if (s < slices) {
      copy(False(), BK, s * STAGE_BYTES);
      store_a(s * STAGE_BYTES);
    }
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
    // All have read the stage being filled: they have passed the last barrier since.
    if (left >= STAGES) copy(False(), BK, ahead);
    close_group();
#pragma unroll 1
    for (int steps = 0; steps < BK; steps += UNROLL) {
#pragma unroll
      for (int i = 0; i < UNROLL; ++i) {
        if (i == UNROLL - 1 && steps == BK - UNROLL) {
          if (left >= STAGES) store_a(ahead);
          if (left > 1) {
            wait_for_groups<STAGES - 2>();  // mine of the next slice have arrived
            __syncthreads();                // everybody's have
            read(next, 0, (i + 1) % 2);
          }
        } else {
          read(stage, steps + i + 1, (i + 1) % 2);
        }
#pragma unroll
        for (int r = 0; r < TM; ++r)
#pragma unroll
          for (int s = 0; s < TN; ++s)
            // there and back: each multiply-add shares an operand with the one before it
            sum[r][r % 2 ? TN - 1 - s : s] +=
                a_part[i % 2][r] * b_part[i % 2][r % 2 ? TN - 1 - s : s];
      }
    }
    ahead = stage;
    stage = next;
  }

  // --- epilogue ----------------------------------------------------------------------------------
#pragma unroll
  for (int r = 0; r < TM; ++r) {
    int row = at.row + y + r / 4 * 4 * DOWN + r % 4;
    if (row >= m) break;
#pragma unroll
    for (int s = 0; s < TN; s += 4) {
      int col = at.col + x + s * ACROSS;
      float* to = c + size_t(row) * n + col;
      if constexpr (WIDE) {
        if (col >= n) continue;
        float4 old = {0.0f, 0.0f, 0.0f, 0.0f};
        if (beta != 0.0f) old = *reinterpret_cast<float4*>(to);
        *reinterpret_cast<float4*>(to) = {
            alpha * sum[r][s + 0] + beta * old.x, alpha * sum[r][s + 1] + beta * old.y,
            alpha * sum[r][s + 2] + beta * old.z, alpha * sum[r][s + 3] + beta * old.w};
      } else {
#pragma unroll
        for (int e = 0; e < 4; ++e)
          if (col + e < n)
            to[e] = beta == 0.0f ? alpha * sum[r][s + e] : alpha * sum[r][s + e] + beta * to[e];
      }
    }
  }
}
