"""The barrier of a cluster: ``barrier.cluster.arrive`` and ``wait``.

A phase is complete when every thread of the cluster that has not exited has arrived in it. A lane
that waits has :data:`BARRIER_BIT` in its program counter, and :data:`CLUSTER_BARRIER` as the number
of its barrier. (PTX ISA, "barrier.cluster")
"""

from __future__ import annotations

from emulator.native.compiled import accessors, inner, routine
from emulator.native.layout import (
    ARRIVED_TWICE,
    BARRIER_BIT,
    CLUSTER_BARRIER,
    CLUSTER_MISUSE,
    EXITED,
    LANES,
    NOT_ARRIVED,
    SITE_BYTES,
    YIELD,
    BlockState,
    Cluster,
    Context,
    Warp,
    offset,
)
from emulator.units.fault import report
from emulator.watch.clusters import observe_cluster_complete, observe_cluster_wait
from emulator.watch.events import CLUSTER_ARRIVE, CLUSTER_WAIT, note
from emulator.watch.sync import check_cluster_barrier

read_u32, write_u32 = accessors("uint32")
read_i64, _ = accessors("int64")

PCS_AT, BARRIER_AT = offset(Warp, "pcs"), offset(Warp, "barrier")
STATUS_AT, BLOCK_AT = offset(Warp, "status"), offset(Warp, "block")
ARRIVED_AT, OWING_AT = offset(Warp, "cluster_arrived"), offset(Warp, "cluster_owing")
CLUSTER_AT, WARPS_AT = offset(BlockState, "cluster"), offset(BlockState, "warps")
SITES_AT = offset(Context, "sites")
WARP_COUNT_AT, WARP_BYTES_AT = offset(Context, "warps"), offset(Context, "warp_bytes")
SIZE_AT, ARRIVALS_AT = offset(Cluster, "size"), offset(Cluster, "arrivals")
BLOCKS_AT = offset(Cluster, "blocks")


@inner
def warp_at(context: int, cluster: int, rank: int, index: int) -> int:
    """A warp of a cluster."""
    block = read_i64(cluster + BLOCKS_AT + 8 * rank)
    return int(read_i64(block + WARPS_AT) + index * read_i64(context + WARP_BYTES_AT))


@inner
def first_of(mask: int) -> int:
    """The lowest lane of a mask that is not empty."""
    lane = 0
    while not mask >> lane & 1:
        lane += 1
    return lane


@inner
def check_aligned(context: int, warp: int, site: int, mask: int) -> None:
    """Under synccheck: the whole warp should be here."""
    if mask != 0:
        number = (site - read_i64(context + SITES_AT)) // SITE_BYTES
        check_cluster_barrier(context, warp, mask, number)


@routine("int64", *["int64"] * 5)
def arrive_at_cluster(context: int, warp: int, site: int, mask: int, aligned: int) -> int:
    """``barrier.cluster.arrive``; -1: a lane has arrived before and not waited since."""
    if aligned:
        check_aligned(context, warp, site, mask)
    twice = mask & int(read_u32(warp + OWING_AT))
    if twice != 0:
        lane = first_of(twice)
        return report(context, warp, site, CLUSTER_MISUSE, lane, 0, ARRIVED_TWICE, 0)
    write_u32(warp + ARRIVED_AT, int(read_u32(warp + ARRIVED_AT)) | mask)
    write_u32(warp + OWING_AT, int(read_u32(warp + OWING_AT)) | mask)
    cluster = read_i64(read_i64(warp + BLOCK_AT) + CLUSTER_AT)
    write_u32(cluster + ARRIVALS_AT, 1)
    note(context, warp, 0, site, CLUSTER_ARRIVE, 0, mask, 0)
    return 0


@routine("int64", *["int64"] * 5)
def wait_at_cluster(context: int, warp: int, site: int, mask: int, aligned: int) -> int:
    """``barrier.cluster.wait``: the lanes that have to wait; -1: a lane has not arrived."""
    if aligned:
        check_aligned(context, warp, site, mask)
    owing = int(read_u32(warp + OWING_AT))
    if mask & ~owing:
        lane = first_of(mask & ~owing)
        return report(context, warp, site, CLUSTER_MISUSE, lane, 0, NOT_ARRIVED, 0)
    write_u32(warp + OWING_AT, owing & ~mask)
    note(context, warp, 0, site, CLUSTER_WAIT, 0, mask, 0)
    waiting = mask & int(read_u32(warp + ARRIVED_AT))
    if waiting != mask:
        observe_cluster_wait(context, warp)
    for lane in range(LANES):
        if waiting >> lane & 1:
            write_u32(warp + BARRIER_AT + 4 * lane, CLUSTER_BARRIER)
    return waiting


@inner
def is_complete(context: int, cluster: int) -> bool:
    """Whether all threads that live have arrived."""
    for rank in range(int(read_u32(cluster + SIZE_AT))):
        for index in range(int(read_u32(context + WARP_COUNT_AT))):
            warp = warp_at(context, cluster, rank, index)
            arrived = int(read_u32(warp + ARRIVED_AT))
            if arrived != 0xFFFFFFFF:
                for lane in range(LANES):
                    live = read_u32(warp + PCS_AT + 4 * lane) != EXITED
                    if live and not arrived >> lane & 1:
                        return False
    return True


@routine("int64", "int64", "int64")
def release_cluster(context: int, cluster: int) -> int:
    """Let those who wait at the cluster's barrier go, if its phase is complete: 1."""
    if read_u32(cluster + ARRIVALS_AT) == 0 or not is_complete(context, cluster):
        return 0
    write_u32(cluster + ARRIVALS_AT, 0)
    observe_cluster_complete(cluster)
    for rank in range(int(read_u32(cluster + SIZE_AT))):
        for index in range(int(read_u32(context + WARP_COUNT_AT))):
            warp = warp_at(context, cluster, rank, index)
            write_u32(warp + ARRIVED_AT, 0)
            some = False
            for lane in range(LANES):
                place = warp + PCS_AT + 4 * lane
                pc = int(read_u32(place))
                waits = pc != EXITED and pc & BARRIER_BIT != 0
                if waits and read_u32(warp + BARRIER_AT + 4 * lane) == CLUSTER_BARRIER:
                    write_u32(place, pc & ~BARRIER_BIT)
                    write_u32(warp + STATUS_AT, YIELD)
                    some = True
            if some:
                observe_cluster_wait(context, warp)
    return 1
