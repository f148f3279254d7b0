"""Thread block clusters: launches, distributed shared memory, the cluster's barrier."""

from __future__ import annotations

import numpy as np
import pytest

from emulator import A100, LaunchError
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


FORMS = """
.version 8.6
.target sm_90a
.address_size 64
.visible .entry k(.param .u64 out){limits}
{{
  .reg .pred %p<4>; .reg .b32 %r<8>; .reg .b64 %rd<8>;
  .shared .align 8 .b64 bars[4];
  ld.param.u64 %rd1, [out];
  mov.u32 %r1, bars; mov.u32 %r2, %tid.x; setp.ne.u32 %p1, %r2, 0;
  @%p1 bra DONE;
  mbarrier.init.shared::cta.b64 [%r1], 3;
  fence.mbarrier_init.release.cluster;
  fence.acq_rel.cluster; fence.sc.cluster; fence.proxy.async.shared::cta;
  mapa.shared::cluster.u32 %r3, %r1, 0;
  mbarrier.arrive.expect_tx.release.cluster.shared::cluster.b64 _, [%r3], 16;
  mbarrier.arrive.expect_tx.relaxed.cluster.shared::cluster.b64 _, [%r3], 8;
  mbarrier.expect_tx.relaxed.cluster.shared::cluster.b64 [%r3], 4;
  mbarrier.complete_tx.relaxed.cluster.shared::cluster.b64 [%r3], 20;
  mbarrier.complete_tx.shared::cluster.b64 [%r3], 8;
  mbarrier.arrive_drop.release.cluster.shared::cluster.b64 _, [%r3];
WAIT:
  mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p2, [%r1], 0, 1000;
  @!%p2 bra WAIT;
  mbarrier.test_wait.parity.acquire.cta.shared.b64 %p2, [%r1], 0;
  mbarrier.try_wait.parity.relaxed.cluster.shared.b64 %p3, [bars], 1;
  selp.u32 %r4, 10, 0, %p2; @%p3 add.u32 %r4, %r4, 1;
  st.global.u32 [%rd1], %r4;
DONE:
  barrier.cluster.arrive.release; barrier.cluster.wait.acquire;
  barrier.cluster.arrive.relaxed.aligned; barrier.cluster.wait.aligned;
  ret;
}}
"""


def test_the_forms_that_kernels_use(card: Card) -> None:
    out = np.zeros(1, np.uint32)
    card.run(FORMS.format(limits=""), "k", 1, 32, out)
    assert out[0] == 10


@pytest.mark.parametrize(
    ("limits", "cluster", "what"),
    [
        (".explicitcluster", None, r"\.explicitcluster.*the launch names none"),
        (".maxclusterrank 2", (4, 1, 1), r"\.maxclusterrank allows 2"),
        (".reqnctapercluster 2", (1, 2, 1), r"compiled for clusters of \(2, 1, 1\)"),
    ],
)
def test_what_ptx_says_of_clusters_is_held_to(card: Card, limits, cluster, what) -> None:
    text = FORMS.format(limits=f"\n{limits}")
    with pytest.raises(LaunchError, match=what):
        card.run(text, "k", (4, 4), 32, np.zeros(1, np.uint32), cluster=cluster)


def test_a_chip_without_clusters_starts_none(card: Card) -> None:
    with pytest.raises(LaunchError, match="A100 SXM4 80GB has no clusters"):
        card.run(WHO, "pass_on", 4, 32, np.zeros((4, 32), np.int32), cluster=(2, 1, 1), arch=A100)


def test_clusters_of_a_cooperative_launch_wait_for_the_whole_grid(card: Card) -> None:
    source = """
#include <cooperative_groups.h>
namespace cg = cooperative_groups;
extern "C" __global__ void both(int* x, int* out) {
    __shared__ int box;
    cg::cluster_group cluster = cg::this_cluster();
    if (threadIdx.x == 0) x[blockIdx.x] = blockIdx.x + 1;
    cg::this_grid().sync();
    if (threadIdx.x == 0) box = x[gridDim.x - 1 - blockIdx.x];
    cluster.sync();
    if (threadIdx.x == 0)
        out[blockIdx.x] = *cluster.map_shared_rank(&box, cluster.block_rank() ^ 1);
    cluster.sync();
}
"""
    x, out = np.zeros(8, np.int32), np.zeros(8, np.int32)
    card.run(source, "both", 8, 32, x, out, cluster=(2, 1, 1), cooperative=True)
    np.testing.assert_array_equal(out, [7, 8, 5, 6, 3, 4, 1, 2])


def test_a_kernel_launched_by_clusters_has_a_grid_of_them(card: Card) -> None:
    source = """
extern "C" __global__ void __block_size__((32, 1, 1), (2, 1, 1)) by_clusters(int* out) {
    int rank;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    if (threadIdx.x == 0) out[blockIdx.x] = 10 * gridDim.x + rank;
}
"""
    out = np.zeros(6, np.int32)
    report = card.run(source, "by_clusters", 3, 32, out)
    np.testing.assert_array_equal(out, [60, 61] * 3)
    assert (report.grid, report.cluster) == ((6, 1, 1), (2, 1, 1))


def test_sums_in_a_peers_memory_keep_small_numbers(card: Card) -> None:
    source = """
#include <cooperative_groups.h>
namespace cg = cooperative_groups;
extern "C" __global__ void tiny(float* out) {
    __shared__ float sum;
    cg::cluster_group cluster = cg::this_cluster();
    sum = 0.0f;
    cluster.sync();
    atomicAdd(cluster.map_shared_rank(&sum, cluster.block_rank() ^ 1), 1e-40f);
    cluster.sync();
    out[blockIdx.x] = sum;
}
"""
    out = np.zeros(2, np.float32)
    card.run(source, "tiny", 2, 1, out, cluster=(2, 1, 1))
    np.testing.assert_array_equal(out, np.full(2, 1e-40, np.float32))


def test_shared_memory_begins_where_swizzles_want_it(card: Card) -> None:
    source = """
extern "C" __global__ void aligned(unsigned* out) {
    __shared__ int some;
    extern __shared__ __align__(1024) char tiles[];
    some = 1;
    out[2 * blockIdx.x] = (unsigned)((size_t)tiles % 1024);
    out[2 * blockIdx.x + 1] = (unsigned)__cvta_generic_to_shared(tiles) % 1024 + some - 1;
}
"""
    out = np.ones(8, np.uint32)
    card.run(source, "aligned", 4, 1, out, shared_bytes=3000, cluster=(2, 1, 1))
    assert not out.any()


def test_a_seed_shuffles_which_block_of_a_cluster_goes_first(card: Card) -> None:
    source = """
#include <cooperative_groups.h>
namespace cg = cooperative_groups;
extern "C" __global__ void order(int* out) {
    __shared__ int turn;
    cg::cluster_group cluster = cg::this_cluster();
    turn = 0;
    cluster.sync();
    out[blockIdx.x] = atomicAdd(cluster.map_shared_rank(&turn, 0), 1);
    cluster.sync();
}
"""
    orders = set()
    for seed in range(6):
        out = np.zeros(4, np.int32)
        card.run(source, "order", 4, 1, out, cluster=(4, 1, 1), seed=seed)
        assert sorted(out) == [0, 1, 2, 3]
        orders.add(tuple(out))
    assert len(orders) > 2
