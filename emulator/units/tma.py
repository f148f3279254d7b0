"""Bulk copies (``cp.async.bulk``, ``cp.async.bulk.tensor``, ``cp.reduce.async.bulk``) in flight.

What comes to a block's shared memory waits beside the block, until an mbarrier that counts its
bytes is tested; what leaves it waits beside the warp that sent it, until its thread waits for the
group. Bytes are read and written then: as late as the program allows. ``Context.copies`` may say
otherwise: at once, or some at random. What a thread leaves behind when it exits is stored.

A list is ``[entries, room, groups that each lane committed[32]]``, then entries. (PTX ISA, "Data
Movement and Conversion Instructions: Bulk copy", "Tensor copy")
"""

from __future__ import annotations

from emulator.native.compiled import accessors, external, inner, routine
from emulator.native.heap import heap
from emulator.native.layout import (
    COPY_MISUSE,
    COUNTERS,
    EAGER,
    EXITED,
    LANES,
    LATE,
    MISALIGNED,
    OUT_OF_BOUNDS,
    RACES,
    TX_MISMATCH,
    UNINITIALISED,
    BlockState,
    Context,
    Region,
    Site,
    Warp,
    offset,
)
from emulator.units.fault import report
from emulator.units.numbers import byte_at, word_at
from emulator.units.reduction import combine, itemsize_of
from emulator.units.tile import (
    ADDRESS,
    LOAD,
    STORE,
    SWIZZLE,
    box_bytes,
    box_room,
    extent,
    is_map,
    move_box,
    unit_of,
    watch_box,
)
from emulator.units.tile import rank_of_map as rank_of
from emulator.units.window import owner_of, peer_of
from emulator.units.word import ARRIVED_BYTES, add_bytes, misuse, phase_of, place_of
from emulator.watch.events import (
    LOAD_ISSUED,
    LOAD_LANDED,
    STORE_ISSUED,
    STORES_AWAITED,
    STORES_COMMITTED,
    note,
)
from emulator.watch.operands import box_lands
from emulator.watch.proxy import (
    READ,
    REDUCE,
    WRITE,
    copy_begins,
    copy_has_read,
    copy_lands,
    copy_reads,
    is_watched,
    left_behind,
    watch_row,
)

_, write_u32 = accessors("uint32")
read_i32, _ = accessors("int32")
read_i64, write_i64 = accessors("int64")
resize = heap()
carry = external("carry_one", "int64", *["int64"] * 2)  # compiled once, not in each caller
store_all = external("carry_out", "int64", *["int64"] * 4)

ADDRESSES_AT, DATA_AT = offset(Warp, "addresses"), offset(Warp, "data")
BOX_AT, STORES_AT = offset(Warp, "box"), offset(Warp, "stores")
PCS_AT, WARPS_AT = offset(Warp, "pcs"), offset(BlockState, "warps")
COUNT_AT, STRIDE_AT = offset(Context, "warps"), offset(Context, "warp_bytes")
BLOCK_AT, LOADS_AT = offset(Warp, "block"), offset(BlockState, "loads")
SHARED_AT, SHARED_BYTES_AT = offset(BlockState, "shared"), offset(Context, "shared_bytes")
MODE_AT, SEED_AT = offset(Context, "copies"), offset(Context, "copy_seed")
OBSERVE_AT = offset(Context, "observe")
REGIONS_AT, REGION_COUNT_AT = offset(Context, "regions"), offset(Context, "region_count")
HIGH_AT, WRITABLE_AT, REGION_BYTES = offset(Region, "high"), offset(Region, "writable"), 32
REQUESTS_AT, BYTES_AT = offset(Site, "bulk_requests"), offset(Site, "bulk_bytes")
WAVEFRONTS_AT = offset(Site, "bulk_wavefronts")
WAVEFRONT_BYTES = 128  # of all banks; boxes lie densely, whatever the swizzle

