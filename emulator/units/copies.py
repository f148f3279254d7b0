"""Asynchronous copies (``cp.async``): issue, groups, waiting, mbarriers that wait for them."""

from __future__ import annotations

from emulator.native.compiled import accessors, external, inner, routine
from emulator.native.layout import (
    COPY_MISUSE,
    COUNTERS,
    EAGER,
    LANES,
    MISALIGNED,
    BlockState,
    Context,
    Site,
    offset,
)
from emulator.units.fault import report
from emulator.units.queue import (
    ADDRESSES_AT,
    BLOCK_AT,
    COMMITTED,
    DATA_AT,
    DUE,
    ENTRY,
    FIRST,
    GROUP,
    MODE_AT,
    NBYTES,
    OBSERVE_AT,
    QUEUE_AT,
    READS,
    SITE,
    SIZES_AT,
    SOURCES,
    TARGETS,
    drift,
    queue_of,
)
from emulator.units.word import expect_one_more
from emulator.watch.events import COPIES_AWAITED, COPIES_COMMITTED, note, note_copies, note_tracked

read_u8, write_u8 = accessors("uint8")
read_u32, write_u32 = accessors("uint32")
read_i64, write_i64 = accessors("int64")
advance = external("advance_copies", "int64", "int64", "int64")
make_room = external("make_room_for_copy", "int64", "int64", "int64", "int64")
settle = external("settle_copies", "int64", "int64", "int64")

SITE_COUNTED_AT = offset(Site, "bytes")
WARPS_AT = offset(BlockState, "warps")
COUNT_AT, STRIDE_AT = offset(Context, "warps"), offset(Context, "warp_bytes")


@inner
def fill(context: int, warp: int, site: int, mask: int, nbytes: int) -> int:
    """An entry for each group that ``mask``'s lanes are at, from the warp's scratch."""
    left = mask
    while left != 0:
        if make_room(context, warp, site) < 0:
            return -1
        queue = queue_of(warp)
        entry = queue + FIRST + read_i64(queue) * ENTRY
        group = -1
        lanes = 0
        for lane in range(LANES):
            if left >> lane & 1:
                own = read_i64(queue + COMMITTED + 8 * lane)
                if group < 0:
                    group = own
                if own == group:
                    lanes |= 1 << lane
                    source = read_i64(warp + DATA_AT + 8 * lane)
                    write_i64(entry + SOURCES + 8 * lane, source)
                    target = read_i64(warp + ADDRESSES_AT + 8 * lane)
                    write_i64(entry + TARGETS + 8 * lane, target)
                    write_u8(entry + READS + lane, read_u32(warp + SIZES_AT + 4 * lane))
        write_i64(entry, lanes)
        write_i64(entry + GROUP, group)
        write_i64(entry + NBYTES, nbytes)
        write_i64(entry + DUE, lanes if read_u32(context + MODE_AT) == EAGER else 0)
        write_i64(entry + SITE, site)
        write_i64(queue, read_i64(queue) + 1)
        left &= ~lanes
    return 0


@routine("int64", *["int64"] * 5)
def copy_sources(context: int, warp: int, site: int, mask: int, nbytes: int) -> int:
    """Before the sources' bounds are checked: which lanes read anything, or -1.

    Sources stand in ``Warp.data``, the bytes that each lane reads behind them. Leaves each lane's
    last byte in ``Warp.addresses``: sources are aligned, so its bounds are theirs.
    """
    reading = 0
    more = 0
    for lane in range(LANES):
        if mask >> lane & 1:
            reads = int(read_u32(warp + SIZES_AT + 4 * lane))
            source = read_i64(warp + DATA_AT + 8 * lane)
            if reads > nbytes:
                return report(context, warp, site, COPY_MISUSE, lane, nbytes, 0, reads)
            if reads != 0:
                if source & (nbytes - 1):
                    return report(context, warp, site, MISALIGNED, lane, nbytes, 0, source)
                reading |= 1 << lane
                more += reads - 1
                write_i64(warp + ADDRESSES_AT + 8 * lane, source + reads - 1)
    if read_u32(context + OBSERVE_AT) & COUNTERS:
        write_i64(site + SITE_COUNTED_AT, read_i64(site + SITE_COUNTED_AT) + more)
    return reading


