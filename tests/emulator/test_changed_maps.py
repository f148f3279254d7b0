"""Kernels that change tensor maps: what they copy afterwards is of the array that they named."""

from __future__ import annotations

import numpy as np

from kernels.runtime import cuda_program, open_device

SOURCE = r"""
struct alignas(128) TensorMap { unsigned long long opaque[16]; };
__device__ unsigned at(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }

// The map is changed in shared memory to be of another array, and copied to global memory, where
// TMA finds it.
extern "C" __global__ void redirected(const __grid_constant__ TensorMap given, const float* other,
                                      int rows, int cols, TensorMap* maps, float* out) {
  __shared__ alignas(128) TensorMap map;
  __shared__ alignas(128) float tile[8 * 8];
  __shared__ unsigned long long bar;
  int lane = threadIdx.x;
  if (lane < 16) map.opaque[lane] = given.opaque[lane];
  __syncwarp();
  if (lane == 0) {
    asm volatile("tensormap.replace.tile.global_address.shared::cta.b1024.b64 [%0], %1;"
                 ::"r"(at(&map)), "l"(other) : "memory");
    asm volatile("tensormap.replace.tile.global_dim.shared::cta.b1024.b32 [%0], 0, %1;"
                 ::"r"(at(&map)), "r"(cols) : "memory");
    asm volatile("tensormap.replace.tile.global_dim.shared::cta.b1024.b32 [%0], 1, %1;"
                 ::"r"(at(&map)), "r"(rows) : "memory");
    asm volatile("tensormap.replace.tile.global_stride.shared::cta.b1024.b64 [%0], 0, %1;"
                 ::"r"(at(&map)), "l"((long long)cols * 4) : "memory");
    asm volatile("tensormap.replace.tile.swizzle_mode.shared::cta.b1024.b32 [%0], 0;"
                 ::"r"(at(&map)) : "memory");
  }
  __syncwarp();
  asm volatile("tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.gpu.sync"
               ".aligned [%0], [%1], 128;" ::"l"(maps), "r"(at(&map)) : "memory");
  if (lane == 0) {
    asm volatile("fence.proxy.tensormap::generic.acquire.gpu [%0], 128;" ::"l"(maps) : "memory");
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(at(&bar)) : "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], 256;" ::"r"(at(&bar)));
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%2, %3}], [%4];"
                 ::"r"(at(tile)), "l"(maps), "r"(4), "r"(1), "r"(at(&bar)) : "memory");
    asm volatile("{ .reg .pred p; again: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], 0;"
                 " @!p bra again; }" ::"r"(at(&bar)) : "memory");
  }
  __syncwarp();
  for (int i = lane; i < 64; i += 32) out[i] = tile[i];
}
"""


def test_a_map_can_be_made_one_of_another_array():
    device = open_device("emulated")
    rng = np.random.default_rng(0)
    one, other = (rng.random(shape, dtype=np.float32) for shape in ((64, 32), (7, 20)))
    told = device.tensor_map(device.asarray(one), (8, 8), swizzle="32B")
    maps, out = device.empty(16, np.uint64), device.empty((8, 8), np.float32)
    program = cuda_program(SOURCE, name="maps.cu", arch="sm_90a")
    arguments = (told, device.asarray(other), 7, 20, maps, out)
    device.launch(program["redirected"], 1, 32, arguments)
    expected = np.zeros((8, 8), np.float32)
    expected[:6] = other[1:7, 4:12]
    np.testing.assert_array_equal(device.to_host(out), expected)
