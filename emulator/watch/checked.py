"""The checkers' part of an access: which memory it is, which checkers look at it."""

from __future__ import annotations

from emulator.native.compiled import accessors, elements, inner, routine
from emulator.native.layout import (
    GLOBAL,
    LANES,
    LOCAL,
    RACES,
    SHARED,
    SITE_BYTES,
    UNINITIALISED,
    BlockState,
    Cluster,
    Context,
    Warp,
)
from emulator.watch.clocks import (
    CHECKER_AT,
    INDEX_AT,
    SHADOW_AT,
    STATE_AT,
    acquire,
    fence,
    release,
    start_clocks,
)
from emulator.watch.clusters import (
    acquire_from_mbarriers,
    forget_visits,
    release_at_mbarriers,
    visit,
)
from emulator.watch.landing import IN_FLIGHT_AT
from emulator.watch.operands import TABLE_AT, forget_operands, watch_overwriting
from emulator.watch.races import watch_races
from emulator.watch.shadow import (
    ACQUIRES,
    BLOCK_SCOPE,
    IS_COPY,
    IS_GENERIC,
    IS_MBARRIER,
    IS_STRONG,
    READS,
    RELEASES,
    UNSET,
    WRITES,
    Checker,
    Facts,
    Shadow,
    offset,
    size,
)
from emulator.watch.uninitialised import fill_bytes, watch_uninitialised
from emulator.watch.wavefronts import lanes_in

read_u32, _ = accessors("uint32")
read_i64, write_i64 = accessors("int64")
read_element, _ = elements("int64")

OBSERVE_AT = offset(Context, "observe")
SITES_AT = offset(Context, "sites")
LOCAL_BYTES_AT = offset(Context, "local_bytes")
ADDRESSES_AT = offset(Warp, "addresses")
SHARED_AT = offset(BlockState, "shared")
LOCAL_AT = offset(BlockState, "local")
FACTS_AT = offset(Checker, "facts")
FACTS_BYTES = size(Facts)
IRREGULAR = 1 << 62
FLAGS_AT = offset(Facts, "flags")
NUMBER_AT = offset(Facts, "number")
LOW_AT = offset(Checker, "low")
HIGH_AT = offset(Checker, "high")
LINES_AT = offset(Checker, "lines")
GLOBAL_CELLS_AT = offset(Checker, "cells")
GLOBAL_SHIFT_AT = offset(Checker, "global_shift")
SHARED_SHIFT_AT = offset(Checker, "shared_shift")
STRETCHES_AT = offset(Checker, "stretches")
GLOBAL_UNSET_AT = offset(Checker, "unset")
EPOCH_AT = offset(Checker, "epoch")
CLUSTERED_AT = offset(Checker, "clustered")
CLUSTER_AT = offset(BlockState, "cluster")
SIZE_AT, CLUSTER_BLOCKS_AT = offset(Cluster, "size"), offset(Cluster, "blocks")
CELLS_AT = offset(Shadow, "cells")
SHARED_LINES_AT = offset(Shadow, "lines")
SHARED_EPOCH_AT = offset(Shadow, "epoch")
SHARED_UNSET_AT = offset(Shadow, "shared_unset")
LOCAL_UNSET_AT = offset(Shadow, "local_unset")
SHARED_BYTES_AT = offset(Shadow, "shared_bytes")
BLOCK_LOCAL_BYTES_AT = offset(Shadow, "local_bytes")


@routine("void", *["int64"] * 2)
def observe_start_block(context: int, state: int) -> None:
    """A block starts: its shared and local memory hold nothing, its warps know nothing."""
    shadow = read_i64(state + SHADOW_AT)
    if shadow == 0:
        return
    start_clocks(context, state, shadow)
    forget_visits(context, shadow)
    forget_operands(shadow)
    write_i64(shadow + SHARED_EPOCH_AT, read_i64(shadow + SHARED_EPOCH_AT) + 1)
    if read_i64(shadow + SHARED_UNSET_AT) != 0:
        fill_bytes(read_i64(shadow + SHARED_UNSET_AT), read_i64(shadow + SHARED_BYTES_AT), UNSET)
    if read_i64(shadow + IN_FLIGHT_AT) != 0:
        fill_bytes(read_i64(shadow + IN_FLIGHT_AT), read_i64(shadow + SHARED_BYTES_AT), 0)
    if read_i64(shadow + LOCAL_UNSET_AT) != 0:
        nbytes = read_i64(shadow + BLOCK_LOCAL_BYTES_AT)
        fill_bytes(read_i64(shadow + LOCAL_UNSET_AT), nbytes, UNSET)


