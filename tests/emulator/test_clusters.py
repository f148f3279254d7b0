"""Thread block clusters: launches, distributed shared memory, the cluster's barrier."""

from __future__ import annotations

import numpy as np
import pytest

from emulator import LaunchError
from tests.emulator.conftest import Card

WHO = r"""
#include <cooperative_groups.h>
namespace cg = cooperative_groups;

__device__ unsigned of(int which) {
    unsigned v = 0;
    switch (which) {
#define READ(n, name) case n: asm volatile("mov.u32 %0, %%" name ";" : "=r"(v)); break;
    READ(0, "clusterid.x") READ(1, "clusterid.y") READ(2, "clusterid.z")
    READ(3, "nclusterid.x") READ(4, "nclusterid.y") READ(5, "nclusterid.z")
    READ(6, "cluster_ctaid.x") READ(7, "cluster_ctaid.y") READ(8, "cluster_ctaid.z")
    READ(9, "cluster_nctaid.x") READ(10, "cluster_nctaid.y") READ(11, "cluster_nctaid.z")
    READ(12, "cluster_ctarank") READ(13, "cluster_nctarank")
    }
    return v;
}

extern "C" __global__ void who(unsigned* out) {
    unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    if (threadIdx.x < 14) out[block * 15 + threadIdx.x] = of(threadIdx.x);
    if (threadIdx.x == 14) {
        unsigned is;
        asm("{ .reg .pred p; mov.pred p, %%is_explicit_cluster; selp.u32 %0, 1, 0, p; }"
            : "=r"(is));
        out[block * 15 + 14] = is;
    }
}

extern "C" __global__ void pass_on(int* out) {
    __shared__ int box[32];
    cg::cluster_group cluster = cg::this_cluster();
    unsigned rank = cluster.block_rank(), blocks = cluster.num_blocks();
    cluster.sync();
    int* next = cluster.map_shared_rank(box, (rank + 1) % blocks);
    next[threadIdx.x] = 1000 * blockIdx.x + threadIdx.x;
    cluster.sync();
    out[blockIdx.x * 32 + threadIdx.x] = box[threadIdx.x];
}

extern "C" __global__ void __cluster_dims__(2, 1, 1) pairs(int* out) {
    out[blockIdx.x] = cg::this_cluster().block_rank();
}
"""


@pytest.mark.parametrize("seed", [None, 3])
def test_special_registers_say_where_a_block_is_in_its_cluster(
    card: Card, seed: int | None
) -> None:
    grid, cluster = (4, 6, 2), (2, 3, 1)
    out = np.zeros((2, 6, 4, 15), np.uint32)
    card.run(WHO, "who", grid, 32, out, cluster=cluster, seed=seed)
    z, y, x = np.indices((2, 6, 4))
    place = np.stack([x % 2, y % 3, z * 0])
    np.testing.assert_array_equal(out[..., 0:3], np.stack([x // 2, y // 3, z], -1))
    np.testing.assert_array_equal(out[..., 6:9], np.moveaxis(place, 0, -1))
    np.testing.assert_array_equal(out[..., 12], place[0] + 2 * place[1])
    assert (out[..., 3:6] == [2, 2, 2]).all()
    assert (out[..., 9:12] == [2, 3, 1]).all()
    assert (out[..., 13] == 6).all()
    assert (out[..., 14] == 1).all()


def test_a_launch_without_clusters_has_clusters_of_one(card: Card) -> None:
    out = np.zeros((3, 15), np.uint32)
    card.run(WHO, "who", 3, 32, out)
    np.testing.assert_array_equal(
        out, [[b, 0, 0, 3, 1, 1, 0, 0, 0, 1, 1, 1, 0, 1, 0] for b in range(3)]
    )


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("cores", [1, 2])
def test_blocks_write_to_their_neighbours_shared_memory(card: Card, size: int, cores: int) -> None:
    out = np.zeros((32, 32), np.int32)
    card.run(WHO, "pass_on", 32, 32, out, cluster=(size, 1, 1), cores=cores)
    block = np.arange(32)
    writer = block // size * size + (block - 1) % size
    np.testing.assert_array_equal(out, 1000 * writer[:, None] + np.arange(32))


def test_a_kernel_compiled_for_clusters_runs_in_them(card: Card) -> None:
    out = np.full(6, -1, np.int32)
    card.run(WHO, "pairs", 6, 32, out)
    np.testing.assert_array_equal(out, [0, 1] * 3)
    with pytest.raises(LaunchError, match=r"clusters of \(4, 1, 1\).*compiled for .*\(2, 1, 1\)"):
        card.run(WHO, "pairs", 8, 32, out, cluster=(4, 1, 1))


@pytest.mark.parametrize(
    ("grid", "cluster", "what"),
    [
        ((6, 1, 1), (4, 1, 1), r"grid\.x is 6 blocks, no multiple of cluster\.x, 4"),
        ((32, 1, 1), (32, 1, 1), "is 32 blocks; H100 SXM5 allows 8, or 16"),
        ((4, 1, 1), (0, 1, 1), r"cluster\.x is 0"),
    ],
)
def test_clusters_that_no_gpu_starts_are_refused(card, grid, cluster, what) -> None:
    with pytest.raises(LaunchError, match=what):
        card.run(WHO, "pass_on", grid, 32, np.zeros((32, 32), np.int32), cluster=cluster)
