// TMA as libcu++ wraps it: the example of the CUDA C++ Programming Guide's idiom, on small boxes.

#include <cuda/barrier>
#include <cuda/ptx>
using barrier = cuda::barrier<cuda::thread_scope_block>;
namespace cde = cuda::device::experimental;
namespace ptx = cuda::ptx;

struct alignas(64) TensorMap {
  unsigned long long opaque[16];
};

// Adds one to a box of 16 x 32 ints: in by one map, out by the other.
extern "C" __global__ void wrapped(const __grid_constant__ TensorMap in,
                                   const __grid_constant__ TensorMap out) {
  __shared__ alignas(128) int box[16][32];
#pragma nv_diag_suppress static_var_with_dynamic_init
  __shared__ barrier bar;
  if (threadIdx.x == 0) {
    init(&bar, blockDim.x);
    cde::fence_proxy_async_shared_cta();
  }
  __syncthreads();
  int x = 32 * blockIdx.x, y = 16 * blockIdx.y;
  barrier::arrival_token token;
  if (threadIdx.x == 0) {
    cde::cp_async_bulk_tensor_2d_global_to_shared(&box, (const CUtensorMap*)&in, x, y, bar);
    token = cuda::device::barrier_arrive_tx(bar, 1, sizeof(box));
  } else {
    token = bar.arrive();
  }
  bar.wait(std::move(token));
  for (int i = threadIdx.x; i < 512; i += blockDim.x) box[i / 32][i % 32] += 1;
  cde::fence_proxy_async_shared_cta();
  __syncthreads();
  if (threadIdx.x == 0) {
    cde::cp_async_bulk_tensor_2d_shared_to_global((const CUtensorMap*)&out, x, y, &box);
    cde::cp_async_bulk_commit_group();
    cde::cp_async_bulk_wait_group_read<0>();
  }
}

// A ring of one: plain bytes by cuda::ptx.
extern "C" __global__ void by_ptx(const int* in, int* out) {
  __shared__ alignas(16) int tile[256];
  __shared__ unsigned long long bar;
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(&bar, 1);
    ptx::fence_mbarrier_init(ptx::sem_release, ptx::scope_cluster);
    ptx::fence_proxy_async(ptx::space_shared);
  }
  __syncthreads();
  for (int i = 0; i < 3; ++i) {
    const int* from = in + 256 * (3 * blockIdx.x + i);
    if (threadIdx.x == 0) {
      ptx::mbarrier_arrive_expect_tx(ptx::sem_release, ptx::scope_cta, ptx::space_shared, &bar,
                                     1024);
      ptx::cp_async_bulk(ptx::space_cluster, ptx::space_global, tile, from, 1024, &bar);
    }
    while (!ptx::mbarrier_try_wait_parity(&bar, i & 1)) {
    }
    for (int k = threadIdx.x; k < 256; k += blockDim.x) tile[k] = -tile[k];
    ptx::fence_proxy_async(ptx::space_shared);
    __syncthreads();
    if (threadIdx.x == 0) {
      ptx::cp_async_bulk(ptx::space_global, ptx::space_shared, out + (from - in), tile, 1024);
      ptx::cp_async_bulk_commit_group();
      ptx::cp_async_bulk_wait_group_read(ptx::n32_t<0>{});
    }
    __syncthreads();
  }
}