# How an instruction copies, as lowered code says it, beside a reduction and an array's axes.
TO_SHARED, TO_GLOBAL, TO_PEER = range(3)
TENSOR, MULTICAST = 4, 8
KIND_SHIFT, OP_SHIFT, RANK_SHIFT = 8, 16, 24  # a reduction: 1 + what it does, of which kind

# In Warp.data, for 32 lanes each: what is elsewhere than Warp.addresses (an address or a tensor
# map), the mbarrier, the bytes, the blocks of a multicast.
OTHER_AT, BARRIERS_AT = DATA_AT, DATA_AT + 8 * LANES
SIZES_AT, MASKS_AT = DATA_AT + 16 * LANES, DATA_AT + 20 * LANES
BOX_WORDS, FIRST_OFFSET = 8, 5

# A list, and an entry.
ROOM, COMMITTED, FIRST = 8, 16, 16 + 8 * LANES
(HOW, NBYTES, SHARED, OTHER, BARRIER, SENDER, SITE, LANE, GROUP, COORDINATES) = range(0, 80, 8)
OFFSETS, MAP = COORDINATES + 20, COORDINATES + 32
ENTRY = MAP + 128

UNIT, TILE_UNIT, MAP_UNIT = 16, 128, 64
MOST = (1 << 20) - 1  # bytes that an mbarrier can count
# What was wrong about a bulk copy (emulator.copying says it in words).
SIZE, NO_MAP, OTHER_RANK, NOT_COUNTED, MULTICAST_RANK, BETWEEN, NEGATIVE = range(1, 8)


@inner
def region_of(context: int, address: int, nbytes: int) -> int:
    """The region of global memory that all bytes are in; 0: they are in none."""
    regions = read_i64(context + REGIONS_AT)
    low, high = 0, read_i64(context + REGION_COUNT_AT)
    while high - low > 1:
        middle = (low + high) // 2
        if address >= read_i64(regions + REGION_BYTES * middle):
            low = middle
        else:
            high = middle
    region: int = regions + REGION_BYTES * low
    inside = read_i64(region) <= address and address + nbytes <= read_i64(region + HIGH_AT)
    return region if inside else 0


@inner
def bytes_of(context: int, warp: int, site: int, lane: int, how: int) -> int:
    """How many bytes of shared memory a lane's copy is about; -1: it must not be."""
    other = read_i64(warp + OTHER_AT + 8 * lane)
    if how & TENSOR:
        if other % MAP_UNIT:
            return report(context, warp, site, MISALIGNED, lane, MAP_UNIT, 0, other)
        if region_of(context, other, 128) == 0:
            return report(context, warp, site, OUT_OF_BOUNDS, lane, 128, 0, other)
        if not is_map(other):
            return report(context, warp, site, COPY_MISUSE, lane, 1, NO_MAP, other)
        if rank_of(other) != how >> RANK_SHIFT:
            return report(context, warp, site, COPY_MISUSE, lane, rank_of(other), OTHER_RANK, 0)
        # An H100 takes both of these for illegal instructions.
        corner = warp + BOX_AT + 4 * BOX_WORDS * lane
        first, size = int(read_i32(corner)), unit_of(other)
        if first * size % UNIT:
            return report(context, warp, site, COPY_MISUSE, lane, size, BETWEEN, first)
        for axis in range(rank_of(other)):
            start = int(read_i32(corner + 4 * axis))
            if how & 3 == TO_GLOBAL and start < 0:
                return report(context, warp, site, COPY_MISUSE, lane, axis + 1, NEGATIVE, start)
        return int(box_bytes(other))
    size = word_at(warp + SIZES_AT + 4 * lane)
    if size % UNIT or size > MOST:
        return report(context, warp, site, COPY_MISUSE, lane, UNIT, SIZE, size)
    return size


@inner
def room_of(how: int, size: int, map_: int) -> int:
    """Bytes of shared memory that a copy of ``size`` spreads over."""
    return int(box_room(map_)) if how & TENSOR else size


