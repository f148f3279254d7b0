"""Who happened before whom: vector clocks of a block's warps, joined where they synchronise.

A warp's clock steps when it synchronises, so a stamp says between which two synchronisations an
access was made. A warp's row of clocks says up to when it knows of every other warp of the block;
its own entry says up to when its lanes know of one another: on Volta and later, lanes of a warp
that did not synchronise are as unordered as threads of different warps (CUDA C++ Programming Guide,
independent thread scheduling).

- ``bar.sync`` joins the rows of the warps that take part; ``bar.arrive`` gives without taking.
- ``bar.warp.sync`` and the ``.sync`` collectives order the lanes of their mask.
- A fence notes what the warp knows. A later atomic, volatile, relaxed or release write publishes
  it: to the block, and to other blocks as one of the block's releases. An atomic that returns
  something, a volatile, relaxed or acquire load takes in whatever has been published so far.
"""

from __future__ import annotations

from emulator.native.compiled import accessors, elements, inner, routine
from emulator.native.layout import BARRIER_BIT, EXITED, LANES, BlockState, Context, Warp, offset
from emulator.watch.shadow import (
    BARRIERS,
    BLOCK_MASK,
    BLOCK_SHIFT,
    CLOCK_MASK,
    CLOCK_SHIFT,
    FENCED,
    FENCED_BLOCK,
    HEARD,
    KEPT_RELEASES,
    KNOWN,
    PROXIED,
    ROW,
    ROWS,
    THREAD_MASK,
    THREAD_SHIFT,
    Checker,
    Shadow,
)

read_u8, write_u8 = accessors("uint8")
read_u32, write_u32 = accessors("uint32")
read_i64, write_i64 = accessors("int64")
read_element, write_element = elements("int64")

CHECKER_AT = offset(Context, "checker")
WARPS_AT = offset(Context, "warps")
WARP_BYTES_AT = offset(Context, "warp_bytes")
STATE_AT = offset(Warp, "block")
INDEX_AT = offset(Warp, "index")
PCS_AT = offset(Warp, "pcs")
DATA_AT = offset(Warp, "data")
BARRIER_AT = offset(Warp, "barrier")
SHADOW_AT = offset(BlockState, "shadow")
BLOCK_AT = offset(BlockState, "index")
BLOCK_WARPS_AT = offset(BlockState, "warps")

TIME_AT = offset(Checker, "time")
RELEASES_AT = offset(Checker, "releases")
RELEASE_BYTES_AT = offset(Checker, "release_bytes")
BLOCKS_AT = offset(Checker, "blocks")
SPOKE_AT = offset(Checker, "spoke")

TAG_AT = offset(Shadow, "tag")
PARTED_AT = offset(Shadow, "parted")
CLOCK_AT = offset(Shadow, "clock")
USED_AT = offset(Shadow, "used")
RELEASED_AT = offset(Shadow, "released")
RELEASED_PROXIED_AT = offset(Shadow, "released_proxied")
ROWS_AT = offset(Shadow, "rows")
KNOWN_AT = 8 * KNOWN
BARRIERS_AT = offset(Shadow, "barriers")
LANES_AT = offset(Shadow, "lanes")
LANE_ROW_BYTES = 8 * LANES
WARP_LANES_BYTES = LANES * LANE_ROW_BYTES


@inner
def clear(address: int, words: int) -> None:
    """Zero ``words`` 64-bit words."""
    for word in range(words):
        write_element(address, word, 0)


@inner
def join(into: int, other: int, words: int) -> None:
    """Take the later of two clocks, entry by entry."""
    for word in range(words):
        latest = max(read_element(into, word), read_element(other, word))
        write_element(into, word, latest)


@inner
def rows_of(shadow: int, index: int) -> int:
    """Where a warp's rows of clocks lie."""
    return shadow + ROWS_AT + 8 * ROWS * index


@inner
def last_stamped(shadow: int, index: int) -> int:
    """The clock of a warp's latest accesses."""
    used: int = read_i64(shadow + USED_AT + 8 * index)
    return int(read_i64(shadow + CLOCK_AT + 8 * index)) - 1 + used


