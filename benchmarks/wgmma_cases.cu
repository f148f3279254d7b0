// Products of a warpgroup (wgmma): one instruction a kernel, in every type, and in company.
// Shared memory comes byte for byte from the host, which knows where a descriptor finds a matrix.

typedef unsigned long long u64;

extern __shared__ __align__(1024) unsigned char memory[];

__device__ unsigned at(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }
__device__ void fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ void commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int PENDING>
__device__ void wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}
template <int COUNT>
__device__ void hold(unsigned (&d)[COUNT]) {
#pragma unroll
  for (int i = 0; i < COUNT; ++i) asm volatile("" : "+r"(d[i])::"memory");
}
__device__ void fill(const uint4* bytes, int count) {
  for (int i = threadIdx.x; i < count / 16; i += blockDim.x)
    reinterpret_cast<uint4*>(memory)[i] = bytes[i];
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncthreads();
}
// Descriptors count from where dynamic shared memory starts.
__device__ u64 here(u64 descriptor) { return descriptor + (at(memory) >> 4); }

// Registers as [register][thread], of the whole block.
template <int COUNT>
__device__ void load(unsigned (&r)[COUNT], const unsigned* from) {
#pragma unroll
  for (int i = 0; i < COUNT; ++i) r[i] = from[i * blockDim.x + threadIdx.x];
}
template <int COUNT>
__device__ void store(unsigned* to, const unsigned (&r)[COUNT]) {
#pragma unroll
  for (int i = 0; i < COUNT; ++i) to[i * blockDim.x + threadIdx.x] = r[i];
}

#define D_4(i) "+r"(d[i]), "+r"(d[i + 1]), "+r"(d[i + 2]), "+r"(d[i + 3])
#define D_8(i) D_4(i), D_4(i + 4)
#define D_16(i) D_8(i), D_8(i + 8)
#define D_32(i) D_16(i), D_16(i + 16)
#define D_64(i) D_32(i), D_32(i + 32)
#define D_128(i) D_64(i), D_64(i + 64)
#define N_4 "%0,%1,%2,%3"
#define N_8 N_4 ",%4,%5,%6,%7"
#define N_12 N_8 ",%8,%9,%10,%11"
#define N_16 N_12 ",%12,%13,%14,%15"
#define N_32 N_16 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define N_52 N_32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50" \
  ",%51"
#define N_64 N_32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50" \
  ",%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define N_128 N_64 ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82" \
  ",%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,%96,%97,%98,%99,%100,%101,%102,%103,%104" \
  ",%105,%106,%107,%108,%109,%110,%111,%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122" \
  ",%123,%124,%125,%126,%127"
#define D_12(i) D_8(i), D_4(i + 8)
#define D_52(i) D_32(i), D_16(i + 32), D_4(i + 48)

// D = A B + (adds ? D : 0), A and B in shared memory; `numbers`: what follows scale-d.
#define BOTH_SHARED(name, count, form, A, B, ADDS, numbers)                                        \
  __device__ void name(unsigned (&d)[count], u64 a_matrix, u64 b_matrix, int add) {                \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " ADDS ", 0;\nwgmma.mma_async.sync.aligned."    \
                 form " {" N_##count "}, " A ", " B ", p" numbers ";\n}"                           \
                 : D_##count(0)                                                                    \
                 : "l"(a_matrix), "l"(b_matrix), "r"(add)                                          \
                 : "memory");                                                                      \
  }                                                                                                \
  extern "C" __global__ void k_##name(const uint4* bytes, int nbytes, u64 a_matrix, u64 b_matrix,  \
                                      int add, unsigned* out) {                                    \
    fill(bytes, nbytes);                                                                           \
    unsigned d[count];                                                                             \
    load(d, out);                                                                                  \
    hold(d);                                                                                       \
    fence();                                                                                       \
    name(d, here(a_matrix), here(b_matrix), add);                                                  \
    commit();                                                                                      \
    wait<0>();                                                                                     \
    hold(d);                                                                                       \
    store(out, d);                                                                                 \
  }
