// Candidates for a faster HGEMM on Hopper. The search instantiates the templates below and times
// them; what they share with the package's kernel is hgemm_wgmma.cu's, which comes before this
// file. D = A B in 16 bits, without an epilogue.

#define SUMS_64(i) SUMS_32(i), SUMS_32(i + 32)
#define NAMES_96                                                                                 \
  NAMES_64 ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82,%83,"   \
  "%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95"
#define PRODUCTS_192(Element, type)                                                              \
  __device__ void multiply(float (&sum)[96], unsigned long long a, unsigned long long b, int add, \
                           Element) {                                                            \
    WGMMA(type, "192", NAMES_96, "%96", "%97", "%98", SUMS_64(0), SUMS_32(64));                  \
  }
PRODUCTS_192(__half, "f16")
PRODUCTS_192(__nv_bfloat16, "bf16")

// --- cache hints -----------------------------------------------------------------------------
enum Hint { NONE = 0, FIRST_OUT = 1, LAST_OUT = 2 };
template <int HINT>
__device__ unsigned long long policy() {
  unsigned long long policy = 0;
  if constexpr (HINT == FIRST_OUT)
    asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  if constexpr (HINT == LAST_OUT)
    asm("createpolicy.fractional.L2::evict_last.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}
// load_box() to the blocks of a mask, or to this one alone; with a policy unless HINT is NONE.
template <int HINT, bool MULTICAST>
__device__ void load_shared(unsigned to, const TensorMap& map, int x, int y, unsigned barrier,
                            unsigned short mask, unsigned long long policy) {
  if constexpr (HINT == NONE && MULTICAST)
    load_box(to, map, x, y, barrier, mask);
  else if constexpr (HINT == NONE)
    load_box(to, map, x, y, barrier);
  else if constexpr (MULTICAST)
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
        ".multicast::cluster.L2::cache_hint [%0], [%1, {%2, %3}], [%4], %5, %6;" ::"r"(to),
        "l"(&map), "r"(x), "r"(y), "r"(barrier), "h"(mask), "l"(policy)
        : "memory");
  else
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
        ".L2::cache_hint [%0], [%1, {%2, %3}], [%4], %5;" ::"r"(to), "l"(&map), "r"(x), "r"(y),
        "r"(barrier), "l"(policy)
        : "memory");
}
template <int HINT>
__device__ void store_shared(const TensorMap& map, int x, int y, unsigned from,
                             unsigned long long policy) {
  if constexpr (HINT == NONE)
    store_box(map, x, y, from);
  else
    asm volatile(
        "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group.L2::cache_hint "
        "[%0, {%1, %2}], [%3], %4;" ::"l"(&map), "r"(x), "r"(y), "r"(from), "l"(policy)
        : "memory");
}

// finish() with COUNT boxes a warp and a hint; the first part takes box `turn`.
template <int COUNT, int HINT, int BN, class Element>
__device__ void put(const float (&sum)[BN / 2], unsigned boxes, const TensorMap& d, int turn,
                    int row, int col, unsigned long long policy) {
  int lane = threadIdx.x % 32;
#pragma unroll
  for (int part = 0; part < BN / 64; ++part) {
    unsigned box = boxes + (turn + part) % COUNT * OUT_BOX;
    if (lane == 0) wait_until_read<COUNT - 1>();
    __syncwarp();
#pragma unroll
    for (int pair = 0; pair < 4; ++pair) {
      unsigned parts[4];
#pragma unroll
      for (int q = 0; q < 4; ++q) {
        int s = part * 8 + 2 * pair + q / 2, half = q % 2;
        parts[q] = packed(sum[4 * s + 2 * half], sum[4 * s + 2 * half + 1], Element());
      }
      int y = lane % 16, chunk = 2 * pair + lane / 16;
      store_matrices(box + y * OUT_ROW + (chunk ^ y % 8) * 16, parts);
    }
    fence_for_tma();
    __syncwarp();
    if (lane == 0) {
      store_shared<HINT>(d, col + part * 64, row, box, policy);
      close_stores();
    }
  }
}

