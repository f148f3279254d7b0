"""racecheck and initcheck over distributed shared memory: planted bugs, and none without them."""

from __future__ import annotations

import numpy as np
import pytest

from emulator import DeviceFault
from tests.emulator import clusters
from tests.emulator.conftest import Card

SOURCE = (
    clusters.PREAMBLE
    + r"""
__device__ void arrive_relaxed() {
    asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
}
__device__ bool done(unsigned bar, unsigned parity) {
    unsigned ok;
    asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;"
                 " selp.u32 %0, 1, 0, p; }" : "=r"(ok) : "r"(bar), "r"(parity) : "memory");
    return ok;
}
template <bool Starts, bool Stays> __device__ void push(int* out) {
    __shared__ int box[32];
    cg::cluster_group cluster = cg::this_cluster();
    if (Starts) cluster.sync();
    cluster.map_shared_rank(box, cluster.block_rank() ^ 1)[threadIdx.x] = threadIdx.x;
    if (Stays) cluster.sync();
    if (Stays) out[blockIdx.x * 32 + threadIdx.x] = box[threadIdx.x];
}
extern "C" __global__ void fine(int* out) { push<true, true>(out); }
extern "C" __global__ void no_start(int* out) { push<false, true>(out); }
extern "C" __global__ void no_stay(int* out) { push<true, false>(out); }

// both blocks write rank 0's memory
extern "C" __global__ void both_write(int* out) {
    __shared__ int box[32];
    cg::cluster_group cluster = cg::this_cluster();
    cluster.sync();
    int* zero = cluster.map_shared_rank(box, 0);
    zero[threadIdx.x] = cluster.block_rank();
    cluster.sync();
    out[blockIdx.x * 32 + threadIdx.x] = zero[threadIdx.x];
    cluster.sync();
}
// reads what the other block writes, with a block's barrier only
extern "C" __global__ void wrong_barrier(int* out) {
    __shared__ int box[32];
    cg::cluster_group cluster = cg::this_cluster();
    cluster.sync();
    box[threadIdx.x] = blockIdx.x;
    __syncthreads();
    out[blockIdx.x * 32 + threadIdx.x] =
        cluster.map_shared_rank(box, cluster.block_rank() ^ 1)[threadIdx.x];
    cluster.sync();
}
// what is written between arrive and wait is not what the barrier orders
extern "C" __global__ void late_write(int* out, int relaxed, int late) {
    __shared__ int box[32];
    cg::cluster_group cluster = cg::this_cluster();
    cluster.sync();
    if (!late) box[threadIdx.x] = blockIdx.x;
    if (relaxed == 2) asm volatile("fence.acq_rel.cluster;" ::: "memory");
    if (relaxed) arrive_relaxed(); else arrive();
    if (late) box[threadIdx.x] = blockIdx.x;
    wait();
    out[blockIdx.x * 32 + threadIdx.x] =
        cluster.map_shared_rank(box, cluster.block_rank() ^ 1)[threadIdx.x];
    cluster.sync();
}
// rank 1 is told by an mbarrier, or by nothing
extern "C" __global__ void told(int* out, int tells) {
    __shared__ int box[32];
    __shared__ u64 full;
    cg::cluster_group cluster = cg::this_cluster();
    if (threadIdx.x == 0)
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 32;" :: "r"(at(&full)));
    cluster.sync();
    if (cluster.block_rank() == 0) {
        unsigned there = mapa(at(box + threadIdx.x), 1), bar = mapa(at(&full), 1);
        if (!tells)
            asm volatile("mbarrier.arrive.shared::cluster.b64 _, [%0];" :: "r"(bar) : "memory");
        asm volatile("st.shared::cluster.u32 [%0], 7;" :: "r"(there) : "memory");
        if (tells)
            asm volatile("mbarrier.arrive.shared::cluster.b64 _, [%0];" :: "r"(bar) : "memory");
    } else {
        while (!done(at(&full), 0)) {}
        out[threadIdx.x] = box[31 - threadIdx.x];
    }
    cluster.sync();
}
extern "C" __global__ void unwritten(int* out, int writes) {
    __shared__ int box[32];
    cg::cluster_group cluster = cg::this_cluster();
    cluster.sync();
    if (writes) cluster.map_shared_rank(box, cluster.block_rank() ^ 1)[threadIdx.x] = 1;
    cluster.sync();
    out[blockIdx.x * 32 + threadIdx.x] = box[threadIdx.x];
}
// waits for the peer's word before it exits, by an mbarrier instead of the cluster's barrier
extern "C" __global__ void stays_for_word(int* out, int waits) {
    __shared__ int box[32];
    __shared__ u64 read;
    cg::cluster_group cluster = cg::this_cluster();
    if (threadIdx.x == 0)
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 32;" :: "r"(at(&read)));
    box[threadIdx.x] = 3 * threadIdx.x;
    cluster.sync();
    if (cluster.block_rank() == 0) {
        out[threadIdx.x] = cluster.map_shared_rank(box, 1)[threadIdx.x];
        asm volatile("mbarrier.arrive.shared::cluster.b64 _, [%0];"
                     :: "r"(mapa(at(&read), 1)) : "memory");
    } else if (waits) {
        while (!done(at(&read), 0)) {}
    }
}
// the prologue and the end of a GEMM: barriers of which all blocks know, blocks that stay
extern "C" __global__ void prologue(int* out) {
    __shared__ u64 full;
    cg::cluster_group cluster = cg::this_cluster();
    if (threadIdx.x == 0) {
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 64;" :: "r"(at(&full)));
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncwarp();
    arrive_relaxed();
    wait();
    for (int r = 0; r < 2; r++)
        asm volatile("mbarrier.arrive.shared::cluster.b64 _, [%0];"
                     :: "r"(mapa(at(&full), r)) : "memory");
    while (!done(at(&full), 0)) {}
    out[blockIdx.x * 32 + threadIdx.x] = 1;
    arrive_relaxed();
    wait();
}
extern "C" __global__ void in_parts(int* out, int aligned) {
    bool upper = threadIdx.x >= 16;
    if (aligned) {
        if (upper) arrive(); else { out[0] = 1; arrive(); }
        wait();
    } else if (upper) {
        asm volatile("barrier.cluster.arrive;" ::: "memory");
        asm volatile("barrier.cluster.wait;" ::: "memory");
    } else {
        asm volatile("barrier.cluster.arrive; barrier.cluster.wait;" ::: "memory");
    }
}
"""
)
RACE = "racecheck"