// The same with A in registers.
#define A_IN_REGISTERS(name, count, form, A, B, ADDS, numbers)                                     \
  __device__ void name(unsigned (&d)[count], const unsigned (&r)[4], u64 b_matrix, int add) {      \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " ADDS ", 0;\nwgmma.mma_async.sync.aligned."    \
                 form " {" N_##count "}, {" A "}, " B ", p" numbers ";\n}"                         \
                 : D_##count(0)                                                                    \
                 : "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]), "l"(b_matrix), "r"(add)             \
                 : "memory");                                                                      \
  }                                                                                                \
  extern "C" __global__ void k_##name(const uint4* bytes, int nbytes, const unsigned* a,           \
                                      u64 b_matrix, int add, unsigned* out) {                      \
    fill(bytes, nbytes);                                                                           \
    unsigned d[count], r[4];                                                                       \
    load(d, out);                                                                                  \
    load(r, a);                                                                                    \
    hold(d);                                                                                       \
    hold(r);                                                                                       \
    fence();                                                                                       \
    name(d, r, here(b_matrix), add);                                                               \
    commit();                                                                                      \
    wait<0>();                                                                                     \
    hold(d);                                                                                       \
    store(out, d);                                                                                 \
  }

BOTH_SHARED(f16_kk, 32, "m64n64k16.f32.f16.f16", "%32", "%33", "%34", ", 1, 1, 0, 0")
BOTH_SHARED(f16_mk, 32, "m64n64k16.f32.f16.f16", "%32", "%33", "%34", ", 1, 1, 1, 0")
BOTH_SHARED(f16_kn, 32, "m64n64k16.f32.f16.f16", "%32", "%33", "%34", ", 1, 1, 0, 1")
BOTH_SHARED(f16_mn, 32, "m64n64k16.f32.f16.f16", "%32", "%33", "%34", ", 1, 1, 1, 1")
BOTH_SHARED(f16_minus_a, 32, "m64n64k16.f32.f16.f16", "%32", "%33", "%34", ", -1, 1, 0, 0")
BOTH_SHARED(f16_minus_both, 32, "m64n64k16.f32.f16.f16", "%32", "%33", "%34", ", -1, -1, 0, 0")
BOTH_SHARED(f16_n8, 4, "m64n8k16.f32.f16.f16", "%4", "%5", "%6", ", 1, 1, 0, 0")
BOTH_SHARED(f16_n104, 52, "m64n104k16.f32.f16.f16", "%52", "%53", "%54", ", 1, 1, 0, 0")
BOTH_SHARED(f16_n256, 128, "m64n256k16.f32.f16.f16", "%128", "%129", "%130", ", 1, 1, 0, 1")
BOTH_SHARED(f16_to_f16, 16, "m64n64k16.f16.f16.f16", "%16", "%17", "%18", ", 1, 1, 0, 0")
BOTH_SHARED(bf16_kk, 32, "m64n64k16.f32.bf16.bf16", "%32", "%33", "%34", ", 1, 1, 0, 0")
BOTH_SHARED(bf16_minus_b, 12, "m64n24k16.f32.bf16.bf16", "%12", "%13", "%14", ", 1, -1, 0, 1")
BOTH_SHARED(tf32, 32, "m64n64k8.f32.tf32.tf32", "%32", "%33", "%34", ", 1, 1")
BOTH_SHARED(e4m3, 32, "m64n64k32.f32.e4m3.e4m3", "%32", "%33", "%34", ", 1, 1")
BOTH_SHARED(e5m2_e4m3, 16, "m64n64k32.f16.e5m2.e4m3", "%16", "%17", "%18", ", 1, 1")
BOTH_SHARED(e4m3_e5m2, 32, "m64n64k32.f32.e4m3.e5m2", "%32", "%33", "%34", ", 1, 1")
BOTH_SHARED(s8, 32, "m64n64k32.s32.s8.s8", "%32", "%33", "%34", "")
BOTH_SHARED(u8_s8, 32, "m64n64k32.s32.u8.s8", "%32", "%33", "%34", "")
BOTH_SHARED(s8_clamped, 8, "m64n16k32.satfinite.s32.s8.s8", "%8", "%9", "%10", "")
BOTH_SHARED(b1, 8, "m64n16k256.s32.b1.b1.and.popc", "%8", "%9", "%10", "")
A_IN_REGISTERS(f16_registers, 32, "m64n64k16.f32.f16.f16", "%32,%33,%34,%35", "%36", "%37",
               ", 1, 1, 1")