@inner
def step(shadow: int, index: int) -> None:
    """Let later accesses of a warp be told from those so far."""
    if read_i64(shadow + USED_AT + 8 * index) != 0:
        clock = read_i64(shadow + CLOCK_AT + 8 * index)
        if clock < CLOCK_MASK:
            write_i64(shadow + CLOCK_AT + 8 * index, clock + 1)
            write_i64(shadow + USED_AT + 8 * index, 0)


@inner
def start_clocks(context: int, state: int, shadow: int) -> None:
    """A block starts: its warps know nothing."""
    tag = (read_i64(state + BLOCK_AT) & BLOCK_MASK) << BLOCK_SHIFT
    write_i64(shadow + TAG_AT, tag)
    warps = int(read_u32(context + WARPS_AT))
    parted = read_i64(shadow + PARTED_AT)
    for index in range(warps):
        write_i64(shadow + CLOCK_AT + 8 * index, 1)
        write_i64(shadow + USED_AT + 8 * index, 0)
        if parted >> index & 1:
            clear(shadow + LANES_AT + WARP_LANES_BYTES * index, LANES * LANES)
    write_i64(shadow + PARTED_AT, 0)
    clear(shadow + RELEASED_AT, ROW)
    clear(shadow + RELEASED_PROXIED_AT, ROW)
    clear(shadow + ROWS_AT, ROWS * warps)
    clear(shadow + BARRIERS_AT, ROWS * BARRIERS)


@inner
def publish(shadow: int, index: int, into: int) -> None:
    """Join a warp's rows, and all it has done itself, to others."""
    join(into, rows_of(shadow, index), ROWS)
    now = last_stamped(shadow, index)
    if now > read_i64(into + 8 * (KNOWN + index)):
        write_i64(into + 8 * (KNOWN + index), now)


@inner
def waits_at(warp: int, number: int) -> bool:
    """Whether lanes of a warp wait at a barrier."""
    for lane in range(LANES):
        pc = int(read_u32(warp + PCS_AT + 4 * lane))
        at_barrier = pc != EXITED and pc & BARRIER_BIT != 0
        if at_barrier and int(read_u32(warp + BARRIER_AT + 4 * lane)) == number:
            return True
    return False


@routine("void", *["int64"] * 3)
def observe_release_barrier(context: int, state: int, number: int) -> None:
    """A barrier is about to let its threads go: all that wait there learn of one another."""
    shadow = read_i64(state + SHADOW_AT)
    if shadow == 0:
        return
    meeting = shadow + BARRIERS_AT + 8 * ROWS * (number & (BARRIERS - 1))
    warps = int(read_u32(context + WARPS_AT))
    first = read_i64(state + BLOCK_WARPS_AT)
    stride = read_i64(context + WARP_BYTES_AT)
    waiting = 0
    for index in range(warps):
        if waits_at(first + stride * index, number):
            waiting |= 1 << index
            publish(shadow, index, meeting)
    for index in range(warps):
        if waiting >> index & 1:
            join(rows_of(shadow, index), meeting, ROWS)
            step(shadow, index)
    clear(meeting, ROWS)


@routine("void", *["int64"] * 3)
def observe_arrive(context: int, warp: int, number: int) -> None:
    """``bar.arrive``: what the warp did happened before what follows the barrier elsewhere."""
    shadow = read_i64(read_i64(warp + STATE_AT) + SHADOW_AT)
    if shadow == 0:
        return
    index = int(read_u32(warp + INDEX_AT))
    publish(shadow, index, shadow + BARRIERS_AT + 8 * ROWS * (number & (BARRIERS - 1)))
    step(shadow, index)


