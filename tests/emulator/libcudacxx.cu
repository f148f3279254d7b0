// What programs do with libcu++ and cooperative groups' asynchronous copies, one kernel each.
#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cuda/atomic>
#include <cuda/barrier>
#include <cuda/latch>
#include <cuda/pipeline>
#include <cuda/ptx>
#include <cuda/semaphore>
#include <cuda/std/atomic>
#include <cuda/std/cstdint>

namespace cg = cooperative_groups;
using BlockBarrier = cuda::barrier<cuda::thread_scope_block>;
using DeviceBarrier = cuda::barrier<cuda::thread_scope_device>;

extern "C" __global__ void barrier(const int* x, int* y, int n) {
  __shared__ BlockBarrier bar;
  __shared__ int cell[128];
  if (threadIdx.x == 0) init(&bar, blockDim.x);
  __syncthreads();
  int v = x[threadIdx.x];
  for (int i = 0; i < n; i++) {
    cell[threadIdx.x] = v;
    auto token = bar.arrive();
    int own = v * 3;
    bar.wait(std::move(token));
    v = own + cell[(threadIdx.x + 1) % blockDim.x];
    bar.arrive_and_wait();
  }
  y[threadIdx.x] = v;
}

extern "C" __global__ void drop(int* y) {
  __shared__ BlockBarrier bar;
  __shared__ int sum;
  if (threadIdx.x == 0) {
    init(&bar, blockDim.x);
    sum = 0;
  }
  __syncthreads();
  for (int i = 0; i < threadIdx.x; i++) {
    atomicAdd(&sum, 1);
    bar.arrive_and_wait();
  }
  bar.arrive_and_drop();
  if (threadIdx.x == blockDim.x - 1) *y = sum;
}