A_IN_REGISTERS(bf16_registers, 32, "m64n64k16.f32.bf16.bf16", "%32,%33,%34,%35", "%36", "%37",
               ", 1, 1, 0")
A_IN_REGISTERS(tf32_registers, 8, "m64n16k8.f32.tf32.tf32", "%8,%9,%10,%11", "%12", "%13",
               ", 1, 1")
A_IN_REGISTERS(e5m2_registers, 32, "m64n64k32.f32.e5m2.e5m2", "%32,%33,%34,%35", "%36", "%37",
               ", -1, 1")
A_IN_REGISTERS(u8_registers, 8, "m64n16k32.s32.u8.u8", "%8,%9,%10,%11", "%12", "%13",
               "")

// A sparse A, half of whose elements are there: the register of metadata says which.
#define SPARSE(name, count, form, A, B, KEPT, SELECTOR, ADDS, numbers)                             \
  extern "C" __global__ void k_##name(const uint4* bytes, int nbytes, u64 a_matrix, u64 b_matrix,  \
                                      int add, const unsigned* kept, unsigned* out) {              \
    fill(bytes, nbytes);                                                                           \
    unsigned d[count];                                                                             \
    load(d, out);                                                                                  \
    hold(d);                                                                                       \
    fence();                                                                                       \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " ADDS ", 0;\nwgmma.mma_async.sp.sync.aligned." \
                 form " {" N_##count "}, " A ", " B ", " KEPT ", " SELECTOR ", p" numbers ";\n}"   \
                 : D_##count(0)                                                                    \
                 : "l"(here(a_matrix)), "l"(here(b_matrix)), "r"(kept[threadIdx.x]), "r"(add)      \
                 : "memory");                                                                      \
    commit();                                                                                      \
    wait<0>();                                                                                     \
    hold(d);                                                                                       \
    store(out, d);                                                                                 \
  }
#define SPARSE_IN_REGISTERS(name, count, form, A, B, KEPT, SELECTOR, ADDS, numbers)                \
  extern "C" __global__ void k_##name(const uint4* bytes, int nbytes, const unsigned* a,           \
                                      u64 b_matrix, int add, const unsigned* kept,                 \
                                      unsigned* out) {                                             \
    fill(bytes, nbytes);                                                                           \
    unsigned d[count], r[4];                                                                       \
    load(d, out);                                                                                  \
    load(r, a);                                                                                    \
    hold(d);                                                                                       \
    hold(r);                                                                                       \
    fence();                                                                                       \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " ADDS ", 0;\nwgmma.mma_async.sp.sync.aligned." \
                 form " {" N_##count "}, {" A "}, " B ", " KEPT ", " SELECTOR ", p" numbers ";\n}" \
                 : D_##count(0)                                                                    \
                 : "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]), "l"(here(b_matrix)),                \
                   "r"(kept[threadIdx.x]), "r"(add)                                                \
                 : "memory");                                                                      \
    commit();                                                                                      \
    wait<0>();                                                                                     \
    hold(d);                                                                                       \
    store(out, d);                                                                                 \
  }
SPARSE(sparse_f16, 32, "m64n64k32.f32.f16.f16", "%32", "%33", "%34", "0", "%35", ", 1, 1, 0, 0")
SPARSE(sparse_f16_other, 32, "m64n64k32.f32.f16.f16", "%32", "%33", "%34", "1", "%35",
       ", 1, 1, 0, 0")
