// Thread block clusters: small kernels whose outputs do not depend on any order.

#include <cooperative_groups.h>
namespace cg = cooperative_groups;
typedef unsigned long long u64;

__device__ unsigned at(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }
__device__ unsigned mapa(unsigned address, unsigned rank) {
  unsigned mapped;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(mapped) : "r"(address), "r"(rank));
  return mapped;
}
__device__ void arrive() { asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory"); }
__device__ void wait() { asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory"); }
__device__ void sync() { arrive(); wait(); }
__device__ unsigned rank() { return cg::this_cluster().block_rank(); }
__device__ unsigned blocks() { return cg::this_cluster().num_blocks(); }

__device__ void init(u64* barrier, unsigned count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(at(barrier)), "r"(count) : "memory");
}
__device__ void seen_by_cluster() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ void expect(u64* barrier, unsigned bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(at(barrier)),
               "r"(bytes)
               : "memory");
}
__device__ void arrive_at(u64* barrier, unsigned block) {
  asm volatile("mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%0];" ::"r"(
                   mapa(at(barrier), block))
               : "memory");
}
__device__ void wait_for(u64* barrier, unsigned parity) {
  unsigned done = 0;
  while (!done)
    asm volatile(
        "{ .reg .pred p; mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], %2;"
        " selp.u32 %0, 1, 0, p; }"
        : "=r"(done)
        : "r"(at(barrier)), "r"(parity)
        : "memory");
}

#define SPECIAL(n, name)                                      \
  {                                                           \
    unsigned v;                                               \
    asm volatile("mov.u32 %0, %%" name ";" : "=r"(v));        \
    row[n] = v;                                               \
  }
extern "C" __global__ void special_registers(unsigned* out) {
  unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  unsigned* row = out + block * 16;
  SPECIAL(0, "clusterid.x") SPECIAL(1, "clusterid.y") SPECIAL(2, "clusterid.z")
  SPECIAL(3, "nclusterid.x") SPECIAL(4, "nclusterid.y") SPECIAL(5, "nclusterid.z")
  SPECIAL(6, "cluster_ctaid.x") SPECIAL(7, "cluster_ctaid.y") SPECIAL(8, "cluster_ctaid.z")
  SPECIAL(9, "cluster_nctaid.x") SPECIAL(10, "cluster_nctaid.y") SPECIAL(11, "cluster_nctaid.z")
  SPECIAL(12, "cluster_ctarank") SPECIAL(13, "cluster_nctarank")
  unsigned is;
  asm("{ .reg .pred p; mov.pred p, %%is_explicit_cluster; selp.u32 %0, 1, 0, p; }" : "=r"(is));
  row[14] = is;
  row[15] = 7;
}

extern "C" __global__ void __cluster_dims__(2, 2, 1) compiled_shape(unsigned* out) {
  cg::cluster_group cluster = cg::this_cluster();
  dim3 place = cluster.block_index(), shape = cluster.dim_blocks();
  unsigned* row = out + (blockIdx.x + gridDim.x * blockIdx.y) * 6;
  row[0] = cluster.block_rank(), row[1] = cluster.num_blocks();
  row[2] = place.x, row[3] = place.y, row[4] = shape.x, row[5] = shape.y;
}

extern "C" __global__ void addresses(unsigned* out) {
  __shared__ int mine[8];
  unsigned other = (rank() + 1) % blocks();
  unsigned there = mapa(at(mine + 3), other), which, which_generic;
  asm("getctarank.shared::cluster.u32 %0, %1;" : "=r"(which) : "r"(there));
  u64 generic, window;
  asm("mapa.u64 %0, %1, %2;" : "=l"(generic) : "l"(mine + 3), "r"(other));
  asm("getctarank.u64 %0, %1;" : "=r"(which_generic) : "l"(generic));
  asm("cvta.shared::cluster.u64 %0, %1;" : "=l"(window) : "l"((u64)there));
  unsigned in_cluster, in_block, in_global;
  asm("{ .reg .pred p; isspacep.shared::cluster p, %1; selp.u32 %0, 1, 0, p; }"
      : "=r"(in_cluster)
      : "l"(generic));
  asm("{ .reg .pred p; isspacep.shared::cta p, %1; selp.u32 %0, 1, 0, p; }"
      : "=r"(in_block)
      : "l"(generic));
  asm("{ .reg .pred p; isspacep.global p, %1; selp.u32 %0, 1, 0, p; }"
      : "=r"(in_global)
      : "l"(generic));
  unsigned* row = out + blockIdx.x * 8;
  row[0] = which, row[1] = which_generic, row[2] = window == generic;
  row[3] = at((const void*)generic) == there, row[4] = in_cluster, row[5] = in_block;
  row[6] = in_global, row[7] = mapa(at(mine + 1), other) - mapa(at(mine), other);
}

