// The tensor memory accelerator: boxes of arrays in and out of shared memory, and plain bulk copies.

#include <cuda_bf16.h>
#include <cuda_fp16.h>
typedef unsigned char u8;
typedef unsigned long long u64;

struct alignas(64) TensorMap {
  u64 opaque[16];
};
// Where a box is, and how far im2col moves it: innermost first.
struct Place {
  int c[5];
  unsigned short o[3];
};

__device__ unsigned at(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }
__device__ void init(u64* barrier, int count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(at(barrier)), "r"(count) : "memory");
}
__device__ void expect(u64* barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(at(barrier)),
               "r"(bytes)
               : "memory");
}
__device__ void arrive(u64* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(at(barrier)) : "memory");
}
__device__ void wait_for(u64* barrier, int parity) {
  unsigned done = 0;
  while (!done)
    asm volatile(
        "{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;"
        " selp.u32 %0, 1, 0, p; }"
        : "=r"(done)
        : "r"(at(barrier)), "r"(parity)
        : "memory");
}
// The same, but not for ever: for copies whose bytes documents do not tell for certain.
__device__ void wait_a_while(u64* barrier, int parity) {
  unsigned done = 0;
  for (int i = 0; i < 10000 && !done; ++i)
    asm volatile(
        "{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;"
        " selp.u32 %0, 1, 0, p; }"
        : "=r"(done)
        : "r"(at(barrier)), "r"(parity)
        : "memory");
}
__device__ void fence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
__device__ void commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
__device__ void all_stored() { asm volatile("cp.async.bulk.wait_group 0;" ::: "memory"); }
__device__ void all_read() { asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory"); }
__device__ unsigned rank() {
  unsigned r;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(r));
  return r;
}
__device__ unsigned blocks() {
  unsigned n;
  asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(n));
  return n;
}
__device__ unsigned mapa(unsigned address, unsigned block) {
  unsigned mapped;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(mapped) : "r"(address), "r"(block));
  return mapped;
}
__device__ void sync_cluster() {
  asm volatile(
      "barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::
          : "memory");
}

// Zeros to `bytes` of a tile, seen by TMA; a barrier that counts `expected` bytes.
__device__ void prepare(u8* tile, int bytes, u64* barrier, int expected) {
  for (int i = threadIdx.x; i < bytes; i += blockDim.x) tile[i] = 0;
  fence();
  if (threadIdx.x == 0) {
    init(barrier, 1);
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    fence();
  }
  __syncthreads();
  if (threadIdx.x == 0) expect(barrier, expected);
}
__device__ void copy_out(u8* out, const u8* tile, int bytes) {
  for (int i = threadIdx.x; i < bytes; i += blockDim.x) out[i] = tile[i];
}

#define LOAD(n, mode, names, offsets, ...)                                                        \
  asm volatile("cp.async.bulk.tensor." #n "d.shared::cluster.global" mode                         \
               ".mbarrier::complete_tx::bytes [%0], [%1, {" names "}], [%2]" offsets ";" ::       \
                   "r"(at(tile)), "l"(&map), "r"(at(&barrier)), __VA_ARGS__ : "memory")
#define LOADS(...) LOADS_AND(wait_for, __VA_ARGS__)
#define LOADS_AND(waits, name, n, mode, names, offsets, ...)                                      \
  extern "C" __global__ void name##_##n(const __grid_constant__ TensorMap map, Place p,           \
                                        int expected, int bytes, u8* out) {                       \
    extern __shared__ __align__(1024) u8 tile[];                                                  \
    __shared__ u64 barrier;                                                                       \
    prepare(tile, bytes, &barrier, expected);                                                     \
    if (threadIdx.x == 0) LOAD(n, mode, names, offsets, __VA_ARGS__);                             \
    waits(&barrier, 0);                                                                           \
    copy_out(out, tile, bytes);                                                                   \
  }
