"""Distributed shared memory for racecheck: what a cluster's barrier orders, who visits whom.

The barrier is a release by all who arrive and an acquire by all who wait, as strong accesses
between blocks are (:mod:`emulator.watch.clocks`). Besides races there are two mistakes that only
clusters know: to touch the shared memory of a block that may not have started yet, and to exit
while another block may still touch it. Both are told from clocks, not from the order in which
blocks happened to run. (CUDA C++ Programming Guide, "Distributed Shared Memory")
"""

from __future__ import annotations

from emulator.native.compiled import accessors, inner, routine
from emulator.native.layout import LANES, MAX_CLUSTER, SHARED, BlockState, Cluster, Context, Warp
from emulator.units.window import RANK_SHIFT
from emulator.watch.clocks import (
    CHECKER_AT,
    CLOCK_AT,
    INDEX_AT,
    KNOWN_AT,
    RELEASED_PROXIED_AT,
    SHADOW_AT,
    STATE_AT,
    TAG_AT,
    TIME_AT,
    fence,
    join,
    release,
    released_before,
    rows_of,
)
from emulator.watch.complaints import complain
from emulator.watch.shadow import (
    BLOCK_SHIFT,
    CLOCK_MASK,
    CLOCK_SHIFT,
    HEARD,
    IS_MBARRIER,
    NOT_STARTED,
    NOT_STAYED,
    PROXIED,
    ROW,
    THREAD_MASK,
    THREAD_SHIFT,
    WARPS,
    Checker,
    Facts,
    Shadow,
    offset,
)

read_u32, _ = accessors("uint32")
read_i64, write_i64 = accessors("int64")

ADDRESSES_AT = offset(Warp, "addresses")
WARPS_AT = offset(Context, "warps")
RANK_AT, CLUSTER_AT = offset(BlockState, "rank"), offset(BlockState, "cluster")
SHARED_AT = offset(BlockState, "shared")
SIZE_AT, BLOCKS_AT = offset(Cluster, "size"), offset(Cluster, "blocks")
SPOKE_AT, ARRIVALS_AT = offset(Checker, "spoke"), offset(Checker, "arrivals")
RELEASED_AT, COMPLETE_AT = offset(Cluster, "released"), offset(Cluster, "complete")
BLOCK_RELEASED_AT = offset(Shadow, "released")
VISITS_AT = offset(Shadow, "visits")
NUMBER_AT, FLAGS_AT = offset(Facts, "number"), offset(Facts, "flags")
# By rank and warp: a stamp, an address, how many bytes, and of an arrival when that was.
VISIT = 32
MBARRIERS = 1 << 12  # places for times of releases
VISITS_BYTES = VISIT * MAX_CLUSTER * WARPS


@routine("void", *["int64"] * 3)
def observe_cluster_arrive(context: int, warp: int, releases: int) -> None:
    """``barrier.cluster.arrive``; a relaxed one hands on what a fence before it has released."""
    state = read_i64(warp + STATE_AT)
    shadow = read_i64(state + SHADOW_AT)
    if shadow != 0:
        index = int(read_u32(warp + INDEX_AT))
        checker = read_i64(context + CHECKER_AT)
        if releases != 0:
            fence(shadow, index, False)
        release(checker, state, shadow, index, False)
        write_i64(read_i64(state + CLUSTER_AT) + RELEASED_AT, read_i64(checker + TIME_AT))


@inner
def observe_cluster_complete(cluster: int) -> None:
    """All threads have arrived at the cluster's barrier."""
    write_i64(cluster + COMPLETE_AT, read_i64(cluster + RELEASED_AT))


@inner
def observe_cluster_wait(context: int, warp: int) -> None:
    """Lanes of a warp go past the cluster's barrier."""
    state = read_i64(warp + STATE_AT)
    shadow = read_i64(state + SHADOW_AT)
    if shadow != 0 and read_i64(context + CHECKER_AT) != 0:
        hear(shadow, warp, read_i64(read_i64(state + CLUSTER_AT) + COMPLETE_AT))


@inner
def hear(shadow: int, warp: int, time: int) -> None:
    """Take in what the block has released, and what others had by some time."""
    rows = rows_of(shadow, int(read_u32(warp + INDEX_AT)))
    join(rows, shadow + BLOCK_RELEASED_AT, ROW)
    join(rows + 8 * PROXIED, shadow + RELEASED_PROXIED_AT, ROW)
    heard = rows + KNOWN_AT + 8 * HEARD
    write_i64(heard, max(read_i64(heard), time))


@inner
def arrival_place(checker: int, address: int) -> int:
    """The same of the mbarrier at a host address."""
    table: int = read_i64(checker + ARRIVALS_AT)
    return table + (address & (MBARRIERS - 1) << 3)