@inner
def refuse_other(
    context: int, warp: int, site: int, lane: int, how: int, size: int, writes: bool
) -> int:
    """Check the side of a lane's copy that is not in ``Warp.addresses``; -1: it must not be."""
    other = read_i64(warp + OTHER_AT + 8 * lane)
    direction = how & 3
    if direction == TO_PEER:
        own = read_i64(warp + BLOCK_AT)
        place = other - read_i64(own + SHARED_AT)
        if place % UNIT:
            return report(context, warp, site, MISALIGNED, lane, UNIT, 0, place)
        if place < 0 or place + size > read_i64(context + SHARED_BYTES_AT):
            return report(context, warp, site, OUT_OF_BOUNDS, lane, size, 0, place)
        return 0
    start, nbytes = other, size
    if how & TENSOR:
        start, nbytes = read_i64(other + ADDRESS), extent(other)
    if start % UNIT:
        return report(context, warp, site, MISALIGNED, lane, UNIT, int(writes), start)
    region = region_of(context, start, nbytes)
    if region == 0 or (writes and read_i64(region + WRITABLE_AT) == 0):
        return report(context, warp, site, OUT_OF_BOUNDS, lane, nbytes, int(writes), start)
    return 0


@inner
def watch_other(context: int, warp: int, site: int, lane: int, how: int, size: int) -> None:
    """Show counters and checkers that side."""
    other = read_i64(warp + OTHER_AT + 8 * lane)
    direction, reduces = how & 3, how >> OP_SHIFT & 0xFF != 0
    if direction == TO_PEER:
        copy_reads(context, warp, site, lane, read_i64(warp + BLOCK_AT), other, size)
    elif how & TENSOR:
        what = LOAD if direction == TO_SHARED else STORE + int(reduces)
        box = warp + BOX_AT + 4 * BOX_WORDS * lane
        watch_box(context, warp, site, lane, other, box, box + 4 * FIRST_OFFSET, what)
    else:
        does = READ if direction == TO_SHARED else REDUCE if reduces else WRITE
        watch_row(context, warp, site, lane, other, size, does)


@inner
def refuse_shared(
    context: int, warp: int, site: int, lane: int, how: int, size: int, block: int, target: int
) -> int:
    """Check the side in a block's shared memory; -1: it must not be."""
    unit = TILE_UNIT if how & TENSOR else UNIT
    place = target - (read_i64(block + SHARED_AT) if block != 0 else 0)
    into = int(how & 3 != TO_GLOBAL)
    if block == 0 or place + size > read_i64(context + SHARED_BYTES_AT):
        return report(context, warp, site, OUT_OF_BOUNDS, lane, size, into, place)
    if place % unit:
        return report(context, warp, site, MISALIGNED, lane, unit, into, place)
    return 0


@inner
def list_of(owner_at: int) -> int:
    """A list with room for one more entry; 0 without memory. ``owner_at``: where its address is."""
    known = read_i64(owner_at)
    count, room = (0, 0) if known == 0 else (read_i64(known), read_i64(known + ROOM))
    if known == 0 or count == room:
        larger = resize(known, FIRST + max(2 * room, 8) * ENTRY)
        if larger == 0:
            return 0
        if known == 0:
            for place in range(0, FIRST, 8):
                write_i64(larger + place, 0)
        write_i64(larger + ROOM, max(2 * room, 8))
        write_i64(owner_at, larger)
        known = larger
    return int(known)