@inner
def sync_lanes(warp: int, shadow: int, members: int) -> None:
    """The lanes of a mask synchronise."""
    index = int(read_u32(warp + INDEX_AT))
    living = 0
    for lane in range(LANES):
        if int(read_u32(warp + PCS_AT + 4 * lane)) != EXITED:
            living |= 1 << lane
    now = last_stamped(shadow, index)
    if living & ~members == 0:
        own = rows_of(shadow, index) + 8 * (KNOWN + index)
        if now > read_i64(own):
            write_i64(own, now)
        step(shadow, index)
        return
    write_i64(shadow + PARTED_AT, read_i64(shadow + PARTED_AT) | 1 << index)
    table = shadow + LANES_AT + WARP_LANES_BYTES * index
    for other in range(LANES):
        latest = now if members >> other & 1 else 0
        for lane in range(LANES):
            if members >> lane & 1:
                latest = max(latest, read_i64(table + LANE_ROW_BYTES * lane + 8 * other))
        for lane in range(LANES):
            if members >> lane & 1:
                write_i64(table + LANE_ROW_BYTES * lane + 8 * other, latest)
    step(shadow, index)


@routine("void", *["int64"] * 4)
def observe_warp_sync(context: int, warp: int, active: int, members: int) -> None:
    """A barrier of a warp or a collective: ``members`` of each lane, or -1: in scratch."""
    shadow = read_i64(read_i64(warp + STATE_AT) + SHADOW_AT)
    if shadow == 0:
        return
    if members >= 0:
        sync_lanes(warp, shadow, members)
        return
    left = active
    for lane in range(LANES):
        if left >> lane & 1:
            group = int(read_u32(warp + DATA_AT + 4 * lane))
            sync_lanes(warp, shadow, group)
            left &= ~group


@inner
def fence(shadow: int, index: int, block_only: bool) -> None:
    """What the warp knows becomes visible to its block, or to the GPU."""
    rows = rows_of(shadow, index)
    now = last_stamped(shadow, index)
    join(rows + 8 * FENCED_BLOCK, rows, ROW)
    own = rows + 8 * (FENCED_BLOCK + index)
    write_i64(own, max(now, read_i64(own)))
    if not block_only:
        join(rows + 8 * FENCED, rows + 8 * FENCED_BLOCK, ROW)
    step(shadow, index)


@routine("void", *["int64"] * 3)
def observe_fence(context: int, warp: int, block_only: int) -> None:
    """``membar`` or ``fence``."""
    shadow = read_i64(read_i64(warp + STATE_AT) + SHADOW_AT)
    if shadow != 0:
        fence(shadow, int(read_u32(warp + INDEX_AT)), block_only != 0)


@routine("void", *["int64"] * 2)
def observe_proxy_fence(context: int, warp: int) -> None:
    """``fence.proxy.async``: what the warp knows becomes visible to the async proxy."""
    shadow = read_i64(read_i64(warp + STATE_AT) + SHADOW_AT)
    if shadow != 0:
        index = int(read_u32(warp + INDEX_AT))
        rows = rows_of(shadow, index)
        join(rows + 8 * PROXIED, rows, ROW)
        write_i64(rows + 8 * (PROXIED + index), last_stamped(shadow, index))
        step(shadow, index)


@inner
def release(checker: int, state: int, shadow: int, index: int, block_only: bool) -> None:
    """A strong write: what the warp has fenced can be taken in by others."""
    rows = rows_of(shadow, index)
    join(shadow + RELEASED_AT, rows + 8 * FENCED_BLOCK, ROW)
    join(shadow + RELEASED_PROXIED_AT, rows + 8 * PROXIED, ROW)
    block = read_i64(shadow + TAG_AT) >> BLOCK_SHIFT
    if block_only or block >= read_i64(checker + BLOCKS_AT):
        return
    spoke = read_i64(checker + SPOKE_AT)
    if spoke != 0 and read_i64(spoke + 8 * block) == 0:
        write_i64(checker + TIME_AT, read_i64(checker + TIME_AT) + 1)
        write_i64(spoke + 8 * block, read_i64(checker + TIME_AT))
    entry_bytes = (read_i64(checker + RELEASE_BYTES_AT) - 8) // KEPT_RELEASES
    warps = entry_bytes // 8 - 1
    record = read_i64(checker + RELEASES_AT) + read_i64(checker + RELEASE_BYTES_AT) * block
    count = read_i64(record)
    last = record + 8 + entry_bytes * ((count - 1) % KEPT_RELEASES)
    news = False
    for other in range(warps):
        before = read_i64(last + 8 + 8 * other) if count > 0 else 0
        if read_i64(rows + 8 * (FENCED + other)) > before:
            news = True
    if not news:
        return
    time = read_i64(checker + TIME_AT) + 1
    write_i64(checker + TIME_AT, time)
    entry = record + 8 + entry_bytes * (count % KEPT_RELEASES)
    for other in range(warps):
        before = read_i64(last + 8 + 8 * other) if count > 0 else 0
        write_i64(entry + 8 + 8 * other, max(before, read_i64(rows + 8 * (FENCED + other))))
    write_i64(entry, time)
    write_i64(record, count + 1)


