// Hopper's own instructions, one function each: barriers that count bytes, copies of tiles by the
// tensor memory accelerator (TMA), and products of a warpgroup (wgmma). Needs sm_90a.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

// What the driver makes of an array and a box: `device.tensor_map()`.
struct alignas(64) TensorMap {
  unsigned long long opaque[16];
};

__device__ unsigned shared_address(const void* p) { return __cvta_generic_to_shared(p); }

// --- clusters --------------------------------------------------------------------------------
__device__ unsigned rank_in_cluster() {
  unsigned rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
// Blocks of a cluster wait for one another between these two; what one of them wrote before is not
// made visible to the others.
__device__ void arrive_at_cluster() {
  asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
}
__device__ void wait_for_cluster() { asm volatile("barrier.cluster.wait.aligned;" ::: "memory"); }

// --- mbarriers -------------------------------------------------------------------------------
__device__ void init_barrier(unsigned barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
// What was initialised is seen by other blocks of the cluster and by TMA.
__device__ void publish_barriers() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
// Arrives, and makes the phase wait for `bytes` more.
__device__ void arrive_expecting(unsigned barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}
// Arrives at the barrier that another block of the cluster has at the same place. Not with
// .release.cluster: that would wait until all writes of this thread are visible, a microsecond; what
// is released here has only been read.
__device__ void arrive_at(unsigned barrier, unsigned rank) {
  asm volatile(
      "{\n"
      ".reg .b32 remote;\n"
      "mapa.shared::cluster.u32 remote, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [remote];\n"
      "}" ::"r"(barrier), "r"(rank)
      : "memory");
}
// Waits until the phase of this parity is over.
__device__ void wait(unsigned barrier, unsigned parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}" ::"r"(barrier), "r"(parity)
      : "memory");
}

// --- TMA -------------------------------------------------------------------------------------
__device__ void prefetch_map(const TensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}
// A box whose first element is (x, y), x along rows, to shared memory; its bytes count at `barrier`.
__device__ void load_box(unsigned to, const TensorMap& map, int x, int y, unsigned barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3}], [%4];" ::"r"(to), "l"(&map), "r"(x), "r"(y), "r"(barrier)
      : "memory");
}
// The same to the same place in all blocks of `mask`, each of whose barriers counts.
__device__ void load_box(unsigned to, const TensorMap& map, int x, int y, unsigned barrier,
                         unsigned short mask) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
      ".multicast::cluster [%0], [%1, {%2, %3}], [%4], %5;" ::"r"(to), "l"(&map), "r"(x), "r"(y),
      "r"(barrier), "h"(mask)
      : "memory");
}
__device__ void store_box(const TensorMap& map, int x, int y, unsigned from) {
  asm volatile(
      "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%1, %2}], [%3];" ::"l"(&map),
      "r"(x), "r"(y), "r"(from)
      : "memory");
}
__device__ void close_stores() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
// Waits until all groups of stores but the last PENDING have read shared memory.
template <int PENDING>
__device__ void wait_until_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(PENDING) : "memory");
}
// What this thread wrote to shared memory is seen by TMA.
__device__ void fence_for_tma() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// --- products of a warpgroup -----------------------------------------------------------------
template <int REGISTERS>
__device__ void give_registers_back() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}
template <int REGISTERS>
__device__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}
__device__ void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ void close_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
// Waits for all groups of products but the last PENDING.
template <int PENDING>
__device__ void wait_for_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}
// Sums may be read from here on: without this the compiler might read them before a wait.
template <int COUNT>
__device__ void hold(float (&sum)[COUNT]) {
#pragma unroll
  for (int i = 0; i < COUNT; ++i) asm volatile("" : "+f"(sum[i])::"memory");
}

// Where a tile of rows of 128 bytes lies that TMA swizzled: 8 such rows are one square of 1 KiB.
// `leading` and `stride` are bytes between squares; which is which depends on the operand.
__device__ unsigned long long tile_descriptor(unsigned address, int leading, int stride) {
  return 1ull << 62 | (unsigned long long)(stride >> 4) << 32 |
         (unsigned long long)(leading >> 4) << 16 | (address & 0x3FFFF) >> 4;
}

#define SUMS_8(i)                                                                                \
  "+f"(sum[i]), "+f"(sum[i + 1]), "+f"(sum[i + 2]), "+f"(sum[i + 3]), "+f"(sum[i + 4]),          \
      "+f"(sum[i + 5]), "+f"(sum[i + 6]), "+f"(sum[i + 7])
#define SUMS_32(i) SUMS_8(i), SUMS_8(i + 8), SUMS_8(i + 16), SUMS_8(i + 24)
#define NAMES_32                                                                                 \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,"   \
  "%25,%26,%27,%28,%29,%30,%31"
#define NAMES_64                                                                                 \
  NAMES_32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,"   \
  "%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define NAMES_128                                                                                \
  NAMES_64 ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82,%83,"   \
  "%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,%96,%97,%98,%99,%100,%101,%102,%103,%104,"    \
  "%105,%106,%107,%108,%109,%110,%111,%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,"   \
  "%123,%124,%125,%126,%127"

// A (64 x 16, rows along k) times B (16 x N, rows along n), both in shared memory, added to the
// warpgroup's sums, or put in their place. The last two numbers: B lies transposed, A does not.
#define WGMMA(type, n, names, a_name, b_name, flag, ...)                                         \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " flag ", 0;\n"                                 \
               "wgmma.mma_async.sync.aligned.m64n" n "k16.f32." type "." type " {" names "}, "   \
               a_name ", " b_name ", p, 1, 1, 0, 1;\n}"                                          \
               : __VA_ARGS__                                                                     \
               : "l"(a), "l"(b), "r"(add))
#define PRODUCTS(Element, type)                                                                  \
  __device__ void multiply(float (&sum)[32], unsigned long long a, unsigned long long b, int add, \
                           Element) {                                                            \
    WGMMA(type, "64", NAMES_32, "%32", "%33", "%34", SUMS_32(0));                                \
  }                                                                                              \
  __device__ void multiply(float (&sum)[64], unsigned long long a, unsigned long long b, int add, \
                           Element) {                                                            \
    WGMMA(type, "128", NAMES_64, "%64", "%65", "%66", SUMS_32(0), SUMS_32(32));                  \
  }                                                                                              \
  __device__ void multiply(float (&sum)[128], unsigned long long a, unsigned long long b,        \
                           int add, Element) {                                                   \
    WGMMA(type, "256", NAMES_128, "%128", "%129", "%130", SUMS_32(0), SUMS_32(32), SUMS_32(64),  \
          SUMS_32(96));                                                                          \
  }
PRODUCTS(__half, "f16")
PRODUCTS(__nv_bfloat16, "bf16")
