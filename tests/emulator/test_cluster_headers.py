"""Clusters through the headers that programs use: cooperative groups, cuda::ptx, libcu++."""

from __future__ import annotations

import numpy as np
import pytest

from tests.emulator.conftest import Card

SOURCE = r"""
#include <cuda/ptx>
#include <cuda/barrier>
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
namespace ptx = cuda::ptx;
namespace cg = cooperative_groups;
extern "C" __global__ void headers(const int* x, int* out) {
  __shared__ alignas(16) int4 box[32];
  __shared__ int count;
  __shared__ cuda::std::uint64_t bar;
  unsigned rank = ptx::get_sreg_cluster_ctarank(), blocks = ptx::get_sreg_cluster_nctarank();
  unsigned next = (rank + 1) % blocks;
  if (threadIdx.x == 0) {
    count = 0;
    ptx::mbarrier_init(&bar, 33);
    ptx::fence_mbarrier_init(ptx::sem_release, ptx::scope_cluster);
  }
  ptx::barrier_cluster_arrive(ptx::sem_release);
  ptx::barrier_cluster_wait(ptx::sem_acquire);
  if (threadIdx.x == 0)
    ptx::mbarrier_arrive_expect_tx(ptx::sem_release, ptx::scope_cluster, ptx::space_shared, &bar,
                                   32 * 20);
  cg::cluster_group cluster = cg::this_cluster();
  cuda::std::uint64_t* there = cluster.map_shared_rank(&bar, next);
  const int* from = x + (blockIdx.x * 32 + threadIdx.x) * 4;
  int4* to = cluster.map_shared_rank(box + threadIdx.x, next);
  int value[4] = {from[0], from[1], from[2], from[3]};
  ptx::st_async(reinterpret_cast<int*>(to), value, there);
  ptx::red_async(ptx::op_add, cluster.map_shared_rank(&count, next), (int)threadIdx.x, there);
  ptx::mbarrier_arrive(ptx::sem_release, ptx::scope_cluster, ptx::space_cluster, there);
  while (!ptx::mbarrier_try_wait_parity(ptx::sem_acquire, ptx::scope_cluster, &bar, 0)) {}
  out[blockIdx.x * 33 + threadIdx.x] = box[threadIdx.x].x + 10 * box[threadIdx.x].w;
  bool is_next = ptx::getctarank(ptx::space_cluster, there) == next;
  if (threadIdx.x == 0) out[blockIdx.x * 33 + 32] = count + 1000 * (int)is_next;
  cluster.sync();
}
extern "C" __global__ void groups(int* out) {
  __shared__ int sums[8];
  cg::cluster_group cluster = cg::this_cluster();
  auto token = cluster.barrier_arrive();
  cluster.barrier_wait(cuda::std::move(token));
  dim3 index = cluster.block_index(), shape = cluster.dim_blocks(), threads = cluster.dim_threads();
  unsigned me = cluster.thread_rank();
  int* remote = cluster.map_shared_rank(sums, 0);
  if (threadIdx.x == 0) remote[cluster.block_rank()] = 0;
  cluster.sync();
  atomicAdd(remote + cluster.block_rank(), (int)me);
  cluster.sync();
  if (threadIdx.x == 0)
    out[blockIdx.x] = remote[cluster.block_rank()]
      + 1000000 * (int)cluster.query_shared_rank(remote)
      + (int)(index.x * 10000000 + shape.x * 100000000) + (int)(cluster.num_threads() != threads.x);
  cluster.sync();
}
"""


@pytest.mark.parametrize("checks", [(), "all"])
def test_what_cuda_ptx_has_for_clusters(card: Card, checks) -> None:
    x = np.arange(4 * 128, dtype=np.int32).reshape(4, 32, 4)
    out = np.zeros((4, 33), np.int32)
    report = card.run(SOURCE, "headers", 4, 32, x, out, cluster=(4, 1, 1), checks=checks)
    theirs = np.roll(x, 1, axis=0)
    np.testing.assert_array_equal(out[:, :32], theirs[..., 0] + 10 * theirs[..., 3])
    assert (out[:, 32] == 496 + 1000).all()
    assert report.findings == ()


def test_what_cooperative_groups_have_for_clusters(card: Card) -> None:
    out = np.zeros(4, np.int32)
    report = card.run(SOURCE, "groups", 4, 64, out, cluster=(2, 1, 1), checks="all")
    first, second = sum(range(64)), sum(range(64, 128))
    np.testing.assert_array_equal(out, 200_000_000 + np.array([first, second + 10_000_000] * 2))
    assert report.findings == ()