def kinds(card: Card, kernel: str, *numbers: int, seed: int | None = None, checks: str = RACE):
    out = np.zeros(64, np.int32)
    report = card.run(
        SOURCE, kernel, 2, 32, out, *map(np.int32, numbers), cluster=(2, 1, 1), checks=checks,
        seed=seed,
    )  # fmt: skip
    return report.findings


@pytest.mark.parametrize(
    ("kernel", "numbers"),
    [("fine", ()), ("late_write", (0, 0)), ("late_write", (2, 0)), ("told", (1,)),
     ("unwritten", (1,)), ("prologue", ()), ("stays_for_word", (1,))],
)  # fmt: skip
@pytest.mark.parametrize("seed", [None, 1])
def test_ordered_visits_are_fine(card: Card, kernel: str, numbers, seed: int | None) -> None:
    assert kinds(card, kernel, *numbers, seed=seed, checks="all") == ()


@pytest.mark.parametrize(
    ("kernel", "numbers", "kind"),
    [
        ("no_start", (), "access to the shared memory of a block that may not have started"),
        ("no_stay", (), "block may exit while its shared memory is in use"),
        ("both_write", (), "write-after-write hazard"),
        ("wrong_barrier", (), "read-after-write hazard|write-after-read hazard"),
        ("late_write", (0, 1), "read-after-write hazard|write-after-read hazard"),
        ("late_write", (2, 1), "read-after-write hazard|write-after-read hazard"),
        ("late_write", (1, 0), "read-after-write hazard|write-after-read hazard"),
        ("told", (0,), "read-after-write hazard|write-after-read hazard"),
        ("stays_for_word", (0,), "block may exit while its shared memory is in use"),
    ],
)
@pytest.mark.parametrize("seed", [None, 2])
def test_what_nothing_orders_is_found(
    card: Card, kernel: str, numbers, kind: str, seed: int | None
) -> None:
    try:
        found = kinds(card, kernel, *numbers, seed=seed)
    except DeviceFault as fault:  # it may come to the worst in this very run
        assert seed is not None or kernel.startswith("no_stay") or kernel == "stays_for_word"
        assert "exited block" in str(fault)
        return
    assert {finding.kind for finding in found} & {*kind.split("|")}, found
    assert all(finding.line > 0 and finding.source_text for finding in found)


def test_a_race_of_two_blocks_names_both_and_the_variable(card: Card) -> None:
    (finding,) = kinds(card, "both_write")
    assert "box[" in finding.message
    assert "block (0, 0, 0)" in finding.message
    assert "block (1, 0, 0)" in finding.message
    assert "no barrier of the cluster and no mbarrier orders the two" in finding.message


def test_shared_memory_that_no_block_has_written_is_found(card: Card) -> None:
    (finding,) = kinds(card, "unwritten", 0, checks="initcheck")
    assert finding.kind == "uninitialised read of shared memory"


def test_an_aligned_barrier_that_a_warp_reaches_in_parts_is_found(card: Card) -> None:
    assert kinds(card, "in_parts", 0, checks="synccheck") == ()
    found = kinds(card, "in_parts", 1, checks="synccheck")
    assert {finding.kind for finding in found} == {"divergent threads in warp"}
    assert "comes to the cluster's barrier in parts" in found[0].message