#define C1 "r"(p.c[0])
#define C2 C1, "r"(p.c[1])
#define C3 C2, "r"(p.c[2])
#define C4 C3, "r"(p.c[3])
#define C5 C4, "r"(p.c[4])
LOADS(load, 1, ".tile", "%3", "", C1)
LOADS(load, 2, ".tile", "%3, %4", "", C2)
LOADS(load, 3, ".tile", "%3, %4, %5", "", C3)
LOADS(load, 4, "", "%3, %4, %5, %6", "", C4)
LOADS(load, 5, "", "%3, %4, %5, %6, %7", "", C5)
LOADS(pixels, 3, ".im2col", "%3, %4, %5", ", {%6}", C3, "h"(p.o[0]))
LOADS(pixels, 4, ".im2col", "%3, %4, %5, %6", ", {%7, %8}", C4, "h"(p.o[0]), "h"(p.o[1]))
LOADS(pixels, 5, ".im2col", "%3, %4, %5, %6, %7", ", {%8, %9, %10}", C5, "h"(p.o[0]),
      "h"(p.o[1]), "h"(p.o[2]))
// Boxes and columns of pixels of interleaved arrays.
LOADS_AND(wait_a_while, slices, 3, ".tile", "%3, %4, %5", "", C3)
LOADS_AND(wait_a_while, slices, 4, ".tile", "%3, %4, %5, %6", "", C4)
LOADS_AND(wait_a_while, slices, 5, ".tile", "%3, %4, %5, %6, %7", "", C5)
LOADS_AND(wait_a_while, slice_pixels, 3, ".im2col", "%3, %4, %5", ", {%6}", C3, "h"(p.o[0]))
LOADS_AND(wait_a_while, slice_pixels, 4, ".im2col", "%3, %4, %5, %6", ", {%7, %8}", C4,
          "h"(p.o[0]), "h"(p.o[1]))
LOADS_AND(wait_a_while, slice_pixels, 5, ".im2col", "%3, %4, %5, %6, %7", ", {%8, %9, %10}", C5,
          "h"(p.o[0]), "h"(p.o[1]), "h"(p.o[2]))

// What is NaN in a box, whichever NaN it is.
template <class T>
__device__ void fills(const TensorMap& map, Place p, int bytes, int* out) {
  extern __shared__ __align__(1024) u8 tile[];
  __shared__ u64 barrier;
  prepare(tile, bytes, &barrier, bytes);
  if (threadIdx.x == 0) LOAD(2, "", "%3, %4", "", C2);
  wait_for(&barrier, 0);
  const T* x = (const T*)tile;
  for (int i = threadIdx.x; i < bytes / (int)sizeof(T); i += blockDim.x) {
    float value = x[i];
    out[i] = value != value ? -1 : (int)value;
  }
}
extern "C" __global__ void fills_float(const __grid_constant__ TensorMap map, Place p, int bytes,
                                       int* out) {
  fills<float>(map, p, bytes, out);
}
extern "C" __global__ void fills_half(const __grid_constant__ TensorMap map, Place p, int bytes,
                                      int* out) {
  fills<__half>(map, p, bytes, out);
}

#define STORE(n, op, names, ...)                                                                  \
  asm volatile(op ".bulk_group [%1, {" names "}], [%0];" ::"r"(at(tile)), "l"(&map), "r"(0),      \
               __VA_ARGS__ : "memory")
#define TO(n, word) "cp." word "async.bulk.tensor." #n "d.global.shared::cta"
// how: 0 store, 1 add, 2 min, 3 max.
#define STORES(n, names, ...)                                                                     \
  extern "C" __global__ void store_##n(const __grid_constant__ TensorMap map, Place p, int how,   \
                                       int bytes, const u8* in, u8*) {                            \
    extern __shared__ __align__(1024) u8 tile[];                                                  \
    for (int i = threadIdx.x; i < bytes; i += blockDim.x) tile[i] = in[i];                        \
    fence();                                                                                      \
    __syncthreads();                                                                              \
    if (threadIdx.x == 0) {                                                                       \
      if (how == 0) STORE(n, TO(n, ""), names, __VA_ARGS__);                                      \
      if (how == 1) STORE(n, TO(n, "reduce.") ".add", names, __VA_ARGS__);                        \
      if (how == 2) STORE(n, TO(n, "reduce.") ".min", names, __VA_ARGS__);                        \
      if (how == 3) STORE(n, TO(n, "reduce.") ".max", names, __VA_ARGS__);                        \
      commit();                                                                                   \
      all_stored();                                                                               \
    }                                                                                             \
  }