// each block writes into the next one's memory
extern "C" __global__ void ring(const int* x, int* out) {
  __shared__ int box[64];
  cg::cluster_group cluster = cg::this_cluster();
  cluster.sync();
  int* next = cluster.map_shared_rank(box, (rank() + 1) % blocks());
  next[threadIdx.x] = x[blockIdx.x * 64 + threadIdx.x];
  cluster.sync();
  out[blockIdx.x * 64 + threadIdx.x] = box[threadIdx.x];
}

// lanes of one warp count in blocks of their own choice
extern "C" __global__ void histogram(const int* x, int n, int* bins) {
  __shared__ int own[64];
  cg::cluster_group cluster = cg::this_cluster();
  if (threadIdx.x < 64) own[threadIdx.x] = 0;
  cluster.sync();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    int* there = cluster.map_shared_rank(own, x[i] / 64);
    atomicAdd(there + x[i] % 64, 1);
  }
  cluster.sync();
  if (threadIdx.x < 64) atomicAdd(bins + rank() * 64 + threadIdx.x, own[threadIdx.x]);
}

// sums of blocks' sums, read from every block
extern "C" __global__ void reduction(const int* x, int* out) {
  __shared__ int sum;
  cg::cluster_group cluster = cg::this_cluster();
  if (threadIdx.x == 0) sum = 0;
  __syncthreads();
  atomicAdd(&sum, x[blockIdx.x * blockDim.x + threadIdx.x]);
  cluster.sync();
  int total = 0;
  for (unsigned r = 0; r < blocks(); r++) total += *cluster.map_shared_rank(&sum, r);
  cluster.sync();
  out[blockIdx.x * blockDim.x + threadIdx.x] = total;
}

// a prefix sum over a cluster: blocks look at those before them
extern "C" __global__ void scan(const int* x, int* out) {
  __shared__ int values[128], total;
  cg::cluster_group cluster = cg::this_cluster();
  int t = threadIdx.x, i = blockIdx.x * 128 + t;
  values[t] = x[i];
  __syncthreads();
  for (int step = 1; step < 128; step *= 2) {
    int before = t >= step ? values[t - step] : 0;
    __syncthreads();
    values[t] += before;
    __syncthreads();
  }
  if (t == 127) total = values[t];
  cluster.sync();
  int base = 0;
  for (unsigned r = 0; r < rank(); r++) base += *cluster.map_shared_rank(&total, r);
  out[i] = base + values[t];
  cluster.sync();
}

// tiles of a 64 x 64 matrix change places between four blocks, 16 bytes a lane
extern "C" __global__ void exchange_tiles(const float4* x, float4* out) {
  __shared__ float4 tile[32 * 8];
  unsigned row = rank() / 2, column = rank() % 2;
  for (int i = threadIdx.x; i < 256; i += blockDim.x)
    tile[i] = x[(row * 32 + i / 8) * 16 + column * 8 + i % 8];
  sync();
  unsigned other = mapa(at(tile), column * 2 + row);
  for (int i = threadIdx.x; i < 256; i += blockDim.x) {
    float4 v;
    asm volatile("ld.shared::cluster.v4.f32 {%0, %1, %2, %3}, [%4];"
                 : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
                 : "r"(other + 16 * i));
    out[(row * 32 + i / 8) * 16 + column * 8 + i % 8] = v;
  }
  sync();
}