// The package's Walk; with SNAKE every other group of rows is walked from right to left, so that
// where one ends and the next begins, they share columns of B.
template <int ROWS, int COLS, int GROUP, bool SNAKE>
struct Path : Walk<ROWS, COLS, GROUP> {
  __device__ Path(int m, int n) : Walk<ROWS, COLS, GROUP>(m, n) {}
  __device__ Corner at(int tile) const {
    Corner corner = Walk<ROWS, COLS, GROUP>::at(tile);
    if (SNAKE && tile / (GROUP * this->across) % 2) corner.col = (this->across - 1) * COLS - corner.col;
    return corner;
  }
};

// DOWN x ACROSS blocks are a cluster; a block has CONSUMERS warpgroups of HIGH * 64 rows each and
// BN columns, in a ring of STAGES times DEEP slices.
// - Blocks beside one another share rows of A, below one another columns of B: each asks for its
//   part and TMA puts it into the shared memory of all of them.
// - BACK: every other tile is walked from the end of k to its beginning: what the last tile read
//   last is still in L2.
// - LAG: the second consumer starts so many stages after the first, and stays behind: one stores
//   while the other multiplies.
// - PINGPONG: consumers have a tile each and take turns, instead of halves of the same one.
// - EAGER: a stage is waited for and released at once, not while the next one is multiplied.
// - HINT_A, HINT_B, HINT_D: what L2 is told.
template <class Element, int BN, int CONSUMERS, int HIGH, int STAGES, int DEEP, int DOWN,
          int ACROSS, int GROUP, bool SNAKE, bool BACK, int LAG, bool PINGPONG, bool EAGER,
          int OUT_BOXES, int HINT_A, int HINT_B, int HINT_D>