STORES(1, "%3", C1)
STORES(2, "%3, %4", C2)
STORES(3, "%3, %4, %5", C3)
STORES(4, "%3, %4, %5, %6", C4)
STORES(5, "%3, %4, %5, %6, %7", C5)

// Plain bytes: each block brings some with a cache policy, adds one, and takes them back.
extern "C" __global__ void plain(const unsigned* in, unsigned* out) {
  __shared__ __align__(128) unsigned tile[512];
  __shared__ u64 barrier;
  prepare((u8*)tile, 2048, &barrier, 2048);
  if (threadIdx.x == 0) {
    u64 first, last;
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(first));
    asm volatile("createpolicy.fractional.L2::evict_last.b64 %0, 1.0;" : "=l"(last));
    asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(in + 512 * blockIdx.x),
                 "r"(2048)
                 : "memory");
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint"
        " [%0], [%1], %2, [%3], %4;" ::"r"(at(tile)),
        "l"(in + 512 * blockIdx.x), "r"(1024), "r"(at(&barrier)), "l"(first)
        : "memory");
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint"
        " [%0], [%1], %2, [%3], %4;" ::"r"(at(tile + 256)),
        "l"(in + 512 * blockIdx.x + 256), "r"(1024), "r"(at(&barrier)), "l"(last)
        : "memory");
  }
  wait_for(&barrier, 0);
  for (int i = threadIdx.x; i < 512; i += blockDim.x) tile[i] += 1;
  fence();
  __syncthreads();
  if (threadIdx.x == 0) {
    u64 policy;
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 0.5;" : "=l"(policy));
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group.L2::cache_hint [%0], [%1], %2, %3;" ::
                     "l"(out + 512 * blockIdx.x),
                 "r"(at(tile)), "r"(2048), "l"(policy)
                 : "memory");
    commit();
    all_stored();
  }
}

// Reductions of plain bytes into global memory, by all blocks into the same places.
#define REDUCE(T, op, type)                                                                       \
  {                                                                                               \
    T* mine = (T*)tile;                                                                           \
    for (int i = threadIdx.x; i < 32; i += blockDim.x) mine[i] = ((const T*)(in + place))[i];     \
    fence();                                                                                      \
    __syncthreads();                                                                              \
    if (threadIdx.x == 0) {                                                                       \
      asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group." op "." type              \
                   " [%0], [%1], %2;" ::"l"(out + place), "r"(at(tile)),                          \
                   "r"(32 * (int)sizeof(T)) : "memory");                                          \
      commit();                                                                                   \
      all_read();                                                                                 \
    }                                                                                             \
    __syncthreads();                                                                              \
    place += 256;                                                                                 \
  }
extern "C" __global__ void reductions(const u8* in, u8* out) {
  __shared__ __align__(128) u8 tile[256];
  int place = 0;
  REDUCE(unsigned, "add", "u32")
  REDUCE(int, "add", "s32")
  REDUCE(u64, "add", "u64")
  REDUCE(float, "add", "f32")
  REDUCE(double, "add", "f64")
  REDUCE(__half, "add.noftz", "f16")
  REDUCE(__nv_bfloat16, "add.noftz", "bf16")
  REDUCE(unsigned, "min", "u32")
  REDUCE(int, "max", "s32")
  REDUCE(long long, "min", "s64")
  REDUCE(u64, "max", "u64")
  REDUCE(__half, "min", "f16")
  REDUCE(__nv_bfloat16, "max", "bf16")
  REDUCE(unsigned, "and", "b32")
  REDUCE(u64, "or", "b64")
  REDUCE(unsigned, "xor", "b32")
  REDUCE(unsigned, "inc", "u32")
  if (threadIdx.x == 0) all_stored();
}

// Each block of a cluster brings a part of every block's tile.
extern "C" __global__ void multicast(const __grid_constant__ TensorMap map, int rows, u8* out) {
  extern __shared__ __align__(1024) u8 tile[];
  __shared__ u64 barrier;
  unsigned me = rank(), all = blocks();
  int part = rows * 128;
  prepare(tile, part * all, &barrier, part * all);
  sync_cluster();
  if (threadIdx.x == 0) {
    int y = (blockIdx.x / all * all + me) * rows;
    asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
        ".multicast::cluster [%0], [%1, {%2, %3}], [%4], %5;" ::"r"(at(tile + part * me)),
        "l"(&map), "r"(0), "r"(y), "r"(at(&barrier)), "h"((unsigned short)((1 << all) - 1))
        : "memory");
  }
  wait_for(&barrier, 0);
  copy_out(out + (u64)part * all * blockIdx.x, tile, part * all);
  sync_cluster();
}
// The same of plain bytes, from every even block to itself and the next one.
extern "C" __global__ void multicast_bytes(const u8* in, u8* out) {
  __shared__ __align__(128) u8 tile[512];
  __shared__ u64 barrier;
  unsigned me = rank();
  prepare(tile, 512, &barrier, 512);
  sync_cluster();
  if (threadIdx.x == 0 && me % 2 == 0)
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster"
        " [%0], [%1], %2, [%3], %4;" ::"r"(at(tile)),
        "l"(in + 512 * (blockIdx.x / 2)), "r"(512), "r"(at(&barrier)),
        "h"((unsigned short)(3 << me))
        : "memory");
  wait_for(&barrier, 0);
  copy_out(out + 512 * blockIdx.x, tile, 512);
  sync_cluster();
}