// every width, and atomics of several kinds, on the next block's memory
extern "C" __global__ void accesses(u64* out) {
  __shared__ u64 box[16];
  unsigned there = mapa(at(box), (rank() + 1) % blocks());
  if (threadIdx.x < 16) box[threadIdx.x] = 100;
  sync();
  if (threadIdx.x == 0) {
    asm volatile("st.shared::cluster.u8 [%0], 5;" ::"r"(there));
    asm volatile("st.shared::cluster.u16 [%0], 777;" ::"r"(there + 2));
    asm volatile("st.shared::cluster.b32 [%0], 99999;" ::"r"(there + 4));
    asm volatile("st.release.cluster.shared::cluster.u64 [%0], 123456789012;" ::"r"(there + 8));
    asm volatile("st.relaxed.cluster.shared::cluster.v2.b64 [%0], {1, 2};" ::"r"(there + 16));
  }
  u64 old;
  asm volatile("red.shared::cluster.add.u64 [%0], 3;" ::"r"(there + 32));
  asm volatile("red.relaxed.cluster.shared::cluster.max.u32 [%0], %1;" ::"r"(there + 40),
               "r"(90 + threadIdx.x));
  asm volatile("red.shared::cluster.min.s32 [%0], %1;" ::"r"(there + 48), "r"(-(int)threadIdx.x));
  asm volatile("red.shared::cluster.xor.b32 [%0], %1;" ::"r"(there + 56), "r"(1 << threadIdx.x));
  asm volatile("red.shared::cluster.inc.u32 [%0], 120;" ::"r"(there + 64));
  if (threadIdx.x == 3) {
    asm volatile("atom.shared::cluster.cas.b64 %0, [%1], 100, 7;" : "=l"(old) : "r"(there + 72));
    asm volatile("atom.acq_rel.cluster.shared::cluster.exch.b64 %0, [%1], %2;"
                 : "=l"(old)
                 : "r"(there + 80), "l"(old));
    asm volatile("st.shared::cluster.u64 [%0], %1;" ::"r"(there + 88), "l"(old));
  }
  asm volatile("red.shared::cluster.add.f32 [%0], 0f3F000000;" ::"r"(there + 96));
  sync();
  if (threadIdx.x < 16) out[blockIdx.x * 16 + threadIdx.x] = box[threadIdx.x];
}

// sums of numbers below the least normal one, which atomics on global memory flush to zero
extern "C" __global__ void tiny_sums(float* out) {
  __shared__ float sums[2];
  cg::cluster_group cluster = cg::this_cluster();
  if (threadIdx.x < 2) sums[threadIdx.x] = 0.0f;
  cluster.sync();
  unsigned other = rank() ^ 1;
  atomicAdd(cluster.map_shared_rank(sums, other), 1e-40f);
  asm volatile("red.shared::cluster.add.f32 [%0], %1;" ::"r"(mapa(at(sums + 1), other)), "f"(1e-40f));
  cluster.sync();
  if (threadIdx.x < 2) out[blockIdx.x * 2 + threadIdx.x] = sums[threadIdx.x];
}

// between arrive and wait a block does its own work; what it wrote before is seen after
extern "C" __global__ void split_barrier(const int* x, int rounds, int* out) {
  __shared__ int box[2][32];
  cg::cluster_group cluster = cg::this_cluster();
  int value = x[blockIdx.x * 32 + threadIdx.x];
  for (int round = 0; round < rounds; round++) {
    box[round & 1][threadIdx.x] = value;
    arrive();
    int own = value * value + round;
    wait();
    unsigned from = (rank() + 1 + round) % blocks();
    value = own ^ *cluster.map_shared_rank(&box[round & 1][31 - threadIdx.x], from);
  }
  out[blockIdx.x * 32 + threadIdx.x] = value;
  sync();
}