@inner
def inside(warp: int, mask: int, low: int, high: int) -> int:
    """The lanes whose addresses are in ``low .. high``."""
    found = 0
    for lane in range(LANES):  # without branches: several lanes at once
        address = read_element(warp + ADDRESSES_AT, lane)
        found |= (int(low <= address) & int(address < high)) << lane
    return found & mask


@inner
def step_between(warp: int, mask: int) -> int:
    """Bytes from each lane's address to the next one's, if these are the first lanes; IRREGULAR."""
    if mask & (mask + 1) != 0 or mask == 0:
        return IRREGULAR
    first = read_i64(warp + ADDRESSES_AT)
    step = read_i64(warp + ADDRESSES_AT + 8) - first if mask > 1 else 0
    away = 0
    for lane in range(LANES):  # without branches: several lanes at once
        apart = read_element(warp + ADDRESSES_AT, lane) - first - step * lane
        away |= apart & -(mask >> lane & 1)
    return step if away == 0 else IRREGULAR


@inner
def inside_global(checker: int, warp: int, mask: int, step: int) -> int:
    """The lanes whose addresses are in memory that has shadows."""
    low, high = read_i64(checker + LOW_AT), read_i64(checker + HIGH_AT)
    if step != IRREGULAR:
        first = read_i64(warp + ADDRESSES_AT)
        last = first + step * (lanes_in(mask) - 1)
        if min(first, last) >= low and max(first, last) < high:
            return mask
    return inside(warp, mask, low, high)


@inner
def check_one_space(
    context: int,
    checker: int,
    shadow: int,
    warp: int,
    facts: int,
    mask: int,
    nbytes: int,
    space: int,
    base: int,
    owner: int,
    memory: int,
) -> None:
    """An access of lanes that all touch the same space; addresses count from ``base``.

    ``owner`` is the block whose shared memory it is, ``memory`` that block's shadow.
    """
    watching = int(read_u32(context + OBSERVE_AT))
    flags = read_i64(facts + FLAGS_AT)
    reads, writes = flags & READS != 0, flags & WRITES != 0
    if flags & IS_COPY:
        reads, writes = space == GLOBAL, space == SHARED
    unset = stretches = lines = cells = shift = epoch = lane_bytes = in_flight = 0
    step = step_between(warp, mask)
    if space == SHARED:
        lines = read_i64(memory + SHARED_LINES_AT)
        epoch = read_i64(memory + SHARED_EPOCH_AT)
        cells = read_i64(memory + CELLS_AT)
        shift = read_i64(checker + SHARED_SHIFT_AT)
        in_flight = read_i64(memory + IN_FLIGHT_AT)
        if flags & IS_COPY == 0:  # a copy's bytes are there when it completes
            unset = read_i64(memory + SHARED_UNSET_AT)
    elif space == LOCAL:
        unset = read_i64(shadow + LOCAL_UNSET_AT)
        if base == 0:  # offsets into each lane's own
            lane_bytes = read_i64(context + LOCAL_BYTES_AT)
            unset += int(read_u32(warp + INDEX_AT)) * LANES * lane_bytes
    else:
        base = read_i64(checker + LOW_AT)
        near = inside_global(checker, warp, mask, step)
        if near != mask:
            mask, step = near, IRREGULAR
        epoch = read_i64(checker + EPOCH_AT)
        lines = read_i64(checker + LINES_AT)
        cells = read_i64(checker + GLOBAL_CELLS_AT)
        shift = read_i64(checker + GLOBAL_SHIFT_AT)
        unset = read_i64(checker + GLOBAL_UNSET_AT)
        stretches = read_i64(checker + STRETCHES_AT)
    if watching & UNINITIALISED and unset != 0:
        watch_uninitialised(
            checker, shadow, warp, facts, mask, nbytes, space, unset, stretches, base,
            lane_bytes, reads, writes, step,
        )  # fmt: skip
    if watching & RACES and space == SHARED and writes and read_i64(memory + TABLE_AT) != 0:
        for lane in range(LANES):
            if mask >> lane & 1:
                place = read_i64(warp + ADDRESSES_AT + 8 * lane) - base
                number = read_i64(facts + NUMBER_AT)
                watch_overwriting(context, warp, memory, lane, number, place, nbytes)
    if watching & RACES and cells != 0:
        watch_races(
            checker, owner, shadow, warp, facts, mask, nbytes, space, lines, cells, epoch, base,
            shift, in_flight, writes, step,
        )  # fmt: skip