SPARSE(sparse_f16_kn, 32, "m64n64k32.f32.f16.f16", "%32", "%33", "%34", "0", "%35", ", 1, 1, 0, 1")
SPARSE(sparse_s8, 32, "m64n64k64.s32.s8.s8", "%32", "%33", "%34", "0", "%35", "")
SPARSE_IN_REGISTERS(sparse_f16_registers, 32, "m64n64k32.f32.f16.f16", "%32,%33,%34,%35", "%36",
                    "%37", "0", "%38", ", 1, 1, 0")
SPARSE_IN_REGISTERS(sparse_s8_registers, 32, "m64n64k64.s32.s8.s8", "%32,%33,%34,%35", "%36",
                    "%37", "0", "%38", "")

// A tile of 64 x 64 by 64 x 64: four products, whose descriptors step through swizzled rows, with
// two groups in flight. Every warpgroup has rows of its own and all have the same B.
extern "C" __global__ void tiles(const uint4* bytes, int nbytes, u64 a_matrix, u64 a_step,
                                 u64 b_matrix, u64 b_step, int group_bytes, unsigned* out) {
  fill(bytes, nbytes);
  unsigned d[32] = {};
  u64 a = here(a_matrix) + (threadIdx.x / 128 * group_bytes >> 4), b = here(b_matrix);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    fence();
    f16_kn(d, a + i * a_step, b + i * b_step, i);
    commit();
    if (i % 2) commit();  // an empty group
    wait<1>();
  }
  wait<0>();
  hold(d);
  store(out, d);
}

// The sums of one product are A of the next one: both products of an attention head.
extern "C" __global__ void chained(const uint4* bytes, int nbytes, u64 a_matrix, u64 b_matrix,
                                   u64 c_matrix, unsigned* out) {
  fill(bytes, nbytes);
  unsigned d[4] = {}, e[32] = {};
  fence();
  f16_n8(d, here(a_matrix), here(b_matrix), 0);
  commit();
  wait<0>();
  hold(d);
  unsigned r[4] = {};  // 8 of 16 columns
#pragma unroll
  for (int i = 0; i < 2; ++i)
    asm("cvt.rn.f16x2.f32 %0, %1, %2;"
        : "=r"(r[i])
        : "f"(__uint_as_float(d[2 * i + 1])), "f"(__uint_as_float(d[2 * i])));
  hold(r);
  fence();
  f16_registers(e, r, here(c_matrix), 0);
  commit();
  wait<0>();
  hold(e);
  store(out, e);
}

// Results leave by stmatrix, times what an elected thread of each warp says: 1.
extern "C" __global__ void elected(const uint4* bytes, int nbytes, u64 a_matrix, u64 b_matrix,
                                   unsigned* out) {
  __shared__ __align__(16) unsigned tile[64 * 32];
  __shared__ int chosen[4];
  fill(bytes, nbytes);
  unsigned leader, lane;
  asm volatile(
      "{\n.reg .pred p;\nelect.sync %0|p, 0xffffffff;\nselp.u32 %1, 1, 0, p;\n}"
      : "=r"(leader), "=r"(lane));
  if (lane) chosen[threadIdx.x / 32] = leader == threadIdx.x % 32;
  unsigned d[16] = {};
  fence();
  f16_to_f16(d, here(a_matrix), here(b_matrix), 0);
  commit();
  wait<0>();
  hold(d);
  __syncthreads();
  int row = threadIdx.x / 32 * 16 + threadIdx.x % 16;
#pragma unroll
  for (int i = 0; i < 16; i += 4) {
    unsigned to = at(tile + row * 32 + i * 2 + threadIdx.x % 32 / 16 * 4);
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(to),
                 "r"(d[i]), "r"(d[i + 1]), "r"(d[i + 2]), "r"(d[i + 3])
                 : "memory");
  }
  __syncthreads();
  for (int i = threadIdx.x; i < 64 * 32; i += 128) out[i] = tile[i] * chosen[i % 4];
}