__device__ void hgemm_variant(const TensorMap& a, const TensorMap& b, const TensorMap& d, int m,
                              int n, int k) {
  constexpr int CLUSTER = DOWN * ACROSS, TOGETHER = PINGPONG ? 1 : CONSUMERS;
  constexpr int BM = 64 * HIGH * TOGETHER, A_SLICE = BM * 128, B_SLICE = BN * 128;
  constexpr int STAGE_BYTES = DEEP * (A_SLICE + B_SLICE);
  constexpr int A_ROWS = BM / ACROSS;  // that a block asks for
  // Of B it asks for whole boxes of 64 columns or, where these do not go round, for rows of all.
  constexpr bool BY_ROWS = BN / 64 % DOWN != 0;
  constexpr int B_ROWS = BY_ROWS ? BK / DOWN : BK, B_COLS = BY_ROWS ? BN : BN / DOWN;
  static_assert(A_ROWS % 8 == 0 && B_ROWS % 8 == 0 && B_COLS % 64 == 0, "whole squares are shared");
  static_assert(LAG < STAGES && (LAG == 0 || CONSUMERS == 2 && !PINGPONG), "one behind the other");
  static_assert(HIGH * BN / 64 % OUT_BOXES == 0, "a tile begins with the first box");
  constexpr int RELEASES = DOWN + ACROSS - 1;  // blocks that write to this one's shared memory

  extern __shared__ __align__(1024) unsigned char memory[];
  unsigned stages = shared_address(memory);
  unsigned boxes = stages + STAGES * STAGE_BYTES;
  unsigned full = boxes + CONSUMERS * 4 * OUT_BOXES * OUT_BOX, empty = full + 8 * STAGES;

  int warpgroup = threadIdx.x / 128;
  int rank = CLUSTER > 1 ? rank_in_cluster() : 0;
  int my_row = rank % DOWN, my_col = rank / DOWN;
  int slices = (k + BK * DEEP - 1) / (BK * DEEP);
  Path<DOWN * BM, ACROSS * BN, GROUP, SNAKE> path(m, n);
  int first = blockIdx.x / CLUSTER, step = gridDim.x / CLUSTER;
  Turn<STAGES> turn;

  if (threadIdx.x == 0) {
    prefetch_map(a);
    prefetch_map(b);
    prefetch_map(d);
    for (int s = 0; s < STAGES; ++s) {
      init_barrier(full + 8 * s, 1);
      init_barrier(empty + 8 * s, TOGETHER * RELEASES);
    }
    publish_barriers();
  }
  constexpr int THREADS = 128 * (CONSUMERS + 1);
  if constexpr (CLUSTER > 1) arrive_at_cluster();

  if (warpgroup == 0) {
    // --- the producer --------------------------------------------------------------------------
    if constexpr (CLUSTER > 1)
      wait_for_cluster();
    else
      asm volatile("bar.arrive 0, %0;" ::"n"(THREADS) : "memory");
    if constexpr (CONSUMERS == 2) give_registers_back<(HIGH * BN > 256 ? 24 : 40)>();
    if constexpr (CONSUMERS == 3) give_registers_back<32>();
    if (threadIdx.x == 0) {
      unsigned long long policy_a = policy<HINT_A>(), policy_b = policy<HINT_B>();
      unsigned short beside = 0, below = ((1 << DOWN) - 1) << my_col * DOWN;
#pragma unroll
      for (int i = 0; i < ACROSS; ++i) beside |= 1 << (my_row + i * DOWN);
      int back = 0;
      for (int tile = first; tile < path.tiles(); tile += step, back ^= BACK) {
        Corner at = path.at(tile);
        int row = at.row + my_row * BM + my_col * A_ROWS;
        int col = at.col + my_col * BN + (BY_ROWS ? 0 : my_row * B_COLS);
        for (int slice = 0; slice < slices; ++slice) {
          unsigned stage = stages + turn.stage * STAGE_BYTES, arrived = full + 8 * turn.stage;
          int from = (back ? slices - 1 - slice : slice) * BK * DEEP;
          wait(empty + 8 * turn.stage, turn.phase ^ 1);
          arrive_expecting(arrived, STAGE_BYTES);
#pragma unroll
          for (int deep = 0; deep < DEEP; ++deep) {
            load_shared<HINT_A, (ACROSS > 1)>(stage + deep * A_SLICE + my_col * A_ROWS * 128, a,
                                              from + deep * BK, row, arrived, beside, policy_a);
            unsigned to = stage + DEEP * A_SLICE + deep * B_SLICE +
                          my_row * (BY_ROWS ? B_ROWS * 128 : B_COLS * 128);
            int y = from + deep * BK + (BY_ROWS ? my_row * B_ROWS : 0);
#pragma unroll
            for (int i = 0; i < B_COLS; i += 64)
              load_shared<HINT_B, (DOWN > 1)>(to + i * 2 * BK, b, col + i, y, arrived, below,
                                              policy_b);
          }
          turn.next();
        }
      }
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
    if constexpr (CONSUMERS == 2) take_registers<(HIGH * BN > 256 ? 240 : 232)>();
    if constexpr (CONSUMERS == 3) take_registers<160>();
    int consumer = warpgroup - 1, thread = threadIdx.x % 128, warp = thread / 32;
    int part = PINGPONG ? 0 : consumer;
    unsigned my_boxes = boxes + (consumer * 4 + warp) * OUT_BOXES * OUT_BOX;
    unsigned long long a_tile = tile_descriptor(stages + part * HIGH * 64 * 128, 0, SQUARE);
    unsigned long long b_tile = tile_descriptor(stages + DEEP * A_SLICE, BK * 128, SQUARE);
    unsigned long long policy_d = policy<HINT_D>();
    // The blocks below one another, this one among them, then the others beside it.
    int other = thread - DOWN;
    int to = thread < DOWN ? my_col * DOWN + thread : my_row + (other + (other >= my_col)) * DOWN;
    auto release = [&](int stage) {
      if (thread < RELEASES) arrive_at(empty + 8 * stage, to);
    };
    auto pass = [&] {  // over a tile that the other consumer has
      int last = turn.stage + slices;
      turn.phase ^= last / STAGES & 1;
      turn.stage = last % STAGES;
    };
    if (PINGPONG && consumer) pass();
    auto meet = [&](int at) { asm volatile("bar.sync %0, 256;" ::"r"(at) : "memory"); };
    auto hand_on = [&](int at) { asm volatile("bar.arrive %0, 256;" ::"r"(at) : "memory"); };
    if (LAG && consumer) meet(1);
    int mine = PINGPONG ? step * CONSUMERS : step;
    for (int tile = first + (PINGPONG ? consumer * step : 0); tile < path.tiles(); tile += mine) {
      float sum[HIGH][BN / 2];
      int before = 0;
      // A parity tells a phase from its neighbours only: each waits until the other is through.
      if (PINGPONG && tile != first) meet(1 + consumer);
      for (int slice = 0; slice < slices; ++slice) {
        wait(full + 8 * turn.stage, turn.phase);
        unsigned long long stage = turn.stage * (STAGE_BYTES >> 4);
        begin_products();
#pragma unroll
        for (int i = 0; i < DEEP * BK / 16; ++i)
#pragma unroll
          for (int h = 0; h < HIGH; ++h)
            multiply(sum[h],
                     a_tile + stage + i % 4 * (32 >> 4) + (i / 4 * A_SLICE + h * 64 * 128 >> 4),
                     b_tile + stage + i % 4 * (2 * SQUARE >> 4) + (i / 4 * B_SLICE >> 4),
                     slice + i, Element());
        close_products();
        if constexpr (EAGER) {
          wait_for_products<0>();
          release(turn.stage);
        } else if (slice > 0) {
          wait_for_products<1>();
          release(before);
        }
        if (LAG && !consumer && tile == first && slice == min(LAG, slices) - 1) hand_on(1);
        before = turn.stage;
        turn.next();
      }
      if (PINGPONG && tile + step < path.tiles()) hand_on(2 - consumer);
      wait_for_products<0>();
#pragma unroll
      for (int h = 0; h < HIGH; ++h) hold(sum[h]);
      if constexpr (!EAGER) release(before);
      Corner at = path.at(tile);
#pragma unroll
      for (int h = 0; h < HIGH; ++h)
        put<OUT_BOXES, HINT_D, BN, Element>(
            sum[h], my_boxes, d, h * BN / 64, at.row + my_row * BM + (part * HIGH + h) * 64 + 16 * warp,
            at.col + my_col * BN, policy_d);
      if constexpr (PINGPONG) pass();
    }
    if (thread % 32 == 0) wait_until_read<0>();
  }
}

// --- k shared out to a cluster -----------------------------------------------------------------
// For products of too few tiles to go round: the SPLIT blocks of a cluster have the same tile and
// each a part of k. Then each adds up BN / SPLIT of its columns, which the others have put into its
// shared memory. Instead of L2, sums go through the network between SMs.
__device__ void meet_cluster() {
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;"
               ::: "memory");
}
__device__ void store_remote(unsigned at, int rank, float x, float y, float z, float w) {
  asm volatile(
      "{\n"
      ".reg .b32 remote;\n"
      "mapa.shared::cluster.u32 remote, %0, %1;\n"
      "st.shared::cluster.v4.f32 [remote], {%2, %3, %4, %5};\n"
      "}" ::"r"(at), "r"(rank), "f"(x), "f"(y), "f"(z), "f"(w)
      : "memory");
}