@routine("int64", *["int64"] * 5)
def issue_copies(context: int, warp: int, site: int, mask: int, nbytes: int) -> int:
    """Start copies that have been checked: sources in ``Warp.data``, targets in ``addresses``."""
    if fill(context, warp, site, mask, nbytes) < 0:
        return -1
    note_copies(context, warp, site, mask, nbytes)
    if read_u32(context + MODE_AT) == EAGER:
        return int(settle(context, warp))
    return int(advance(context, warp))


@routine("int64", "int64", "int64", "int64")
def commit_copies(context: int, warp: int, mask: int) -> int:
    """``cp.async.commit_group``: what each lane has started since its last one is a group."""
    queue = queue_of(warp)
    note(context, warp, 0, 0, COPIES_COMMITTED, 0, mask, 0)
    for lane in range(LANES):
        if mask >> lane & 1 and queue != 0:
            place = queue + COMMITTED + 8 * lane
            write_i64(place, read_i64(place) + 1)
    return int(advance(context, warp))


@routine("int64", *["int64"] * 4)
def wait_for_copies(context: int, warp: int, mask: int, groups: int) -> int:
    """Each lane waits until at most ``groups`` of its groups are in flight; -1: for everything."""
    queue = read_i64(warp + QUEUE_AT)
    if queue == 0:
        return 0
    note(context, warp, 0, 0, COPIES_AWAITED, 0, groups, 0)
    drift(context, warp)
    for index in range(read_i64(queue)):
        entry = queue + FIRST + index * ENTRY
        group = read_i64(entry + GROUP)
        lanes = mask & read_i64(entry)
        due = 0
        for lane in range(LANES):
            if lanes >> lane & 1 and (
                groups < 0 or group + groups < read_i64(queue + COMMITTED + 8 * lane)
            ):
                due |= 1 << lane
        write_i64(entry + DUE, read_i64(entry + DUE) | due)
    return int(settle(context, warp))


@routine("int64", "int64", "int64", "int64")
def leave_copies(context: int, warp: int, mask: int) -> int:
    """Lanes exit: what they have in flight still arrives."""
    queue = read_i64(warp + QUEUE_AT)
    if queue == 0:
        return 0
    for index in range(read_i64(queue)):
        entry = queue + FIRST + index * ENTRY
        write_i64(entry + DUE, read_i64(entry + DUE) | mask)
    for lane in range(LANES):
        if mask >> lane & 1:
            write_i64(queue + COMMITTED + 8 * lane, 0)
    return int(settle(context, warp))


@routine("int64", *["int64"] * 5)
def track_copies(context: int, warp: int, site: int, mask: int, no_increment: int) -> int:
    """``cp.async.mbarrier.arrive``: each lane's copies so far arrive at an mbarrier when done."""
    for lane in range(LANES):
        if mask >> lane & 1:
            write_u32(warp + SIZES_AT + 4 * lane, 0)
            barrier = read_i64(warp + ADDRESSES_AT + 8 * lane)
            if not no_increment and expect_one_more(context, warp, site, lane, barrier) < 0:
                return -1
    note_tracked(context, warp, site, mask)
    drift(context, warp)
    if fill(context, warp, site, mask, 0) < 0:
        return -1
    return int(settle(context, warp))


@routine("int64", *["int64"] * 3)
def finish_copies_for(context: int, warp: int, barrier: int) -> int:
    """Finish all copies of the block that an mbarrier waits for."""
    block = read_i64(warp + BLOCK_AT)
    warps = read_i64(block + WARPS_AT)
    for index in range(int(read_u32(context + COUNT_AT))):
        other = warps + index * read_i64(context + STRIDE_AT)
        queue = read_i64(other + QUEUE_AT)
        tracked = 0  # lanes whose copies before the entry are waited for
        for entry_index in range(read_i64(queue) - 1 if queue != 0 else -1, -1, -1):
            entry = queue + FIRST + entry_index * ENTRY
            lanes = read_i64(entry)
            if read_i64(entry + NBYTES) == 0:
                for lane in range(LANES):
                    if lanes >> lane & 1 and read_i64(entry + TARGETS + 8 * lane) == barrier:
                        tracked |= 1 << lane
            else:
                write_i64(entry + DUE, read_i64(entry + DUE) | tracked)
        if tracked != 0 and settle(context, other) < 0:
            return -1
    return 0