@inner
def add(
    context: int, warp: int, site: int, lane: int, how: int, size: int, where: int, target: int,
    barrier: int,
) -> int:  # fmt: skip
    """Note a lane's copy; its number in the list, or -1."""
    known = list_of(where)
    if known == 0:
        return report(context, warp, site, COPY_MISUSE, lane, 0, 0, 0)
    number = read_i64(known)
    entry = known + FIRST + number * ENTRY
    other = read_i64(warp + OTHER_AT + 8 * lane)
    write_i64(entry + HOW, how)
    write_i64(entry + NBYTES, size)
    write_i64(entry + SHARED, target)
    write_i64(entry + OTHER, other)
    write_i64(entry + BARRIER, barrier)
    write_i64(entry + SENDER, warp)
    write_i64(entry + SITE, site)
    write_i64(entry + LANE, lane)
    write_i64(entry + GROUP, read_i64(known + COMMITTED + 8 * lane))
    if how & TENSOR:
        for word in range(0, 128, 8):
            write_i64(entry + MAP + word, read_i64(other + word))
        for word in range(BOX_WORDS):
            box = warp + BOX_AT + 4 * (BOX_WORDS * lane + word)
            write_u32(entry + COORDINATES + 4 * word, word_at(box))
    write_i64(known, number + 1)
    return int(number)


@routine("int64", *["int64"] * 2)
def carry_one(context: int, entry: int) -> int:
    """An entry's bytes are read and written, and its mbarrier hears of them. -1: a mistake."""
    how, size = read_i64(entry + HOW), read_i64(entry + NBYTES)
    shared, other = read_i64(entry + SHARED), read_i64(entry + OTHER)
    warp, site, lane = (
        read_i64(entry + SENDER), read_i64(entry + SITE), read_i64(entry + LANE)
    )  # fmt: skip
    block = owner_of(context, read_i64(warp + BLOCK_AT), shared)
    base = read_i64(block + SHARED_AT)
    direction, reduction = how & 3, (how >> OP_SHIFT & 0xFF) - 1
    if how & TENSOR:
        what = LOAD if direction == TO_SHARED else STORE if reduction < 0 else 2 + reduction
        move_box(entry + MAP, entry + COORDINATES, entry + OFFSETS, what, base, shared - base)
    else:
        source, target = (shared, other) if direction == TO_GLOBAL else (other, shared)
        if reduction < 0:
            for byte in range(0, size, 8):
                write_i64(target + byte, read_i64(source + byte))
        else:
            kind = how >> KIND_SHIFT & 0xFF
            step = itemsize_of(kind)
            for byte in range(0, size, step):
                combine(reduction, kind, target + byte, source + byte)
    room = room_of(how, size, entry + MAP)
    if direction == TO_GLOBAL:
        copy_has_read(context, warp, site, lane, block, shared, room)
        return 0
    if direction == TO_PEER:
        copy_has_read(context, warp, site, lane, read_i64(warp + BLOCK_AT), other, size)
    barrier = read_i64(entry + BARRIER)
    copy_lands(context, warp, site, lane, block, shared, room, barrier)
    note(context, warp, lane, site, LOAD_LANDED, shared, size, barrier)
    if how & TENSOR:
        box_lands(context, site, block, shared, room, byte_at(entry + MAP + SWIZZLE))
    return -1 if add_bytes(context, warp, site, lane, barrier, -size) < 0 else 0


@inner
def remove(known: int, index: int, kept: int) -> int:
    """Keep an entry, at number ``kept``; the next such number."""
    if kept != index:
        here, there = known + FIRST + index * ENTRY, known + FIRST + kept * ENTRY
        for word in range(0, ENTRY, 8):
            write_i64(there + word, read_i64(here + word))
    return kept + 1


@routine("int64", *["int64"] * 3)
def carry_in(context: int, block: int, barrier: int) -> int:
    """What is on its way to a block and counted by an mbarrier (0: any) arrives. -1: a mistake."""
    known = read_i64(block + LOADS_AT)
    if known == 0:
        return 0
    kept = coming = 0
    for index in range(read_i64(known)):
        entry = known + FIRST + index * ENTRY
        if read_i64(entry + BARRIER) == barrier:
            coming += read_i64(entry + NBYTES)
    record = place_of(block, barrier)
    arrived = read_i64(record + ARRIVED_BYTES) if record != 0 else 0
    first = read_i64(barrier) if barrier != 0 else 0
    for index in range(read_i64(known)):
        entry = known + FIRST + index * ENTRY
        if barrier == 0 or read_i64(entry + BARRIER) == barrier:
            if barrier != 0 and phase_of(read_i64(barrier)) != phase_of(first):
                warp, site = read_i64(entry + SENDER), read_i64(entry + SITE)
                lane = read_i64(entry + LANE)
                return misuse(context, warp, site, lane, barrier, TX_MISMATCH, arrived + coming)
            if carry(context, entry) < 0:
                return -1
        else:
            kept = remove(known, index, kept)
    write_i64(known, kept)
    return 0