template <class Element, int BN, int CONSUMERS, int STAGES, int SPLIT, int GROUP>
__device__ void hgemm_split(const TensorMap& a, const TensorMap& b, const TensorMap& d, int m,
                            int n, int k) {
  constexpr int BM = 64 * CONSUMERS, A_BYTES = BM * 128, STAGE_BYTES = A_BYTES + BN * 128;
  constexpr int PART = BN / SPLIT, SUMS = PART / 2, OUT_BOXES = PART / 64;
  static_assert(PART % 64 == 0, "64 columns of D are stored together");
  static_assert((SPLIT - 1) * BM * PART * 4 <= STAGES * STAGE_BYTES, "the ring takes the sums");

  extern __shared__ __align__(1024) unsigned char memory[];
  unsigned stages = shared_address(memory), boxes = stages + STAGES * STAGE_BYTES;
  unsigned full = boxes + CONSUMERS * 4 * OUT_BOXES * OUT_BOX, empty = full + 8 * STAGES;
  int warpgroup = threadIdx.x / 128, rank = rank_in_cluster();
  int slices = (k + BK - 1) / BK, from = slices * rank / SPLIT;
  slices = slices * (rank + 1) / SPLIT - from;
  Corner at = Walk<BM, BN, GROUP>(m, n).at(blockIdx.x / SPLIT);
  Turn<STAGES> turn;

  if (threadIdx.x == 0) {
    prefetch_map(a);
    prefetch_map(b);
    prefetch_map(d);
    for (int s = 0; s < STAGES; ++s) {
      init_barrier(full + 8 * s, 1);
      init_barrier(empty + 8 * s, CONSUMERS);
    }
    publish_barriers();
  }
  __syncthreads();

  if (warpgroup == 0) {
    if constexpr (CONSUMERS == 2) give_registers_back<40>();
    if (threadIdx.x == 0)
      for (int slice = 0; slice < slices; ++slice) {
        unsigned stage = stages + turn.stage * STAGE_BYTES, arrived = full + 8 * turn.stage;
        wait(empty + 8 * turn.stage, turn.phase ^ 1);
        arrive_expecting(arrived, STAGE_BYTES);
        int y = (from + slice) * BK;
        load_box(stage, a, y, at.row, arrived);
#pragma unroll
        for (int i = 0; i < BN; i += 64)
          load_box(stage + A_BYTES + i * 2 * BK, b, at.col + i, y, arrived);
        turn.next();
      }
    __syncwarp();
    meet_cluster();
    meet_cluster();
  } else {
    if constexpr (CONSUMERS == 2) take_registers<232>();
    int consumer = warpgroup - 1, thread = threadIdx.x % 128, warp = thread / 32;
    unsigned long long a_tile = tile_descriptor(stages + consumer * 64 * 128, 0, SQUARE);
    unsigned long long b_tile = tile_descriptor(stages + A_BYTES, BK * 128, SQUARE);
    float sum[BN / 2];
    if (slices == 0)
#pragma unroll
      for (int i = 0; i < BN / 2; ++i) sum[i] = 0.0f;
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
        if (thread == 0) arrive_at(empty + 8 * before, rank);
      }
      before = turn.stage;
      turn.next();
    }
    wait_for_products<0>();
    hold(sum);
    meet_cluster();  // all are through with their rings
    // Of sums from one block: four of each thread side by side, threads side by side.
    constexpr int QUADS = 2 * BM * 16, FROM = SUMS / 4 * QUADS;
    unsigned mine = stages + (threadIdx.x - 128) * 16;
    float part[SUMS];