@inner
def arrivals_at(checker: int, warp: int, lane: int) -> int:
    """Where the time of releases at a lane's mbarrier stands. Some mbarriers share a place."""
    address: int = read_i64(warp + ADDRESSES_AT + 8 * lane)
    if address >> RANK_SHIFT == 0:  # an offset into the block's own shared memory
        address += read_i64(read_i64(warp + STATE_AT) + SHARED_AT)
    return arrival_place(checker, address)


@inner
def release_at_mbarriers(checker: int, warp: int, mask: int) -> None:
    """Lanes arrive at mbarriers, having released what they did before."""
    time = read_i64(checker + TIME_AT) + 1
    write_i64(checker + TIME_AT, time)
    for lane in range(LANES):
        if mask >> lane & 1:
            write_i64(arrivals_at(checker, warp, lane), time)


@inner
def acquire_from_mbarriers(checker: int, shadow: int, warp: int, mask: int) -> None:
    """Lanes test mbarriers: those who had arrived have released."""
    time = 0
    for lane in range(LANES):
        if mask >> lane & 1:
            time = max(time, read_i64(arrivals_at(checker, warp, lane)))
    hear(shadow, warp, time)


@inner
def forget_visits(context: int, shadow: int) -> None:
    """A block starts: nobody has been there."""
    visits = read_i64(shadow + VISITS_AT)
    if visits != 0:
        for word in range(VISITS_BYTES // 8):
            write_i64(visits + 8 * word, 0)


@inner
def visit(
    checker: int, state: int, shadow: int, owner: int, memory: int, warp: int, facts: int,
    lanes: int, nbytes: int,
) -> None:  # fmt: skip
    """Lanes of a block's warp touch the shared memory of another block, ``owner``."""
    index = int(read_u32(warp + INDEX_AT))
    lane = 0
    while not lanes >> lane & 1:
        lane += 1
    clock = read_i64(shadow + CLOCK_AT + 8 * index)
    stamp = read_i64(shadow + TAG_AT) | clock << CLOCK_SHIFT | read_i64(facts + NUMBER_AT)
    stamp |= (index * LANES + lane) << THREAD_SHIFT
    place = read_i64(warp + ADDRESSES_AT + 8 * lane) - read_i64(owner + SHARED_AT)
    visits = read_i64(memory + VISITS_AT)
    if visits != 0:
        entry = visits + VISIT * (int(read_u32(state + RANK_AT)) * WARPS + index)
        write_i64(entry, stamp)
        write_i64(entry + 8, place)
        write_i64(entry + 16, nbytes)
        arrives = read_i64(facts + FLAGS_AT) & IS_MBARRIER != 0
        write_i64(entry + 24, read_i64(checker + TIME_AT) if arrives else 0)
    spoke = read_i64(checker + SPOKE_AT)
    tag = read_i64(memory + TAG_AT)
    if spoke != 0:
        since = read_i64(spoke + 8 * (tag >> BLOCK_SHIFT))
        heard = read_i64(rows_of(shadow, index) + KNOWN_AT + 8 * HEARD)
        if since == 0 or since > heard:
            complain(checker, NOT_STARTED, SHARED, tag, stamp, place, nbytes, 0, 0, 0, 0, 0)


@routine("void", *["int64"] * 2)
def observe_leave_block(context: int, state: int) -> None:
    """A block of a cluster exits: who was there must be known to be through."""
    shadow = read_i64(state + SHADOW_AT)
    checker = read_i64(context + CHECKER_AT)
    if shadow == 0 or checker == 0:
        return
    visits = read_i64(shadow + VISITS_AT)
    if visits == 0:
        return
    heard = 0
    for index in range(int(read_u32(context + WARPS_AT))):
        heard = max(heard, read_i64(rows_of(shadow, index) + KNOWN_AT + 8 * HEARD))
    for number in range(MAX_CLUSTER * WARPS):
        entry = visits + VISIT * number
        stamp = read_i64(entry)
        if stamp != 0:
            block, clock = stamp >> BLOCK_SHIFT, stamp >> CLOCK_SHIFT & CLOCK_MASK
            warp = (stamp >> THREAD_SHIFT & THREAD_MASK) // LANES
            arrival = read_i64(entry + 24)
            known = arrival != 0 and arrival <= heard
            if not known and (
                heard == 0 or not released_before(checker, block, warp, clock, heard)
            ):
                complain(
                    checker, NOT_STAYED, SHARED, read_i64(shadow + TAG_AT), stamp,
                    read_i64(entry + 8), read_i64(entry + 16), 0, 0, 0, 0, 0,
                )  # fmt: skip
