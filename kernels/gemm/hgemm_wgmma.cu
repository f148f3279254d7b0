// D = epilogue(A B) by Hopper's own instructions.
//
// Over hgemm_multistage: TMA brings whole tiles, which one thread asks for, and counts their bytes
// at a barrier; wgmma multiplies them from where they lie in shared memory. One warpgroup asks
// (the producer), the others multiply (the consumers), and they meet only at two barriers a stage:
// "full" and "empty". Blocks of a cluster, which lie below one another in D, need the same columns
// of B: each asks for its share, and TMA puts it into the shared memory of all of them. A block
// stays for many tiles; while consumers store one, the producer is at the next.
// Instances of the template are made in hopper.py.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "hopper.cuh"

enum Epilogue { PLAIN = 0, BIAS = 1, GELU = 2, RESIDUAL = 4 };  // any sum of them

constexpr int BK = 64;          // of a slice: 128 bytes, the widest row that TMA swizzles
constexpr int SQUARE = 8 * 128; // bytes of 8 such rows
constexpr int OUT_ROW = 128;    // bytes of a row of D that go out together
constexpr int OUT_BOX = 16 * OUT_ROW;
constexpr int BOXES = 2;        // of a warp, which take turns

__device__ float to_float(float x) { return x; }
__device__ float to_float(__half x) { return __half2float(x); }
__device__ float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

__device__ float gelu(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678f)); }

template <class Type>
struct alignas(2 * sizeof(Type)) Two {
  Type x, y;
};
__device__ unsigned packed(float x, float y, __half) {
  __half2 both = __floats2half2_rn(x, y);
  return reinterpret_cast<unsigned&>(both);
}
__device__ unsigned packed(float x, float y, __nv_bfloat16) {
  __nv_bfloat162 both = __floats2bfloat162_rn(x, y);
  return reinterpret_cast<unsigned&>(both);
}
// Four 8 x 8 matrices of 16-bit elements; lane l gives the address of row l % 8 of matrix l / 8.
__device__ void store_matrices(unsigned row, const unsigned (&part)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(row),
               "r"(part[0]), "r"(part[1]), "r"(part[2]), "r"(part[3])
               : "memory");
}

// The tiles of a cluster, in the order in which it takes them: GROUP rows of its tiles (ROWS x
// COLS, all its blocks' together) are walked through together, so that blocks that run at the same
// time share rows of A and columns of B in L2.
struct Corner {
  int row, col;
};
template <int ROWS, int COLS, int GROUP>
struct Walk {
  int down, across;
  __device__ Walk(int m, int n) : down((m + ROWS - 1) / ROWS), across((n + COLS - 1) / COLS) {}
  __device__ int tiles() const { return down * across; }
  __device__ Corner at(int tile) const {
    int first = tile / (GROUP * across) * GROUP;
    int height = max(min(GROUP, down - first), 1);  // past the last tile, too
    int within = tile - first * across;
    return {(first + within % height) * ROWS, within / height * COLS};
  }
};

// Which stage of the ring is next, and the parity of its phase.
template <int STAGES>
struct Turn {
  int stage = 0;
  unsigned phase = 0;
  __device__ void next() {
    if (++stage == STAGES) stage = 0, phase ^= 1;
  }
};

