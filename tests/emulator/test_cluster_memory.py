"""Distributed shared memory: what blocks of a cluster do to one another's, and how they wait."""

from __future__ import annotations

import numpy as np
import pytest

from emulator import DeviceFault
from tests.emulator import clusters
from tests.emulator.conftest import Card

SOURCE = (
    "#include <cuda/barrier>"
    + clusters.PREAMBLE
    + r"""
__device__ void sync() { arrive(); wait(); }
__device__ bool done(unsigned bar, unsigned parity) {
    unsigned ok;
    asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p,"
                 " [%1], %2; selp.u32 %0, 1, 0, p; }"
                 : "=r"(ok) : "r"(bar), "r"(parity) : "memory");
    return ok;
}

// every lane counts in the block that its value belongs to
extern "C" __global__ void histogram(const int* x, int n, int* bins) {
    __shared__ int own[32];
    cg::cluster_group cluster = cg::this_cluster();
    unsigned blocks = cluster.num_blocks(), rank = cluster.block_rank();
    own[threadIdx.x] = 0;
    cluster.sync();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        int* there = cluster.map_shared_rank(own, x[i] / 32 % blocks);
        atomicAdd(there + x[i] % 32, 1);
    }
    cluster.sync();
    atomicAdd(bins + rank * 32 + threadIdx.x, own[threadIdx.x]);
}

extern "C" __global__ void addresses(unsigned* out) {
    __shared__ int mine[8];
    unsigned rank = cg::this_cluster().block_rank(), blocks = cg::this_cluster().num_blocks();
    unsigned other = (rank + 1) % blocks;
    unsigned there = mapa(at(mine + 3), other), back = mapa(there, rank), which, which_generic;
    asm("getctarank.shared::cluster.u32 %0, %1;" : "=r"(which) : "r"(there));
    u64 generic, window;
    asm("mapa.u64 %0, %1, %2;" : "=l"(generic) : "l"(mine + 3), "r"(other));
    asm("getctarank.u64 %0, %1;" : "=r"(which_generic) : "l"(generic));
    asm("cvta.shared::cluster.u64 %0, %1;" : "=l"(window) : "l"((u64)there));
    unsigned in_cluster, in_block, in_global;
    asm("{ .reg .pred p; isspacep.shared::cluster p, %1; selp.u32 %0, 1, 0, p; }"
        : "=r"(in_cluster) : "l"(generic));
    asm("{ .reg .pred p; isspacep.shared::cta p, %1; selp.u32 %0, 1, 0, p; }"
        : "=r"(in_block) : "l"(generic));
    asm("{ .reg .pred p; isspacep.global p, %1; selp.u32 %0, 1, 0, p; }"
        : "=r"(in_global) : "l"(generic));
    unsigned* row = out + blockIdx.x * 8;
    row[0] = which == other && which_generic == other;
    row[1] = window == generic;
    row[2] = at((const void*)generic) == there;
    row[3] = back == mapa(at(mine + 3), rank);
    row[4] = in_cluster; row[5] = in_block; row[6] = in_global;
}

extern "C" __global__ void accesses(u64* out) {
    __shared__ u64 box[4];
    unsigned rank = cg::this_cluster().block_rank(), blocks = cg::this_cluster().num_blocks();
    unsigned there = mapa(at(box), (rank + 1) % blocks);
    if (threadIdx.x < 4) box[threadIdx.x] = 100;
    sync();
    asm volatile("st.shared::cluster.u64 [%0], %1;" :: "r"(there), "l"((u64)rank));
    asm volatile("red.shared::cluster.add.u64 [%0], %1;" :: "r"(there + 8), "l"((u64)1));
    u64 old;
    asm volatile("atom.shared::cluster.cas.b64 %0, [%1], 100, 7;" : "=l"(old) : "r"(there + 16));
    asm volatile("atom.relaxed.cluster.shared::cluster.max.u64 %0, [%1], 5;"
                 : "=l"(old) : "r"(there + 24));
    sync();
    u64 seen;
    asm volatile("ld.shared::cluster.u64 %0, [%1];" : "=l"(seen) : "r"(there + 8));
    if (threadIdx.x < 4) out[blockIdx.x * 5 + threadIdx.x] = box[threadIdx.x];
    if (threadIdx.x == 0) out[blockIdx.x * 5 + 4] = seen;
    sync();
}

// each block waits for 32 threads of every block
extern "C" __global__ void remote_arrivals(const int* x, int* out, int rounds) {
    __shared__ u64 full;
    __shared__ int slots[16 * 32];
    unsigned rank = cg::this_cluster().block_rank(), blocks = cg::this_cluster().num_blocks();
    if (threadIdx.x == 0)
        asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(at(&full)), "r"(32 * blocks));
    asm volatile("fence.mbarrier_init.release.cluster;");
    sync();
    int sum = 0;
    for (int round = 0; round < rounds; round++) {
        for (unsigned r = 0; r < blocks; r++) {
            unsigned slot = mapa(at(slots + rank * 32 + threadIdx.x), r);
            int value = x[blockIdx.x * 32 + threadIdx.x] + round;
            asm volatile("st.shared::cluster.u32 [%0], %1;" :: "r"(slot), "r"(value) : "memory");
            asm volatile("mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%0];"
                         :: "r"(mapa(at(&full), r)) : "memory");
        }
        while (!done(at(&full), round & 1)) {}
        for (unsigned r = 0; r < blocks; r++) sum += slots[r * 32 + threadIdx.x];
        sync();
    }
    out[blockIdx.x * 32 + threadIdx.x] = sum;
}

extern "C" __global__ void sent(const int* x, int* out, int waits) {
    __shared__ alignas(16) int box[4 * 32];
    __shared__ int count;
    __shared__ u64 full;
    unsigned rank = cg::this_cluster().block_rank(), blocks = cg::this_cluster().num_blocks();
    if (threadIdx.x == 0) {
        count = 0;
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" :: "r"(at(&full)));
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;"
                     :: "r"(at(&full)), "r"(32 * 16 + 32 * 4));
    }
    box[threadIdx.x] = -1;
    sync();
    unsigned next = (rank + 1) % blocks;
    const int* from = x + (blockIdx.x * 32 + threadIdx.x) * 4;
    asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 "
                 "[%0], {%1, %2, %3, %4}, [%5];"
                 :: "r"(mapa(at(box + 4 * threadIdx.x), next)), "r"(from[0]), "r"(from[1]),
                    "r"(from[2]), "r"(from[3]), "r"(mapa(at(&full), next)) : "memory");
    asm volatile("red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.add.s32 "
                 "[%0], %1, [%2];"
                 :: "r"(mapa(at(&count), next)), "r"(-(int)threadIdx.x),
                    "r"(mapa(at(&full), next)) : "memory");
    if (waits) while (!done(at(&full), 0)) {}
    for (int i = 0; i < 4; i++)
        out[(blockIdx.x * 33 + threadIdx.x) * 4 + i] = box[4 * threadIdx.x + i];
    if (threadIdx.x == 0) out[blockIdx.x * 132 + 128] = count;
    if (waits) sync();
}

extern "C" __global__ void libcudacxx(int* out) {
    __shared__ cuda::barrier<cuda::thread_scope_block> own;
    __shared__ int box;
    cg::cluster_group cluster = cg::this_cluster();
    if (threadIdx.x == 0) init(&own, 1);
    cluster.sync();
    if (threadIdx.x == 0) {
        unsigned next = (cluster.block_rank() + 1) % cluster.num_blocks();
        auto* there = cluster.map_shared_rank(&own, next);
        *cluster.map_shared_rank(&box, next) = 10 * blockIdx.x;
        u64* native = cuda::device::barrier_native_handle(*there);
        asm volatile("mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%0];"
                     :: "r"(at(native)) : "memory");
        while (!done(at(cuda::device::barrier_native_handle(own)), 0)) {}
        out[blockIdx.x] = box;
    }
    cluster.sync();
}

extern "C" __global__ void registers(int* out) {
    unsigned leads;
    asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
    asm volatile("{ .reg .pred p; elect.sync _|p, 0xffffffff; selp.u32 %0, 1, 0, p; }"
                 : "=r"(leads));
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
    asm volatile("griddepcontrol.launch_dependents; griddepcontrol.wait;");
    out[threadIdx.x] = leads;
}

extern "C" __global__ void late_mistake(int bad) {
    __shared__ int box[4];
    cg::cluster_group cluster = cg::this_cluster();
    cluster.sync();
    for (int i = 0; i < 200; i++) cluster.map_shared_rank(box, cluster.block_rank() ^ 1)[i % 4] = i;
    if (blockIdx.x / 2 == bad) cluster.map_shared_rank(box, cluster.block_rank() ^ 1)[1000] = 1;
    cluster.sync();
}

// --- mistakes -----------------------------------------------------------------------------------

extern "C" __global__ void mistakes(int which, int* out) {
    __shared__ int box[32];
    __shared__ u64 bar;
    cg::cluster_group cluster = cg::this_cluster();
    unsigned rank = cluster.block_rank();
    box[threadIdx.x] = rank;
    if (threadIdx.x == 0) asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" :: "r"(at(&bar)));
    if (which != 6) cluster.sync();
    int seen = 0;
    unsigned there = mapa(at(box), 1);
    switch (which) {
    case 0: asm volatile("ld.shared::cluster.s32 %0, [%1];" : "=r"(seen) : "r"(mapa(at(box), 5)));
        break;
    case 1: { u64 p; asm volatile("mapa.u64 %0, %1, 9;" : "=l"(p) : "l"(box));
        seen = *(volatile int*)p; } break;
    case 2: asm volatile("st.shared::cluster.s32 [%0+4096], 1;" :: "r"(there)); break;
    case 3: if (rank == 0) { arrive(); arrive(); } break;
    case 4: if (rank == 0) wait(); break;
    case 5: if (rank == 1) { *(volatile int*)cluster.map_shared_rank(box, 0) = 55; return; }
        while (((volatile int*)box)[0] != 55) {}
        asm volatile("ld.shared::cluster.s32 %0, [%1];" : "=r"(seen) : "r"(there));
        break;
    case 6: if (rank == 0) sync(); else if (threadIdx.x < 16) sync(); else __syncwarp(~0xffffu);
        if (rank == 1 && threadIdx.x >= 16) while (((volatile int*)box)[0] != 77) {}
        break;
    case 7: if (rank == 0 && threadIdx.x == 0)
        asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.b32 [%0], 1, [%1];"
                     :: "r"(there), "r"(mapa(at(&bar), 1)) : "memory");
        break;
    case 8: if (rank == 0 && threadIdx.x == 0)
        asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.b32 [%0], 1, [%1];"
                     :: "r"(there), "r"(at(&bar)) : "memory");
        break;
    case 9: asm volatile("{ .reg .pred p; mbarrier.test_wait.parity.b64 p, [%0], 0; }"
                         :: "l"(cluster.map_shared_rank(&bar, 1)) : "memory"); break;
    case 10: asm volatile("mbarrier.arrive.shared::cluster.b64 _, [%0];"
                          :: "r"(mapa(at(box + 2), 1)) : "memory"); break;
    case 11: if (rank == 1) return; cluster.sync(); if (threadIdx.x < 8) __syncthreads();
        if (threadIdx.x >= 8) sync(); break;
    }
    out[threadIdx.x] = seen;
}
"""
)


