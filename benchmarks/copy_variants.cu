// Candidates for the fastest copy. The search instantiates the templates below and times them.

enum Load { LD, LD_NO_ALLOCATE, LD_NO_ALLOCATE_256B, LD_STREAM, LD_FIRST_OUT };
enum Store { ST, ST_STREAM, ST_GLOBAL, ST_NO_ALLOCATE, ST_THROUGH, ST_FIRST_OUT };

__device__ unsigned long long first_out_policy() {
  unsigned long long policy;
  asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}

#define LOAD(text) \
  asm volatile(text : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(at))
#define STORE(text) \
  asm volatile(text ::"l"(at), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory")

template <Load HOW>
__device__ uint4 load(const uint4* at, unsigned long long policy) {
  uint4 v;
  if constexpr (HOW == LD) LOAD("ld.global.nc.v4.u32 {%0, %1, %2, %3}, [%4];");
  if constexpr (HOW == LD_NO_ALLOCATE)
    LOAD("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];");
  if constexpr (HOW == LD_NO_ALLOCATE_256B)
    LOAD("ld.global.nc.L1::no_allocate.L2::256B.v4.u32 {%0, %1, %2, %3}, [%4];");
  if constexpr (HOW == LD_STREAM) LOAD("ld.global.cs.v4.u32 {%0, %1, %2, %3}, [%4];");
  if constexpr (HOW == LD_FIRST_OUT)
    asm volatile(
        "ld.global.nc.L1::no_allocate.L2::cache_hint.v4.u32 {%0, %1, %2, %3}, [%4], %5;"
        : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
        : "l"(at), "l"(policy));
  return v;
}

template <Store HOW>
__device__ void store(uint4* at, uint4 v, unsigned long long policy) {
  if constexpr (HOW == ST) STORE("st.global.v4.u32 [%0], {%1, %2, %3, %4};");
  if constexpr (HOW == ST_STREAM) STORE("st.global.cs.v4.u32 [%0], {%1, %2, %3, %4};");
  if constexpr (HOW == ST_GLOBAL) STORE("st.global.cg.v4.u32 [%0], {%1, %2, %3, %4};");
  if constexpr (HOW == ST_NO_ALLOCATE)
    STORE("st.global.L1::no_allocate.v4.u32 [%0], {%1, %2, %3, %4};");
  if constexpr (HOW == ST_THROUGH) STORE("st.global.wt.v4.u32 [%0], {%1, %2, %3, %4};");
  if constexpr (HOW == ST_FIRST_OUT)
    asm volatile("st.global.L2::cache_hint.v4.u32 [%0], {%1, %2, %3, %4}, %5;" ::"l"(at),
                 "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w), "l"(policy)
                 : "memory");
}

// A grid of any size: one tile of THREADS * LOADS vectors at a time, until all are done.
template <int THREADS, int LOADS, Load LOAD_HOW, Store STORE_HOW>
__device__ void copy_tiles(const uint4* in, uint4* out, size_t n) {
  constexpr int TILE = THREADS * LOADS;
  unsigned long long policy = 0;
  if constexpr (LOAD_HOW == LD_FIRST_OUT || STORE_HOW == ST_FIRST_OUT) policy = first_out_policy();
  for (size_t tile = size_t(blockIdx.x) * TILE; tile < n; tile += size_t(gridDim.x) * TILE) {
    size_t first = tile + threadIdx.x;
    uint4 item[LOADS];
    if (tile + TILE <= n) {
#pragma unroll
      for (int k = 0; k < LOADS; ++k) item[k] = load<LOAD_HOW>(in + first + k * THREADS, policy);
#pragma unroll
      for (int k = 0; k < LOADS; ++k) store<STORE_HOW>(out + first + k * THREADS, item[k], policy);
    } else {
#pragma unroll 1
      for (size_t i = first; i < n; i += THREADS)
        store<STORE_HOW>(out + i, load<LOAD_HOW>(in + i, policy), policy);
    }
  }
}

// The bulk copy engine: one thread a block keeps STAGES pieces of BYTES on their way, from global
// to shared memory and back out. `n` counts 16-byte vectors; what fills no piece goes as vectors.
template <int STAGES, int BYTES>
__device__ void copy_bulk(const uint4* in, uint4* out, size_t n) {
  extern __shared__ __align__(128) unsigned char stage[];
  __shared__ __align__(8) unsigned long long full[STAGES];
  constexpr int VECTORS = BYTES / 16;
  constexpr int LAG = STAGES / 2;  // stores that may still be reading their stage
  size_t pieces = n / VECTORS;
  for (size_t i = pieces * VECTORS + blockIdx.x * blockDim.x + threadIdx.x; i < n;
       i += size_t(gridDim.x) * blockDim.x)
    out[i] = in[i];
  if (threadIdx.x != 0) return;

  unsigned stage0 = __cvta_generic_to_shared(stage), full0 = __cvta_generic_to_shared(full);
  for (int s = 0; s < STAGES; ++s)
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(full0 + 8 * s) : "memory");
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");

  auto fetch = [&](size_t turn) {
    int s = turn % STAGES;
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(full0 + 8 * s),
                 "r"(BYTES)
                 : "memory");
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
        ::"r"(stage0 + s * BYTES),
        "l"(in + (blockIdx.x + turn * gridDim.x) * VECTORS), "r"(BYTES), "r"(full0 + 8 * s)
        : "memory");
  };
  size_t turns = blockIdx.x < pieces ? (pieces - blockIdx.x + gridDim.x - 1) / gridDim.x : 0;
  for (size_t turn = 0; turn < STAGES && turn < turns; ++turn) fetch(turn);
  for (size_t turn = 0; turn < turns; ++turn) {
    int s = turn % STAGES;
    unsigned phase = (turn / STAGES) & 1, done = 0;
    while (!done)
      asm volatile(
          "{\n .reg .pred p;\n"
          " mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n selp.u32 %0, 1, 0, p;\n}"
          : "=r"(done)
          : "r"(full0 + 8 * s), "r"(phase)
          : "memory");
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(
                     out + (blockIdx.x + turn * gridDim.x) * VECTORS),
                 "r"(stage0 + s * BYTES), "r"(BYTES)
                 : "memory");
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
    // once the store of LAG turns ago has read its stage, that stage can be filled again
    if (turn >= LAG && turn - LAG + STAGES < turns) {
      asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(LAG) : "memory");
      fetch(turn - LAG + STAGES);
    }
  }
  asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}