// A warp's 16 x BN sums, finished and stored by TMA from boxes of 16 rows of OUT_ROW bytes.
template <int EPILOGUE, int BN, class Out>
__device__ void finish(const float (&sum)[BN / 2], unsigned boxes, const TensorMap& d,
                       const float* bias, const Out* residual, int row, int col, int m, int n) {
  constexpr int COLS = OUT_ROW / sizeof(Out);
  constexpr int TURNS = BN / COLS < BOXES ? BN / COLS : BOXES;  // a tile begins with the first box
  static_assert(BN / COLS % TURNS == 0, "and the next one begins with it again");
  int lane = threadIdx.x % 32;
#pragma unroll
  for (int part = 0; part < BN / COLS; ++part) {
    unsigned box = boxes + part % TURNS * OUT_BOX;
    if (lane == 0) wait_until_read<TURNS - 1>();
    __syncwarp();
#pragma unroll
    for (int pair = 0; pair < COLS / 16; ++pair) {  // 16 columns
      Two<float> v[4];                              // rows 0-7 and 8-15; then 8 columns on
#pragma unroll
      for (int q = 0; q < 4; ++q) {
        int s = part * (COLS / 8) + 2 * pair + q / 2, half = q % 2;
        v[q] = {sum[4 * s + 2 * half], sum[4 * s + 2 * half + 1]};
        int y = row + lane / 4 + 8 * half, x = col + 8 * s + lane % 4 * 2;
        if constexpr (EPILOGUE & BIAS)
          if (x < n) {
            Two<float> b = *reinterpret_cast<const Two<float>*>(bias + x);
            v[q] = {v[q].x + b.x, v[q].y + b.y};
          }
        if constexpr (EPILOGUE & GELU) v[q] = {gelu(v[q].x), gelu(v[q].y)};
        if constexpr (EPILOGUE & RESIDUAL)
          if (y < m && x < n) {
            Two<Out> old = *reinterpret_cast<const Two<Out>*>(residual + size_t(y) * n + x);
            v[q] = {v[q].x + to_float(old.x), v[q].y + to_float(old.y)};
          }
      }
      if constexpr (sizeof(Out) == 2) {
        int y = lane % 16, chunk = 2 * pair + lane / 16;
        unsigned parts[4];
#pragma unroll
        for (int q = 0; q < 4; ++q) parts[q] = packed(v[q].x, v[q].y, Out());
        store_matrices(box + y * OUT_ROW + (chunk ^ y % 8) * 16, parts);
      } else {
#pragma unroll
        for (int q = 0; q < 4; ++q) {
          int y = lane / 4 + q % 2 * 8, chunk = 4 * pair + q / 2 * 2 + lane % 4 / 2;
          unsigned at = box + y * OUT_ROW + (chunk ^ y % 8) * 16 + lane % 2 * 8;
          asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(at), "f"(v[q].x), "f"(v[q].y)
                       : "memory");
        }
      }
    }
    fence_for_tma();
    __syncwarp();
    if (lane == 0) {
      store_box(d, col + part * COLS, row, box);
      close_stores();
    }
  }
}

// 64 * CONSUMERS rows and BN columns of D a tile, STAGES slices of A and B in shared memory.
template <class Element, class Out, int BN, int CONSUMERS, int STAGES, int CLUSTER, int GROUP,
          int EPILOGUE>