@inner
def acquire(checker: int, shadow: int, index: int, block_only: bool) -> None:
    """A strong read: take in all that has been released."""
    rows = rows_of(shadow, index)
    join(rows, shadow + RELEASED_AT, ROW)
    join(rows + 8 * PROXIED, shadow + RELEASED_PROXIED_AT, ROW)
    if not block_only:
        write_i64(rows + 8 * (KNOWN + HEARD), read_i64(checker + TIME_AT))


@routine("void", *["int64"] * 4)
def observe_order(context: int, warp: int, releases: int, acquires: int) -> None:
    """An operation that orders memory within its block, such as one on an ``mbarrier``."""
    state = read_i64(warp + STATE_AT)
    shadow = read_i64(state + SHADOW_AT)
    if shadow == 0:
        return
    checker = read_i64(context + CHECKER_AT)
    index = int(read_u32(warp + INDEX_AT))
    if releases != 0:
        fence(shadow, index, True)
        release(checker, state, shadow, index, True)
    if acquires != 0:
        acquire(checker, shadow, index, True)


@inner
def released_before(checker: int, block: int, warp: int, clock: int, heard: int) -> bool:
    """Whether another block had released an access by the time we last heard from others."""
    if block >= read_i64(checker + BLOCKS_AT):
        return False
    entry_bytes = (read_i64(checker + RELEASE_BYTES_AT) - 8) // KEPT_RELEASES
    record = read_i64(checker + RELEASES_AT) + read_i64(checker + RELEASE_BYTES_AT) * block
    count = read_i64(record)
    oldest = max(count - KEPT_RELEASES, 0)
    number = count - 1
    while number >= oldest:
        entry = record + 8 + entry_bytes * (number % KEPT_RELEASES)
        # of releases that are forgotten, assume that one came in time
        if read_i64(entry) <= heard or (number == oldest and oldest > 0):
            return bool(clock <= read_i64(entry + 8 + 8 * warp))
        number -= 1
    return False


@inner
def happened_before(checker: int, shadow: int, index: int, lane: int, stamp: int) -> bool:
    """Whether a stamped access is ordered before what a lane does now."""
    clock = stamp >> CLOCK_SHIFT & CLOCK_MASK
    thread = stamp >> THREAD_SHIFT & THREAD_MASK
    other = thread // LANES
    rows = rows_of(shadow, index)
    if stamp >> BLOCK_SHIFT << BLOCK_SHIFT == read_i64(shadow + TAG_AT):
        if clock <= read_i64(rows + 8 * (KNOWN + other)):
            return True
        if other == index:
            if thread % LANES == lane:
                return True
            if read_i64(shadow + PARTED_AT) >> index & 1:
                table = shadow + LANES_AT + WARP_LANES_BYTES * index + LANE_ROW_BYTES * lane
                return bool(clock <= read_i64(table + 8 * (thread % LANES)))
        return False
    heard = read_i64(rows + 8 * (KNOWN + HEARD))
    return bool(heard > 0 and released_before(checker, stamp >> BLOCK_SHIFT, other, clock, heard))
