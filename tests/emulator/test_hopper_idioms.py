"""What public Hopper kernels (CUTLASS, ThunderKittens) write as inline PTX: all of it runs.

Products and copies of whole tiles have tests of their own; these are the instructions around them.
"""

from __future__ import annotations

import pytest

from emulator import isa

# %p3 is true in the first lane; %s is shared memory, %g global
IDIOMS = (
    "mbarrier.init.shared::cta.b64 [%s], 1",
    (
        "@%p3 mbarrier.init.shared::cta.b64 [%s], 1; bar.warp.sync -1; "
        "mbarrier.try_wait.parity.shared::cta.b64 %p0, [%s], 1, 0x989680"
    ),
    (
        "@%p3 mbarrier.init.shared::cta.b64 [%s], 1; bar.warp.sync -1; "
        "mbarrier.test_wait.parity.shared::cta.b64 %p0, [%s], 1"
    ),
    (
        "@%p3 mbarrier.init.shared::cta.b64 [%s], 1; @%p3 "
        "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%s], 0"
    ),
    "@%p3 mbarrier.init.shared::cta.b64 [%s], 1; @%p3 mbarrier.arrive.shared::cta.b64 _, [%s]",
    (
        "@%p3 mbarrier.init.shared::cta.b64 [%s], 2; @%p3 mapa.shared::cluster.u32 %r5, %s, "
        "0; @%p3 mbarrier.arrive.shared::cluster.b64 _, [%r5]"
    ),
    (
        "@%p3 mbarrier.init.shared::cta.b64 [%s], 2; @%p3 mapa.shared::cluster.u32 %r5, %s, "
        "0; @%p3 mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r5]"
    ),
    (
        "@%p3 mbarrier.init.shared::cta.b64 [%s], 2; @%p3 mapa.shared::cluster.u32 %r5, %s, "
        "0; @%p3 mbarrier.arrive.expect_tx.shared::cluster.b64 _, [%r5], 16"
    ),
    (
        "@%p3 mbarrier.init.shared::cta.b64 [%s], 2; @%p3 "
        "mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%s], 16"
    ),
    (
        "@%p3 mbarrier.init.shared::cta.b64 [%s], 2; @%p3 "
        "mbarrier.expect_tx.relaxed.cluster.shared::cluster.b64 [%s], 16; @%p3 "
        "mbarrier.complete_tx.shared::cluster.relaxed.cluster.b64 [%s], 16"
    ),
    "@%p3 mbarrier.init.shared::cta.b64 [%s], 2; @%p3 mbarrier.inval.shared::cta.b64 [%s]",
    (
        "@%p3 mbarrier.init.shared::cta.b64 [%s], 2; bar.warp.sync -1; @%p3 "
        "cp.async.mbarrier.arrive.shared::cta.b64 [%s]"
    ),
    (
        "@%p3 mbarrier.init.shared::cta.b64 [%s], 2; bar.warp.sync -1; @%p3 "
        "cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%s]"
    ),
    (
        "@%p3 mbarrier.init.shared::cta.b64 [%s], 2; bar.warp.sync -1; "
        "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p0, [%s], 1"
    ),
    "fence.mbarrier_init.release.cluster",
    "fence.proxy.async",
    "fence.proxy.async.global",
    "fence.proxy.async.shared::cta",
    "fence.proxy.alias",
    "fence.acq_rel.cluster",
    "fence.acq_rel.sys",
    "fence.sc.gpu",
    "fence.proxy.tensormap::generic.release.gpu",
    "fence.proxy.tensormap::generic.acquire.gpu [%g], 128",
    "fence.proxy.async::generic.release.sync_restrict::shared::cta.cluster",
    "barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned",
    "barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned",
    "barrier.cluster.arrive.relaxed.aligned; barrier.cluster.wait.aligned",
    "barrier.cluster.arrive; barrier.cluster.wait",
    "elect.sync %r0|%p0, 0xffffffff",
    "elect.sync _|%p0, 0xffffffff",
    "bar.sync 1, 32",
    "barrier.sync 1, 32",
    "bar.arrive 1, 64",
    "barrier.sync.aligned 3, 32",
    "setmaxnreg.dec.sync.aligned.u32 40",
    "prefetch.tensormap [%g]",
    "prefetch.param.tensormap [%d5]",
    "griddepcontrol.launch_dependents",
    "griddepcontrol.wait",
    (
        "mov.u32 %r0, %cluster_ctarank; mov.u32 %r1, %cluster_nctarank; mov.u32 %r2, "
        "%cluster_ctaid.x; mov.u32 %r3, %cluster_nctaid.y; mov.u32 %r4, %clusterid.x; mov.u32"
        " %r5, %nclusterid.z"
    ),
    "mov.pred %p0, %is_explicit_cluster",
    "mov.u32 %r0, %smid; mov.u64 %d0, %globaltimer; mov.u32 %r1, %warpid; mov.u32 %r2, %nsmid",
    "createpolicy.fractional.L2::evict_last.b64 %d0, 1.0",
    "createpolicy.fractional.L2::evict_first.L2::evict_unchanged.b64 %d0, 0.5",
    "ld.global.L1::no_allocate.L2::cache_hint.v4.b32 {%r0, %r1, %r2, %r3}, [%g], %d1",
    "ld.global.nc.L1::no_allocate.L2::256B.v4.b32 {%r0, %r1, %r2, %r3}, [%g]",
    "st.global.L1::no_allocate.v4.b32 [%g], {%r0, %r1, %r2, %r3}",
    "ld.shared::cluster.u32 %r0, [%s]",
    "st.shared::cluster.u32 [%s], %r1",
    "atom.shared::cluster.add.u32 %r0, [%s], %r1",
    "red.release.gpu.global.add.s32 [%g], %r1",
    "ld.acquire.gpu.global.b32 %r0, [%g]",
    "st.release.gpu.global.b32 [%g], %r1",
    "cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes [%s+16], [%g], 0, [%s]",
    (
        "@%p3 mbarrier.init.shared.b64 [%s], 1; @%p3 "
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
        "[%s+16], [%g], 16, [%s], %d1"
    ),
    (
        "@%p3 mbarrier.init.shared.b64 [%s], 1; @%p3 "
        "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%s+16], "
        "[%s+32], 16, [%s]"
    ),
    "cp.async.bulk.global.shared::cta.bulk_group.L2::cache_hint [%g], [%s], 16, %d1",
    "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%g], [%s], 16",
    "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.noftz.f16 [%g], [%s], 16",
    "cp.async.bulk.commit_group",
    "cp.async.bulk.wait_group 0",
    "cp.async.bulk.wait_group.read 1",
    "cp.async.bulk.prefetch.L2.global [%g], 32",
    "cp.async.bulk.prefetch.tensor.3d.L2.global.tile [%g, {%r1, %r2, %r3}]",
    "cp.async.bulk.prefetch.tensor.4d.L2.global.im2col [%g, {%r1, %r2, %r3, %r4}], {%h1, %h2}",
    "stmatrix.sync.aligned.m8n8.x4.trans.shared::cta.b16 [%s], {%r1, %r2, %r3, %r4}",
    "stmatrix.sync.aligned.x1.m8n8.shared.b16 [%s], {%r1}",
    "discard.global.L2 [%g], 128",
    "applypriority.global.L2::evict_normal [%g], 128",
    "nanosleep.u32 20",
    "mapa.u64 %d0, %d1, 0",
    "getctarank.shared::cluster.u32 %r0, %s",
    "mbarrier.pending_count.b64 %r0, %d1",
    (
        "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%s], "
        "{%r1,%r2,%r3,%r4}, [%s]"
    ),
)


BARRIERS = [one for one in IDIOMS if "mbarrier.init" in one or "st.async" in one]


@pytest.mark.parametrize("statements", BARRIERS)
def test_what_needs_an_mbarrier_of_its_own_runs(statements):
    assert isa.runs([statements])


def test_all_others_run():
    others = [statements for statements in IDIOMS if statements not in BARRIERS]
    if not isa.runs(others):  # which it is
        assert [one for one in others if not isa.runs([one])] == []