#pragma unroll
    for (int to = 0; to < SPLIT; ++to) {
      const float* theirs = sum + to * SUMS;
      if (to == rank) {
#pragma unroll
        for (int i = 0; i < SUMS; ++i) part[i] = theirs[i];
      } else {
        unsigned there = mine + (rank - (rank > to)) * FROM;
#pragma unroll
        for (int i = 0; i < SUMS; i += 4)
          store_remote(there + i / 4 * QUADS, to, theirs[i], theirs[i + 1], theirs[i + 2],
                       theirs[i + 3]);
      }
    }
    meet_cluster();  // all sums are where they belong
#pragma unroll
    for (int other = 0; other < SPLIT - 1; ++other)
#pragma unroll
      for (int i = 0; i < SUMS; i += 4) {
        float x, y, z, w;
        asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
                     : "=f"(x), "=f"(y), "=f"(z), "=f"(w)
                     : "r"(mine + other * FROM + i / 4 * QUADS)
                     : "memory");
        part[i] += x, part[i + 1] += y, part[i + 2] += z, part[i + 3] += w;
      }
    put<OUT_BOXES, NONE, PART, Element>(part, boxes + (consumer * 4 + warp) * OUT_BOXES * OUT_BOX,
                                        d, 0, at.row + consumer * 64 + 16 * warp,
                                        at.col + rank * PART, 0);
    if (thread % 32 == 0) wait_until_read<0>();
  }
}