// every thread of every block arrives at every block's mbarrier
extern "C" __global__ void remote_arrivals(const int* x, int rounds, int* out) {
  __shared__ u64 full;
  __shared__ int slots[16 * 32];
  if (threadIdx.x == 0) {
    init(&full, 32 * blocks());
    seen_by_cluster();
  }
  sync();
  int sum = 0;
  for (int round = 0; round < rounds; round++) {
    for (unsigned r = 0; r < blocks(); r++) {
      unsigned slot = mapa(at(slots + rank() * 32 + threadIdx.x), r);
      int value = x[blockIdx.x * 32 + threadIdx.x] + round;
      asm volatile("st.shared::cluster.u32 [%0], %1;" ::"r"(slot), "r"(value) : "memory");
      arrive_at(&full, r);
    }
    wait_for(&full, round & 1);
    for (unsigned r = 0; r < blocks(); r++) sum += slots[r * 32 + threadIdx.x];
    sync();
  }
  out[blockIdx.x * 32 + threadIdx.x] = sum;
}

// a producer block feeds a consumer block through a ring of stages, by remote full and own empty
extern "C" __global__ void pipeline(const int* x, int steps, int* out) {
  constexpr int STAGES = 3;
  __shared__ u64 full[STAGES], empty[STAGES];
  __shared__ int stage[STAGES][64];
  if (threadIdx.x == 0) {
    for (int s = 0; s < STAGES; s++) init(full + s, 64), init(empty + s, 64);
    seen_by_cluster();
  }
  sync();
  for (int k = 0; k < steps; k++) {
    int s = k % STAGES, turn = k / STAGES;
    if (rank() == 0) {
      if (turn > 0) wait_for(empty + s, (turn - 1) & 1);
      unsigned there = mapa(at(&stage[s][threadIdx.x]), 1);
      int value = x[(blockIdx.x / 2 * steps + k) * 64 + threadIdx.x];
      asm volatile("st.shared::cluster.u32 [%0], %1;" ::"r"(there), "r"(value) : "memory");
      arrive_at(full + s, 1);
    } else {
      wait_for(full + s, turn & 1);
      int value = stage[s][threadIdx.x ^ 1];
      arrive_at(empty + s, 0);
      out[(blockIdx.x / 2 * steps + k) * 64 + threadIdx.x] = value * 3 + k;
    }
  }
  sync();
}

// st.async of every width
extern "C" __global__ void sent(const int* x, int* out) {
  __shared__ alignas(16) int box[32 * 9];
  __shared__ u64 full;
  if (threadIdx.x == 0) {
    init(&full, 1);
    seen_by_cluster();
    expect(&full, 32 * 36);
  }
  sync();
  unsigned next = (rank() + 1) % blocks(), there = mapa(at(box), next), bar = mapa(at(&full), next);
  const int* from = x + (blockIdx.x * 32 + threadIdx.x) * 9;
  asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%0], "
               "{%1, %2, %3, %4}, [%5];" ::"r"(there + 16 * threadIdx.x),
               "r"(from[0]), "r"(from[1]), "r"(from[2]), "r"(from[3]), "r"(bar)
               : "memory");
  asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v2.s32 [%0], "
               "{%1, %2}, [%3];" ::"r"(there + 512 + 8 * threadIdx.x),
               "r"(from[4]), "r"(from[5]), "r"(bar)
               : "memory");
  u64 wide = (u64)(unsigned)from[6] << 32 | (unsigned)from[7];
  asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.u64 [%0], %1, [%2];" ::"r"(
                   there + 768 + 8 * threadIdx.x),
               "l"(wide), "r"(bar)
               : "memory");
  asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.u32 [%0], %1, [%2];" ::"r"(
                   there + 1024 + 4 * threadIdx.x),
               "r"(from[8]), "r"(bar)
               : "memory");
  wait_for(&full, 0);
  for (int i = threadIdx.x; i < 32 * 9; i += 32) out[blockIdx.x * 32 * 9 + i] = box[i];
  sync();
}

#define REDUCE(op, place, value)                                                          \
  asm volatile("red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes." op \
               " [%0], %1, [%2];" ::"r"(there + 8 * place),                               \
               "r"(value), "r"(bar)                                                       \
               : "memory")