@routine("int64", *["int64"] * 4)
def carry_out(context: int, warp: int, lanes: int, groups: int) -> int:
    """What ``lanes`` store is stored, but for their last ``groups`` groups; -1: all of it."""
    known = read_i64(warp + STORES_AT)
    if known == 0:
        return 0
    note(context, warp, 0, 0, STORES_AWAITED, 0, groups, lanes)
    kept = 0
    for index in range(read_i64(known)):
        entry = known + FIRST + index * ENTRY
        lane, group = read_i64(entry + LANE), read_i64(entry + GROUP)
        committed = read_i64(known + COMMITTED + 8 * lane)
        if lanes >> lane & 1 and (groups < 0 or group + groups < committed):
            if carry(context, entry) < 0:
                return -1
        else:
            kept = remove(known, index, kept)
    write_i64(known, kept)
    return 0


@inner
def is_now(context: int, target: int, number: int) -> bool:
    """Whether a copy is done where it is issued."""
    mode = word_at(context + MODE_AT)
    drawn = ((target >> 4) + number) * 0x9E3779B1 + word_at(context + SEED_AT) * 0x85EBCA6B
    return bool(mode == EAGER or (mode != LATE and (drawn >> 13) & 3 == 0))


@inner
def start_load(
    context: int, warp: int, site: int, lane: int, how: int, size: int, block: int, target: int,
    barrier: int,
) -> int:  # fmt: skip
    """One copy to one block's shared memory."""
    own = read_i64(warp + BLOCK_AT)
    room = room_of(how, size, read_i64(warp + OTHER_AT + 8 * lane))
    if refuse_shared(context, warp, site, lane, how, room, block, target) < 0:
        return -1
    if owner_of(context, own, barrier) != block:
        return report(context, warp, site, COPY_MISUSE, lane, 1, NOT_COUNTED, barrier)
    copy_begins(context, warp, site, lane, block, target, room)
    number = add(context, warp, site, lane, how, size, block + LOADS_AT, target, barrier)
    if number < 0:
        return -1
    note(context, warp, lane, site, LOAD_ISSUED, target, size, barrier)
    if is_now(context, target, number):
        known = read_i64(block + LOADS_AT)
        if carry(context, known + FIRST + number * ENTRY) < 0:
            return -1
        write_i64(known, number)
    return 0