// Each block of a cluster sends its tile to the next one's shared memory.
extern "C" __global__ void to_peer(const int* in, int* out) {
  __shared__ __align__(128) int mine[256], theirs[256];
  __shared__ u64 barrier;
  unsigned next = (rank() + 1) % blocks();
  prepare((u8*)theirs, 1024, &barrier, 1024);
  for (int i = threadIdx.x; i < 256; i += blockDim.x) mine[i] = in[256 * blockIdx.x + i] * 3;
  fence();
  __syncthreads();
  sync_cluster();
  if (threadIdx.x == 0)
    asm volatile(
        "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes"
        " [%0], [%1], %2, [%3];" ::"r"(mapa(at(theirs), next)),
        "r"(at(mine)), "r"(1024), "r"(mapa(at(&barrier), next))
        : "memory");
  wait_for(&barrier, 0);
  for (int i = threadIdx.x; i < 256; i += blockDim.x) out[256 * blockIdx.x + i] = theirs[i];
  sync_cluster();
}

// Doubles a matrix of tiles of 32 x 32 floats: three stages come, two boxes leave at a time.
extern "C" __global__ void pipeline(const __grid_constant__ TensorMap in,
                                    const __grid_constant__ TensorMap out, int tiles) {
  __shared__ __align__(1024) float stage[3][1024], box[2][1024];
  __shared__ u64 full[3], empty[3];
  if (threadIdx.x == 0) {
    for (int s = 0; s < 3; ++s) {
      init(&full[s], 1);
      init(&empty[s], 4);
    }
    fence();
  }
  __syncthreads();
  int y = 32 * blockIdx.x, lane = threadIdx.x % 32;
  if (threadIdx.x >= 128) {
    if (lane == 0)
      for (int i = 0; i < tiles; ++i) {
        int s = i % 3;
        if (i >= 3) wait_for(&empty[s], (i / 3 - 1) & 1);
        expect(&full[s], 4096);
        asm volatile(
            "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
            " [%0], [%1, {%2, %3}], [%4];" ::"r"(at(stage[s])),
            "l"(&in), "r"(32 * i), "r"(y), "r"(at(&full[s]))
            : "memory");
      }
    return;
  }
  for (int i = 0; i < tiles; ++i) {
    int s = i % 3, b = i % 2;
    if (threadIdx.x == 0)
      asm volatile("cp.async.bulk.wait_group.read 1;" ::: "memory");
    asm volatile("bar.sync 1, 128;" ::: "memory");
    wait_for(&full[s], i / 3 & 1);
    for (int k = threadIdx.x; k < 1024; k += 128) box[b][k] = 2 * stage[s][k];
    fence();
    __syncwarp();
    if (lane == 0) arrive(&empty[s]);
    asm volatile("bar.sync 1, 128;" ::: "memory");
    if (threadIdx.x == 0) {
      asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%1, %2}], [%3];" ::
                       "l"(&out),
                   "r"(32 * i), "r"(y), "r"(at(box[b]))
                   : "memory");
      commit();
    }
  }
  if (threadIdx.x == 0) all_stored();
}