@pytest.mark.parametrize("size", [1, 2, 8])
def test_a_histogram_spread_over_a_cluster_counts_everything(card: Card, size: int) -> None:
    x = np.random.default_rng(1).integers(0, 32 * size, 3000).astype(np.int32)
    bins = np.zeros(32 * size, np.int32)
    card.run(SOURCE, "histogram", 2 * size, 32, x, np.int32(x.size), bins, cluster=(size, 1, 1))
    np.testing.assert_array_equal(bins, np.bincount(x, minlength=32 * size))


def test_clusters_on_several_cores_give_what_one_gives(card: Card) -> None:
    x = np.random.default_rng(2).integers(0, 128, 2_000_000).astype(np.int32)
    bins = np.zeros(128, np.int32)
    card.run(SOURCE, "histogram", 4096, 32, x, np.int32(x.size), bins, cluster=(4, 1, 1), cores=3)
    np.testing.assert_array_equal(bins, np.bincount(x, minlength=128))


def test_addresses_of_peers_map_convert_and_are_told_apart(card: Card) -> None:
    out = np.zeros((4, 8), np.uint32)
    card.run(SOURCE, "addresses", 4, 1, out, cluster=(4, 1, 1))
    np.testing.assert_array_equal(out[:, :7], [[1, 1, 1, 1, 1, 0, 0]] * 4)
    alone = np.zeros((1, 8), np.uint32)
    card.run(SOURCE, "addresses", 1, 1, alone)
    np.testing.assert_array_equal(alone[:, [0, 1, 3, 4, 5, 6]], [[1, 1, 1, 1, 1, 0]])