@routine("int64", *["int64"] * 5)
def issue_bulk(context: int, warp: int, site: int, mask: int, how: int) -> int:
    """Start each lane's copy: shared addresses in ``Warp.addresses``, the rest behind."""
    own = read_i64(warp + BLOCK_AT)
    direction = how & 3
    for lane in range(LANES):
        if mask >> lane & 1:
            size = bytes_of(context, warp, site, lane, how)
            writes = direction == TO_GLOBAL
            if size < 0 or refuse_other(context, warp, site, lane, how, size, writes) < 0:
                return -1
            if word_at(context + OBSERVE_AT) & COUNTERS:
                write_i64(site + REQUESTS_AT, read_i64(site + REQUESTS_AT) + 1)
                write_i64(site + BYTES_AT, read_i64(site + BYTES_AT) + size)
                mode = WAVEFRONTS_AT
                if how & TENSOR:
                    mode += 8 * byte_at(read_i64(warp + OTHER_AT + 8 * lane) + SWIZZLE)
                passes = (size + WAVEFRONT_BYTES - 1) // WAVEFRONT_BYTES
                write_i64(site + mode, read_i64(site + mode) + passes)
            if word_at(context + OBSERVE_AT) & (COUNTERS | RACES | UNINITIALISED):
                watch_other(context, warp, site, lane, how, size)
            target = read_i64(warp + ADDRESSES_AT + 8 * lane)
            barrier = read_i64(warp + BARRIERS_AT + 8 * lane)
            if direction == TO_GLOBAL:
                room = room_of(how, size, read_i64(warp + OTHER_AT + 8 * lane))
                if refuse_shared(context, warp, site, lane, how, room, own, target) < 0:
                    return -1
                copy_reads(context, warp, site, lane, own, target, room)
                number = add(context, warp, site, lane, how, size, warp + STORES_AT, target, 0)
                if number < 0:
                    return -1
                note(context, warp, lane, site, STORE_ISSUED, target, size, 0)
                if is_now(context, target, number):
                    known = read_i64(warp + STORES_AT)
                    write_i64(known, number)
                    if carry(context, known + FIRST + number * ENTRY) < 0:
                        return -1
            elif how & MULTICAST:
                blocks = word_at(warp + MASKS_AT + 4 * lane) & 0xFFFF
                base = owner_of(context, own, target)
                from_block = read_i64(base + SHARED_AT) if base != 0 else 0
                for rank in range(16):
                    if blocks >> rank & 1:
                        block = peer_of(own, rank)
                        if block == 0 or base == 0:
                            return report(
                                context, warp, site, COPY_MISUSE, lane, 1, MULTICAST_RANK, rank
                            )
                        shift = read_i64(block + SHARED_AT) - from_block
                        if (
                            start_load(
                                context, warp, site, lane, how, size, block, target + shift,
                                barrier + shift,
                            ) < 0
                        ):  # fmt: skip
                            return -1
            else:
                block = owner_of(context, own, target)
                if (
                    start_load(context, warp, site, lane, how, size, block, target, barrier)
                    < 0
                ):  # fmt: skip
                    return -1
    return 0


@routine("int64", *["int64"] * 3)
def commit_bulk(context: int, warp: int, mask: int) -> int:
    """``cp.async.bulk.commit_group``: what each lane stores since its last one is a group."""
    known = list_of(warp + STORES_AT)
    note(context, warp, 0, 0, STORES_COMMITTED, 0, mask, 0)
    for lane in range(LANES):
        if mask >> lane & 1 and known != 0:
            place = known + COMMITTED + 8 * lane
            write_i64(place, read_i64(place) + 1)
    return 0


@inner
def are_last(context: int, warp: int, mask: int) -> bool:
    """Whether all threads of the block but the lanes of ``mask`` have exited."""
    warps = read_i64(read_i64(warp + BLOCK_AT) + WARPS_AT)
    for index in range(word_at(context + COUNT_AT)):
        other = warps + index * read_i64(context + STRIDE_AT)
        for lane in range(LANES):
            goes = other == warp and mask >> lane & 1
            if not goes and word_at(other + PCS_AT + 4 * lane) != EXITED:
                return False
    return True


@routine("int64", *["int64"] * 3)
def leave_bulk(context: int, warp: int, mask: int) -> int:
    """Lanes exit: what they store is stored."""
    if is_watched(context, warp, RACES) and are_last(context, warp, mask):
        known = read_i64(read_i64(warp + BLOCK_AT) + LOADS_AT)
        for index in range(read_i64(known) if known != 0 else 0):
            entry = known + FIRST + index * ENTRY
            left_behind(
                context, read_i64(entry + SENDER), read_i64(entry + SITE), read_i64(entry + LANE),
                warp, read_i64(entry + SHARED), read_i64(entry + NBYTES),
            )  # fmt: skip
    known = read_i64(warp + STORES_AT)
    if known == 0:
        return 0
    if store_all(context, warp, mask, -1) < 0:
        return -1
    for lane in range(LANES):
        if mask >> lane & 1:
            write_i64(known + COMMITTED + 8 * lane, 0)
    return 0