@inner
def check_peers(
    context: int, checker: int, state: int, shadow: int, warp: int, facts: int, mask: int,
    nbytes: int,
) -> int:  # fmt: skip
    """Accesses to the shared memory of other blocks of the cluster; the lanes that make them."""
    cluster = read_i64(state + CLUSTER_AT)
    if cluster == 0:
        return 0
    visitors = 0
    for rank in range(int(read_u32(cluster + SIZE_AT))):
        owner = read_i64(cluster + CLUSTER_BLOCKS_AT + 8 * rank)
        if owner == state:
            continue
        memory = read_i64(owner + SHADOW_AT)
        base = read_i64(owner + SHARED_AT)
        lanes = inside(warp, mask, base, base + read_i64(memory + SHARED_BYTES_AT))
        if lanes != 0:
            visitors |= lanes
            if int(read_u32(context + OBSERVE_AT)) & RACES:
                visit(checker, state, shadow, owner, memory, warp, facts, lanes, nbytes)
            check_one_space(
                context, checker, shadow, warp, facts, lanes, nbytes, SHARED, base, owner, memory
            )
    return visitors


@routine("void", *["int64"] * 7)
def check_access(
    context: int, warp: int, site: int, mask: int, nbytes: int, space: int, base: int
) -> None:
    """Show an access to the checkers that are on."""
    checker = read_i64(context + CHECKER_AT)
    state = read_i64(warp + STATE_AT)
    shadow = read_i64(state + SHADOW_AT)
    if checker == 0 or shadow == 0:
        return
    number = (site - read_i64(context + SITES_AT)) // SITE_BYTES
    facts = read_i64(checker + FACTS_AT) + FACTS_BYTES * number
    flags = read_i64(facts + FLAGS_AT)
    if flags == 0:
        return
    index = int(read_u32(warp + INDEX_AT))
    strong = flags & IS_STRONG != 0
    alone = read_i64(checker + CLUSTERED_AT) == 0  # shared memory is the block's only
    block_only = flags & BLOCK_SCOPE != 0 or (space == SHARED and alone)
    if strong and flags & WRITES:
        if flags & RELEASES:
            fence(shadow, index, flags & BLOCK_SCOPE != 0)
        release(checker, state, shadow, index, block_only)
        if flags & IS_MBARRIER and not alone:
            release_at_mbarriers(checker, warp, mask)
    in_shared = in_local = 0
    shared = local = base
    if flags & IS_GENERIC:  # lanes of one instruction may be in different spaces
        shared = read_i64(state + SHARED_AT)
        local = read_i64(state + LOCAL_AT)
        in_shared = inside(warp, mask, shared, shared + read_i64(shadow + SHARED_BYTES_AT))
        in_local = inside(warp, mask, local, local + read_i64(shadow + BLOCK_LOCAL_BYTES_AT))
        mask &= ~check_peers(context, checker, state, shadow, warp, facts, mask, nbytes)
    elif space == SHARED:
        in_shared = mask
    elif space == LOCAL:
        in_local = mask
    for kind in range(3):
        lanes, origin = mask & ~in_shared & ~in_local, 0
        if kind == SHARED:
            lanes, origin = in_shared, shared
        elif kind == LOCAL:
            lanes, origin = in_local, local
        if lanes != 0:
            check_one_space(
                context, checker, shadow, warp, facts, lanes, nbytes, kind, origin, state, shadow
            )
    if flags & IS_COPY and in_shared != 0 and read_i64(shadow + IN_FLIGHT_AT) != 0:
        for lane in range(LANES):
            if in_shared >> lane & 1:
                place = read_i64(warp + ADDRESSES_AT + 8 * lane) - shared
                fill_bytes(read_i64(shadow + IN_FLIGHT_AT) + place, nbytes, 1)
    if strong and flags & ACQUIRES and flags & IS_MBARRIER and not alone:
        acquire_from_mbarriers(checker, shadow, warp, mask)
    elif strong and flags & ACQUIRES:
        acquire(checker, shadow, index, block_only)