def test_every_kind_of_access_reaches_a_peer(card: Card) -> None:
    out = np.zeros((4, 5), np.uint64)
    card.run(SOURCE, "accesses", 4, 32, out, cluster=(2, 1, 1))
    np.testing.assert_array_equal(out[:, 0], [1, 0, 1, 0])
    np.testing.assert_array_equal(out[:, 1:], [[132, 7, 100, 132]] * 4)


@pytest.mark.parametrize(("size", "seed"), [(1, None), (2, None), (4, 5), (16, None)])
def test_blocks_arrive_at_one_anothers_mbarriers(card: Card, size: int, seed: int | None) -> None:
    x = np.arange(16 * 32, dtype=np.int32).reshape(16, 32) ** 2
    out = np.zeros_like(x)
    card.run(
        SOURCE, "remote_arrivals", 16, 32, x, out, np.int32(3), cluster=(size, 1, 1), seed=seed
    )
    sums = x.reshape(16 // size, size, 32).sum(1)
    np.testing.assert_array_equal(out, np.repeat(3 * sums + 3 * size, size, axis=0))


@pytest.mark.parametrize("copies", ["late", "eager", "shuffled"])
def test_bytes_sent_to_a_peer_are_there_when_its_mbarrier_says_so(card: Card, copies: str) -> None:
    x = np.arange(4 * 128, dtype=np.int32).reshape(4, 128) + 7
    out = np.zeros((4, 132), np.int32)
    card.run(
        SOURCE, "sent", 4, 32, x, out, np.int32(1), cluster=(4, 1, 1), async_copies=copies, seed=2
    )
    np.testing.assert_array_equal(out[:, :128], np.roll(x, 1, axis=0))
    assert (out[:, 128] == -496).all()


def test_bytes_that_nobody_waits_for_are_not_there(card: Card) -> None:
    x = np.arange(4 * 128, dtype=np.int32).reshape(4, 128)
    out = np.zeros((4, 132), np.int32)
    with pytest.raises(DeviceFault, match="block exited with bytes under way to it"):
        card.run(SOURCE, "sent", 4, 32, x, out, np.int32(0), cluster=(4, 1, 1))
    assert (out[0, :32] == -1).all()


def test_a_barrier_of_libcudacxx_is_arrived_at_by_a_peer(card: Card) -> None:
    out = np.zeros(4, np.int32)
    card.run(SOURCE, "libcudacxx", 4, 32, out, cluster=(4, 1, 1))
    np.testing.assert_array_equal(out, [30, 0, 10, 20])


def test_registers_change_hands_and_one_lane_is_elected(card: Card) -> None:
    out = np.zeros(32, np.int32)
    card.run(SOURCE, "registers", 1, 32, out)
    np.testing.assert_array_equal(out, np.arange(32) == 0)


MISTAKES = [
    (0, r"block of rank 5, but the cluster has ranks 0 to 1"),
    (1, r"block of rank 9, but the cluster has ranks 0 to 1"),
    (2, r"at shared offset 4\d\d\d of block \(1, 0, 0\), of rank 1, but a block has 1\d\d bytes"),
    (3, r"cluster barrier arrived at twice"),
    (4, r"wait at a cluster barrier without arriving"),
    (5, r"exited block's shared memory.*block \(1, 0, 0\), of rank 1, which has exited"),
    (6, r"deadlock.*wait at the cluster's barrier"),
    (7, r"block exited with bytes under way.*4 bytes .* of block \(1, 0, 0\)"),
    (8, r"mbarrier of another block.*bytes are sent to block \(1, 0, 0\)"),
    (9, r"wait for the mbarrier of another block.*of block \(1, 0, 0\)"),
    (10, r"mbarrier at shared offset \d+ of block \(1, 0, 0\) was not initialised"),
    (11, r"deadlock.*wait at the cluster's barrier"),
]


@pytest.mark.parametrize(("which", "what"), MISTAKES)
def test_mistakes_between_blocks_are_named(card: Card, which: int, what: str) -> None:
    out = np.zeros(32, np.int32)
    with pytest.raises(DeviceFault, match=what):
        card.run(SOURCE, "mistakes", 2, 32, np.int32(which), out, cluster=(2, 1, 1))


def test_what_goes_to_other_blocks_is_counted(card: Card) -> None:
    x = np.arange(64, dtype=np.int32)  # values 0 to 63: half of each warp's are the other block's
    bins = np.zeros(64, np.int32)
    report = card.run(
        SOURCE, "histogram", 2, 32, x, np.int32(64), bins, cluster=(2, 1, 1), counters=True
    )
    assert report.counters["memory_remote_shared_requests"] == 0
    x = x ^ 32
    report = card.run(
        SOURCE, "histogram", 2, 32, x, np.int32(64), bins, cluster=(2, 1, 1), counters=True
    )
    assert report.counters["memory_remote_shared_requests"] == 2
    assert report.counters["memory_remote_shared_bytes"] == 2 * 32 * 4
    mixed = np.tile(np.array([0, 33], np.int32), 32)
    report = card.run(
        SOURCE, "histogram", 2, 32, mixed, np.int32(64), bins, cluster=(2, 1, 1), counters=True
    )
    assert report.counters["memory_remote_shared_requests"] == 2
    assert report.counters["memory_remote_shared_bytes"] == 2 * 16 * 4


CHANGING_HANDS = r"""
extern "C" __global__ void __launch_bounds__(384, 1) change(int* out, int wanted) {
    if (threadIdx.x >= 256) {
        for (int i = 0; i < 50; i++) __nanosleep(20);
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
    } else if (wanted) {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
    }
    out[threadIdx.x] = 1;
}
"""


def test_registers_are_there_once_other_warps_have_given_theirs(card: Card) -> None:
    out = np.zeros(384, np.int32)
    card.run(CHANGING_HANDS, "change", 1, 384, out, np.int32(1), registers=168)
    assert out.all()


def test_more_registers_than_a_block_has_are_waited_for_in_vain(card: Card) -> None:
    out = np.zeros(384, np.int32)
    what = r"deadlock.*threads wait for registers \(.*what the launch gave, 168 a thread"
    with pytest.raises(DeviceFault, match=what):
        card.run(CHANGING_HANDS, "change", 1, 384, out, np.int32(0), registers=168)
    card.run(CHANGING_HANDS, "change", 1, 384, out, np.int32(0))  # nothing is known of registers
    assert out.all()


def test_a_mistake_on_several_cores_is_that_of_one(card: Card) -> None:
    said = set()
    for cores in (1, 3):
        with pytest.raises(
            DeviceFault, match=r"block \(1000, 0, 0\).*offset 4000 of block"
        ) as error:
            card.run(SOURCE, "late_mistake", 4000, 1, np.int32(500), cluster=(2, 1, 1), cores=cores)
        said.add(str(error.value))
    assert len(said) == 1