// red.async of every kind, all lanes on the same words
extern "C" __global__ void reduced(int* out) {
  __shared__ alignas(16) int box[16];
  __shared__ u64 full;
  if (threadIdx.x == 0) {
    init(&full, 1);
    seen_by_cluster();
    expect(&full, 32 * (7 * 4 + 8));
  }
  if (threadIdx.x < 16) box[threadIdx.x] = threadIdx.x % 2 ? 0 : 50;
  sync();
  unsigned next = (rank() + 1) % blocks(), there = mapa(at(box), next), bar = mapa(at(&full), next);
  int lane = threadIdx.x;
  REDUCE("add.s32", 0, lane - 40);
  REDUCE("min.s32", 1, 20 - lane);
  REDUCE("max.u32", 2, lane * 3);
  REDUCE("inc.u32", 3, 60);
  REDUCE("dec.u32", 4, 70);
  REDUCE("and.b32", 5, ~(1 << lane));
  REDUCE("xor.b32", 6, lane * 77);
  asm volatile("red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.add.u64 "
               "[%0], %1, [%2];" ::"r"(there + 56),
               "l"((u64)lane << 31), "r"(bar)
               : "memory");
  wait_for(&full, 0);
  if (threadIdx.x < 16) out[blockIdx.x * 16 + threadIdx.x] = box[threadIdx.x];
  sync();
}

// a stencil whose halo is the neighbours' shared memory
extern "C" __global__ void stencil(const float* x, int steps, float* out) {
  __shared__ float line[2][64];
  cg::cluster_group cluster = cg::this_cluster();
  int t = threadIdx.x, r = rank(), last = blocks() - 1;
  line[0][t] = x[blockIdx.x * 64 + t];
  for (int step = 0; step < steps; step++) {
    cluster.sync();
    float* now = line[step & 1];
    float left = 0.0f, right = 0.0f;
    if (t > 0) left = now[t - 1];
    else if (r > 0) left = *cluster.map_shared_rank(now + 63, r - 1);
    if (t < 63) right = now[t + 1];
    else if (r < last) right = *cluster.map_shared_rank(now, r + 1);
    line[step + 1 & 1][t] = __fmaf_rn(0.25f, left + right, 0.5f * now[t]);
  }
  cluster.sync();
  out[blockIdx.x * 64 + t] = line[steps & 1][t];
}

// a bitonic sort of a whole cluster's numbers, partners in other blocks
extern "C" __global__ void sort(const int* x, int* out) {
  __shared__ int values[64];
  cg::cluster_group cluster = cg::this_cluster();
  int t = threadIdx.x, i = rank() * 64 + t, n = blocks() * 64;
  values[t] = x[blockIdx.x * 64 + t];
  for (int size = 2; size <= n; size *= 2)
    for (int step = size / 2; step > 0; step /= 2) {
      cluster.sync();
      int other = i ^ step;
      int theirs = *cluster.map_shared_rank(values + other % 64, other / 64), mine = values[t];
      bool low = (i < other) == ((i & size) == 0);
      cluster.sync();
      values[t] = low ? min(mine, theirs) : max(mine, theirs);
    }
  cluster.sync();
  out[blockIdx.x * 64 + t] = values[t];
}

// what a producer and consumers of a GEMM do with registers and one elected lane
extern "C" __global__ void __launch_bounds__(384, 1) registers(const int* x, int* out) {
  __shared__ int box[128];
  unsigned leads;
  asm volatile("griddepcontrol.wait;" ::: "memory");
  if (threadIdx.x < 128) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
    asm volatile("{ .reg .pred p; elect.sync _|p, 0xffffffff; selp.u32 %0, 1, 0, p; }"
                 : "=r"(leads));
    if (leads)
      for (int i = 0; i < 32; i++) box[threadIdx.x / 32 * 32 + i] = x[threadIdx.x / 32 * 32 + i] + 1;
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
  }
  __syncthreads();
  asm volatile("griddepcontrol.launch_dependents;");
  if (threadIdx.x >= 128) out[threadIdx.x - 128] = box[threadIdx.x % 128] * 2;
}