extern "C" __global__ void memcpy_async_barrier(const int* x, int* y, int n) {
  extern __shared__ int tile[];
  __shared__ BlockBarrier bar;
  auto block = cg::this_thread_block();
  if (block.thread_rank() == 0) init(&bar, block.size());
  block.sync();
  for (int t = 0; t < n; t++) {
    cuda::memcpy_async(block, tile, x + t * blockDim.x, sizeof(int) * blockDim.x, bar);
    bar.arrive_and_wait();
    y[t * blockDim.x + threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
    block.sync();
    cuda::aligned_size_t<16> nbytes(sizeof(int) * blockDim.x);
    cuda::memcpy_async(block, tile, x + t * blockDim.x, nbytes, bar);  // sm_90: a bulk copy
    bar.arrive_and_wait();
    y[t * blockDim.x + threadIdx.x] += tile[blockDim.x - 1 - threadIdx.x];
    block.sync();
  }
}

extern "C" __global__ void pipeline_block(const int* x, int* y, int n) {
  extern __shared__ int tile[];
  __shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, 3> state;
  auto block = cg::this_thread_block();
  auto pipe = cuda::make_pipeline(block, &state);
  int width = blockDim.x, sum = 0;
  for (int get = 0, put = 0; get < n; get++) {
    for (; put < n && put < get + 3; put++) {
      pipe.producer_acquire();
      cuda::aligned_size_t<16> nbytes(sizeof(int) * width);
      cuda::memcpy_async(block, tile + (put % 3) * width, x + put * width, nbytes, pipe);
      pipe.producer_commit();
    }
    pipe.consumer_wait();
    sum = 31 * sum + tile[(get % 3) * width + (threadIdx.x + 1) % width];
    pipe.consumer_release();
  }
  y[threadIdx.x] = sum;
}

extern "C" __global__ void pipeline_roles(const int* x, int* y, int n) {
  extern __shared__ int tile[];
  __shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, 2> state;
  auto block = cg::this_thread_block();
  bool produces = threadIdx.x < 32;
  auto role = produces ? cuda::pipeline_role::producer : cuda::pipeline_role::consumer;
  auto pipe = cuda::make_pipeline(block, &state, role);
  int lane = threadIdx.x & 31, sum = 0;
  for (int i = 0; i < n; i++) {
    int* stage = tile + (i % 2) * 32;
    if (produces) {
      pipe.producer_acquire();
      cuda::memcpy_async(stage + lane, x + 32 * i + lane, sizeof(int), pipe);
      pipe.producer_commit();
    } else {
      pipe.consumer_wait();
      sum = 31 * sum + stage[31 - lane];
      pipe.consumer_release();
    }
  }
  if (!produces) y[threadIdx.x - 32] = sum;
}

extern "C" __global__ void pipeline_thread(const int4* x, int4* y, int n) {
  __shared__ int4 tile[2][64];
  auto pipe = cuda::make_pipeline();
  auto fetch = [&](int i) {
    pipe.producer_acquire();
    int4* to = &tile[i & 1][threadIdx.x];
    if (i < n) cuda::memcpy_async(to, &x[64 * i + threadIdx.x], sizeof(int4), pipe);
    pipe.producer_commit();
  };
  fetch(0);
  for (int i = 0; i < n; i++) {
    fetch(i + 1);
    cuda::pipeline_consumer_wait_prior<1>(pipe);
    int4 v = tile[i & 1][threadIdx.x];
    y[64 * i + threadIdx.x] = make_int4(v.w, v.z, v.y, v.x);
    pipe.consumer_release();
  }
}

extern "C" __global__ void cg_memcpy_async(const int* x, int* y, int n) {
  __shared__ __align__(16) int tile[2][128];
  auto block = cg::this_thread_block();
  auto warp = cg::tiled_partition<32>(block);
  cg::memcpy_async(block, tile[0], x, sizeof(int) * 128);
  for (int i = 1; i < n; i++) {
    cuda::aligned_size_t<16> nbytes(sizeof(int) * 128);
    cg::memcpy_async(block, tile[i & 1], x + 128 * i, nbytes);
    cg::wait_prior<1>(block);
    y[128 * (i - 1) + threadIdx.x] = tile[(i - 1) & 1][127 - threadIdx.x];
    block.sync();
  }
  cg::wait(block);
  y[128 * (n - 1) + threadIdx.x] = tile[(n - 1) & 1][127 - threadIdx.x];
  block.sync();
  int r = warp.meta_group_rank();
  cg::memcpy_async(warp, &tile[0][32 * r], 32, x + 32 * r, 32);
  cg::wait(warp);
  y[128 * n + threadIdx.x] = tile[0][threadIdx.x ^ 1];
}

extern "C" __global__ void atomics(int* counters, unsigned long long* big, float* f) {
  cuda::atomic_ref<int, cuda::thread_scope_device> sum(counters[0]);
  sum.fetch_add(1, cuda::memory_order_relaxed);
  cuda::atomic_ref<int, cuda::thread_scope_device> most(counters[1]);
  most.fetch_max(int(blockIdx.x * blockDim.x + threadIdx.x));
  cuda::atomic_ref<int, cuda::thread_scope_device> least(counters[2]);
  least.fetch_min(-int(threadIdx.x), cuda::memory_order_release);
  cuda::std::atomic_ref<int> system(counters[3]);
  system.fetch_xor(threadIdx.x + 1, cuda::std::memory_order_acq_rel);
  cuda::atomic_ref<unsigned long long> wide(*big);
  unsigned long long old = wide.load(cuda::memory_order_acquire);
  while (!wide.compare_exchange_weak(old, old + threadIdx.x)) {}
  cuda::atomic_ref<float, cuda::thread_scope_device> real(*f);
  real.fetch_add(0.5f);
  __shared__ cuda::atomic<int, cuda::thread_scope_block> inside;
  if (threadIdx.x == 0) inside.store(0);
  __syncthreads();
  inside.fetch_add(2, cuda::memory_order_acq_rel);
  inside++;
  __syncthreads();
  if (threadIdx.x == 0) {
    counters[4] = inside.load();
    counters[5] = inside.exchange(7);
    counters[6] = inside;
  }
  cuda::atomic_thread_fence(cuda::memory_order_seq_cst, cuda::thread_scope_device);
  auto bytes = reinterpret_cast<unsigned char*>(&counters[7]);
  cuda::atomic_ref<unsigned char, cuda::thread_scope_device> byte(bytes[1]);
  byte.fetch_add(1);
}

extern "C" __global__ void wait_notify(const int* x, int* y, int* flag) {
  cuda::atomic_ref<int, cuda::thread_scope_device> ready(*flag);
  if (blockIdx.x == 0) {
    ready.wait(0, cuda::memory_order_acquire);
    y[threadIdx.x] = y[32 + threadIdx.x];
  } else {
    y[32 + threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    if (threadIdx.x == 0) {
      ready.store(1, cuda::memory_order_release);
      ready.notify_all();
    }
  }
}

using Two = cuda::counting_semaphore<cuda::thread_scope_device, 2>;
using One = cuda::binary_semaphore<cuda::thread_scope_block>;
extern "C" __global__ void semaphore(int* inside, int* most, int* total) {
  __shared__ One mutex;
  __shared__ int count;
  if (threadIdx.x == 0) {
    new (&mutex) One(1);
    count = 0;
  }
  __syncthreads();
  mutex.acquire();
  int was = *(volatile int*)&count;
  *(volatile int*)&count = was + 1;
  mutex.release();
  __syncthreads();
  __shared__ Two pool;
  if (threadIdx.x == 0) new (&pool) Two(2);
  __syncthreads();
  pool.acquire();
  int now = atomicAdd(inside, 1) + 1;
  atomicMax(most, now);
  __nanosleep(100);
  atomicSub(inside, 1);
  pool.release();
  if (threadIdx.x == 0) *total = count;
}

extern "C" __global__ void latch(const int* x, int* y) {
  using Latch = cuda::latch<cuda::thread_scope_block>;
  __shared__ alignas(Latch) char place[sizeof(Latch)];
  Latch& done = reinterpret_cast<Latch&>(place);
  __shared__ int cell[64];
  if (threadIdx.x == 0) new (&done) Latch(64);
  __syncthreads();
  cell[threadIdx.x] = x[threadIdx.x];
  if (threadIdx.x & 1) {
    done.count_down();
    done.wait();
  } else {
    done.arrive_and_wait();
  }
  y[threadIdx.x] = cell[63 - threadIdx.x];
}

extern "C" __global__ void start_barrier(DeviceBarrier* bar, int n) { init(bar, n); }
extern "C" __global__ void device_barrier(DeviceBarrier* bar, int* x, int* y) {
  int i = blockIdx.x * blockDim.x + threadIdx.x, n = gridDim.x * blockDim.x;
  x[i] = i * i;
  bar->arrive_and_wait();
  y[i] = x[n - 1 - i];
}

extern "C" __global__ void ptx(const int* x, int* y) {
  __shared__ cuda::std::uint64_t bar;
  __shared__ int cell[64];
  namespace ptx = cuda::ptx;
  if (threadIdx.x == 0) ptx::mbarrier_init(&bar, blockDim.x);
  __syncthreads();
  cell[threadIdx.x] = x[threadIdx.x];
  auto state = ptx::mbarrier_arrive(&bar);
  while (!ptx::mbarrier_test_wait(&bar, state)) {}
  y[threadIdx.x] = cell[63 - threadIdx.x];
#if __CUDA_ARCH__ >= 900
  ptx::fence(ptx::sem_acq_rel, ptx::scope_cta);
  ptx::fence_proxy_async(ptx::space_shared);
  ptx::fence_mbarrier_init(ptx::sem_release, ptx::scope_cluster);
  if (ptx::elect_sync(~0u)) atomicAdd(&y[64], 1);
#endif
}

// As CUTLASS waits: labels in the braces of an asm statement.
__device__ void wait(unsigned long long* bar, unsigned phase) {
  unsigned at = __cvta_generic_to_shared(bar);
  asm volatile(
      "{\n .reg .pred P1;\n LAB_WAIT:\n"
#if __CUDA_ARCH__ >= 900
      " mbarrier.try_wait.parity.shared::cta.b64 P1, [%0], %1;\n"
#else
      " mbarrier.test_wait.parity.shared::cta.b64 P1, [%0], %1;\n"
#endif
      " @P1 bra DONE;\n bra LAB_WAIT;\n DONE:\n}" ::"r"(at), "r"(phase) : "memory");
}
extern "C" __global__ void spin(const int* x, int* y) {
  __shared__ unsigned long long bar[2];
  __shared__ int cell[64];
  unsigned at = __cvta_generic_to_shared(bar);
  if (threadIdx.x == 0) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 64;" ::"r"(at));
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 64;" ::"r"(at + 8));
    asm volatile("fence.mbarrier_init.release.cluster;");
  }
  __syncthreads();
  int v = x[threadIdx.x];
  for (int i = 0; i < 4; i++) {
    cell[threadIdx.x] = v;
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(at) : "memory");
    wait(&bar[0], i & 1);
    v += cell[63 - threadIdx.x];
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(at + 8) : "memory");
    wait(&bar[1], i & 1);
  }
  y[threadIdx.x] = v;
}