__device__ void hgemm(const TensorMap& a, const TensorMap& b, const TensorMap& d,
                      const float* __restrict__ bias, const Out* __restrict__ residual, int m,
                      int n, int k) {
  constexpr int BM = 64 * CONSUMERS, A_BYTES = BM * 128, B_BYTES = BN * 128;
  constexpr int STAGE_BYTES = A_BYTES + B_BYTES;
  constexpr int SHARE = BN / CLUSTER;  // columns of B that a block asks for
  static_assert(SHARE % 64 == 0, "64 columns of B are a box");
  constexpr unsigned short ALL = (1 << CLUSTER) - 1;

  extern __shared__ __align__(1024) unsigned char memory[];
  unsigned stages = shared_address(memory);
  unsigned boxes = stages + STAGES * STAGE_BYTES;
  unsigned full = boxes + CONSUMERS * 4 * BOXES * OUT_BOX, empty = full + 8 * STAGES;

  int warpgroup = threadIdx.x / 128;
  unsigned rank = CLUSTER > 1 ? rank_in_cluster() : 0;
  int slices = (k + BK - 1) / BK;
  Walk<CLUSTER * BM, BN, GROUP> walk(m, n);
  int first = blockIdx.x / CLUSTER, step = gridDim.x / CLUSTER;
  Turn<STAGES> turn;

  if (threadIdx.x == 0) {
    prefetch_map(a);
    prefetch_map(b);
    prefetch_map(d);
    for (int s = 0; s < STAGES; ++s) {
      init_barrier(full + 8 * s, 1);
      init_barrier(empty + 8 * s, CONSUMERS * CLUSTER);
    }
    publish_barriers();
  }
  // Barriers must be there before others use them. The first tile's place is worked out meanwhile.
  constexpr int THREADS = 128 * (CONSUMERS + 1);
  if constexpr (CLUSTER > 1) arrive_at_cluster();
  Corner at = walk.at(first);
  asm volatile("" ::"r"(at.row), "r"(at.col));

  if (warpgroup == 0) {
    // --- the producer --------------------------------------------------------------------------
    if constexpr (CLUSTER > 1)
      wait_for_cluster();
    else
      asm volatile("bar.arrive 0, %0;" ::"n"(THREADS) : "memory");
    if constexpr (CONSUMERS == 2) give_registers_back<40>();
    if (threadIdx.x == 0) {
      for (int tile = first; tile < walk.tiles(); at = walk.at(tile += step)) {
        for (int slice = 0; slice < slices; ++slice) {
          unsigned stage = stages + turn.stage * STAGE_BYTES, arrived = full + 8 * turn.stage;
          wait(empty + 8 * turn.stage, turn.phase ^ 1);
          arrive_expecting(arrived, STAGE_BYTES);
          int row = slice * BK;  // of B; of A a column
          load_box(stage, a, row, at.row + rank * BM, arrived);
#pragma unroll
          for (int i = 0; i < SHARE; i += 64) {
            int col = rank * SHARE + i;
            unsigned to = stage + A_BYTES + col * 2 * BK;
            if constexpr (CLUSTER > 1)
              load_box(to, b, at.col + col, row, arrived, ALL);
            else
              load_box(to, b, at.col + col, row, arrived);
          }
          turn.next();
        }
      }
      // Nobody leaves while another block's consumers have yet to arrive at its barriers.
      for (int s = 0; s < STAGES; ++s) {
        wait(empty + 8 * turn.stage, turn.phase ^ 1);
        turn.next();
      }
    }
  } else {
    // --- consumers -----------------------------------------------------------------------------
    if constexpr (CLUSTER > 1)
      wait_for_cluster();
    else
      asm volatile("bar.sync 0, %0;" ::"n"(THREADS) : "memory");
    if constexpr (CONSUMERS == 2) take_registers<232>();
    int consumer = warpgroup - 1, thread = threadIdx.x % 128, warp = thread / 32;
    unsigned my_boxes = boxes + (consumer * 4 + warp) * BOXES * OUT_BOX;
    // Rows of A's tile run along k, and 8 of them are a square; rows of B's run along n, squares
    // of 8 rows follow one another along k, and boxes along n.
    unsigned long long a_tile = tile_descriptor(stages + consumer * 64 * 128, 0, SQUARE);
    unsigned long long b_tile = tile_descriptor(stages + A_BYTES, BK * 128, SQUARE);
    // All blocks of the cluster may fill a stage again once all their consumers are done with it.
    auto release = [&](int stage) {
      if (thread < CLUSTER) arrive_at(empty + 8 * stage, thread);
    };
    for (int tile = first; tile < walk.tiles(); at = walk.at(tile += step)) {
      float sum[BN / 2];
      int before = 0;
      for (int slice = 0; slice < slices; ++slice) {
        wait(full + 8 * turn.stage, turn.phase);
        unsigned long long stage = turn.stage * (STAGE_BYTES >> 4);
        begin_products();
#pragma unroll
        for (int i = 0; i < BK / 16; ++i)
          multiply(sum, a_tile + stage + i * (32 >> 4), b_tile + stage + i * (2 * SQUARE >> 4),
                   slice + i, Element());
        close_products();
        if (slice > 0) {
          wait_for_products<1>();
          release(before);
        }
        before = turn.stage;
        turn.next();
      }
      wait_for_products<0>();
      hold(sum);
      release(before);
      finish<EPILOGUE, BN>(sum, my_boxes, d, bias, residual,
                           at.row + rank * BM + consumer * 64 + 16 * warp, at.col, m, n);
    }
    if (thread % 32 == 0) wait_until_read<0>();
  }
}
