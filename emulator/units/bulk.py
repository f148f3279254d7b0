"""``cp.async.bulk`` from global to the block's own shared memory, which an mbarrier waits for.

Each lane that executes one starts a copy of its own. Targets stand in ``Warp.addresses``; sources,
bytes and mbarriers in ``Warp.data``.
"""

from __future__ import annotations

from emulator.native.compiled import accessors, external, inner, routine
from emulator.native.layout import (
    COPY_MISUSE,
    EAGER,
    LANES,
    MISALIGNED,
    OUT_OF_BOUNDS,
    BlockState,
    Context,
    Region,
    Warp,
    offset,
)
from emulator.units.fault import report
from emulator.units.queue import (
    ADDRESSES_AT,
    BULK_BARRIER,
    BULK_BYTES,
    DATA_AT,
    DUE,
    ENTRY,
    FIRST,
    GROUP,
    MODE_AT,
    NBYTES,
    SITE,
    SIZES_AT,
    SOURCES,
    TARGETS,
    queue_of,
)

read_u32, _ = accessors("uint32")
read_i64, write_i64 = accessors("int64")
advance = external("advance_copies", "int64", "int64", "int64")
make_room = external("make_room_for_copy", "int64", "int64", "int64", "int64")
settle = external("settle_copies", "int64", "int64", "int64")

BARRIERS_AT = SIZES_AT + 4 * LANES
BLOCK_AT, SHARED_AT = offset(Warp, "block"), offset(BlockState, "shared")
SHARED_BYTES_AT = offset(Context, "shared_bytes")
REGIONS_AT, REGION_COUNT_AT = offset(Context, "regions"), offset(Context, "region_count")
REGION_BYTES, HIGH_AT = 32, offset(Region, "high")
UNIT = 16  # bytes: every address and size is a multiple of it
NO_GROUP = 1 << 62  # bulk copies belong to no thread's group


@inner
def in_one_region(context: int, address: int, nbytes: int) -> bool:
    """Whether all bytes are in one array that the kernel may read."""
    regions = read_i64(context + REGIONS_AT)
    low, high = 0, read_i64(context + REGION_COUNT_AT)
    while high - low > 1:
        middle = (low + high) // 2
        if address >= read_i64(regions + REGION_BYTES * middle):
            low = middle
        else:
            high = middle
    region = regions + REGION_BYTES * low
    return bool(
        read_i64(regions + REGION_BYTES * low) <= address
        and address + nbytes <= read_i64(region + HIGH_AT)
    )


@inner
def refusal(context: int, warp: int, site: int, lane: int, size: int) -> int:
    """Check one lane's copy; -1: it must not be."""
    source = read_i64(warp + DATA_AT + 8 * lane)
    place = read_i64(warp + ADDRESSES_AT + 8 * lane) - read_i64(
        read_i64(warp + BLOCK_AT) + SHARED_AT
    )
    if size % UNIT:
        return report(context, warp, site, COPY_MISUSE, lane, UNIT, 1, size)
    if source % UNIT:
        return report(context, warp, site, MISALIGNED, lane, UNIT, 0, source)
    if place % UNIT:
        return report(context, warp, site, MISALIGNED, lane, UNIT, 1, place)
    if not in_one_region(context, source, size):
        return report(context, warp, site, OUT_OF_BOUNDS, lane, size, 0, source)
    if place < 0 or place + size > read_i64(context + SHARED_BYTES_AT):
        return report(context, warp, site, OUT_OF_BOUNDS, lane, size, 1, place)
    return 0


@routine("int64", *["int64"] * 4)
def issue_bulk(context: int, warp: int, site: int, mask: int) -> int:
    """Start each lane's copy."""
    for lane in range(LANES):
        if mask >> lane & 1:
            size = int(read_u32(warp + SIZES_AT + 4 * lane))
            if refusal(context, warp, site, lane, size) < 0 or make_room(context, warp, site) < 0:
                return -1
            queue = queue_of(warp)
            entry = queue + FIRST + read_i64(queue) * ENTRY
            write_i64(entry, 1 << lane)
            write_i64(entry + GROUP, NO_GROUP)
            write_i64(entry + NBYTES, -1)
            write_i64(entry + DUE, 1 << lane if read_u32(context + MODE_AT) == EAGER else 0)
            write_i64(entry + SITE, site)
            write_i64(entry + SOURCES, read_i64(warp + DATA_AT + 8 * lane))
            write_i64(entry + TARGETS, read_i64(warp + ADDRESSES_AT + 8 * lane))
            write_i64(entry + BULK_BYTES, size)
            write_i64(entry + BULK_BARRIER, read_i64(warp + BARRIERS_AT + 8 * lane))
            write_i64(queue, read_i64(queue) + 1)
    if read_u32(context + MODE_AT) == EAGER and mask != 0:
        return int(settle(context, warp))
    return int(advance(context, warp))
