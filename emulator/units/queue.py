"""The queue of a warp's asynchronous copies in flight, and what happens when they finish.

A copy's bytes are read and written when its thread waits for its group, as late as the program
allows, so that a program that does not wait sees what was there before. Other times that hardware
might take are there to try: at once, and at random (``Context.copies``).

The queue lies on the heap and grows. An entry is one instruction's copies of one group::

    0  lanes still in flight    8  group    16  bytes a lane    24  lanes due    32 site
    40 sources[32]    296 targets, or mbarriers[32]    552 bytes to read, u8[32]

One of 0 bytes a lane stands for ``cp.async.mbarrier.arrive``: it arrives at its lanes' mbarriers
when no copy of theirs is left before it. PTX ISA 9.7.9.25, "Asynchronous copy".
"""

from __future__ import annotations

from emulator.native.compiled import accessors, external, inner, routine
from emulator.native.heap import heap
from emulator.native.layout import (
    COPY_MISUSE,
    LANES,
    SHUFFLED,
    BlockState,
    Context,
    Site,
    Warp,
    offset,
)
from emulator.units.fault import report
from emulator.units.word import arrive
from emulator.watch.landing import landed

read_u8, write_u8 = accessors("uint8")
read_u32, write_u32 = accessors("uint32")
read_i64, write_i64 = accessors("int64")
resize = heap()
settle = external("settle_copies", "int64", "int64", "int64")

MODE_AT, SEED_AT = offset(Context, "copies"), offset(Context, "copy_seed")
FORCED_AT, OBSERVE_AT = offset(Context, "copies_forced"), offset(Context, "observe")
BLOCK_AT, INDEX_AT = offset(Warp, "block"), offset(Warp, "index")
BLOCK_INDEX_AT, WARPS_AT = offset(BlockState, "index"), offset(BlockState, "warps")
COUNT_AT, STRIDE_AT = offset(Context, "warps"), offset(Context, "warp_bytes")
ADDRESSES_AT, DATA_AT = offset(Warp, "addresses"), offset(Warp, "data")
QUEUE_AT, SITE_COUNTED_AT = offset(Warp, "copies"), offset(Site, "bytes")

# The queue's head: entries, room for entries, draws made, then groups committed by each lane.
ROOM, DRAWS, COMMITTED, FIRST = 8, 16, 64, 64 + 8 * LANES
GROUP, NBYTES, DUE, SITE = 8, 16, 24, 32
SOURCES, TARGETS, READS, ENTRY = 40, 40 + 8 * LANES, 40 + 16 * LANES, 40 + 17 * LANES
SIZES_AT = DATA_AT + 8 * LANES  # behind the sources in a warp's scratch
MOST = 4096  # entries; a warp that has more in flight sees the older half finish early


@inner
def queue_of(warp: int) -> int:
    """The warp's queue, made when there is none; 0 without memory."""
    queue: int = read_i64(warp + QUEUE_AT)
    if queue == 0:
        queue = resize(0, FIRST + 16 * ENTRY)
        if queue != 0:
            write_i64(queue, 0)
            write_i64(queue + ROOM, 16)
            write_i64(queue + DRAWS, 0)
            for lane in range(LANES):
                write_i64(queue + COMMITTED + 8 * lane, 0)
            write_i64(warp + QUEUE_AT, queue)
    return queue


@inner
def move(entry: int, lane: int) -> None:
    """Copy one lane's bytes; those that it does not read become zero."""
    source = read_i64(entry + SOURCES + 8 * lane)
    target = read_i64(entry + TARGETS + 8 * lane)
    reads = read_u8(entry + READS + lane)
    nbytes = read_i64(entry + NBYTES)
    if reads == 16:
        low, high = read_i64(source), read_i64(source + 8)
        write_i64(target, low)
        write_i64(target + 8, high)
        return
    for byte in range(nbytes):
        write_u8(target + byte, read_u8(source + byte) if byte < reads else 0)


@inner
def finish(context: int, warp: int, entry: int, lanes: int) -> int:
    """What an entry stands for happens, for some of its lanes. -1: a mistake."""
    nbytes, site = read_i64(entry + NBYTES), read_i64(entry + SITE)
    for lane in range(LANES):
        if lanes >> lane & 1:
            if nbytes > 0:
                move(entry, lane)
                landed(warp, read_i64(entry + TARGETS + 8 * lane), nbytes)
                continue
            barrier = read_i64(entry + TARGETS + 8 * lane)
            if arrive(context, warp, site, lane, barrier, 1, 0, 0) < 0:
                return -1
    return 0


@routine("int64", "int64", "int64")
def settle_copies(context: int, warp: int) -> int:
    """Finish what is due, let arrives follow, close the gaps. -1: an arrive was a mistake."""
    queue = read_i64(warp + QUEUE_AT)
    kept = 0
    before = 0  # lanes that have a copy in flight before the entry
    for index in range(read_i64(queue)):
        entry = queue + FIRST + index * ENTRY
        lanes = read_i64(entry)
        nbytes = read_i64(entry + NBYTES)
        due = lanes & (~before if nbytes == 0 else read_i64(entry + DUE))
        if due != 0 and finish(context, warp, entry, due) < 0:
            return -1
        lanes &= ~due
        if nbytes > 0:
            before |= lanes
        if lanes != 0:
            write_i64(entry, lanes)
            write_i64(entry + DUE, 0)
            if kept != index:
                place = queue + FIRST + kept * ENTRY
                for word in range(ENTRY // 8):
                    write_i64(place + 8 * word, read_i64(entry + 8 * word))
            kept += 1
    write_i64(queue, kept)
    return 0


@inner
def draw(context: int, warp: int, queue: int) -> int:
    """32 random bits, each set one time in four: which lanes' copies finish now."""
    block = read_i64(warp + BLOCK_AT)
    count = read_i64(queue + DRAWS) + 1
    write_i64(queue + DRAWS, count)
    bits: int = read_u32(context + SEED_AT) + (count << 32)
    bits ^= read_i64(block + BLOCK_INDEX_AT) * 0x632BE59BD9B4E019
    bits ^= (read_u32(warp + INDEX_AT) + 1) * 0x1E3779B97F4A7C15
    for _ in range(3):  # the finaliser of splitmix64
        bits = (bits ^ (bits >> 30 & 0x3FFFFFFFF)) * 0x3F58476D1CE4E5B9
        bits ^= bits >> 27 & 0x1FFFFFFFFF
    return (bits >> 32) & bits & 0xFFFFFFFF


@inner
def drift(context: int, warp: int) -> None:
    """In shuffled launches, some copies become due."""
    queue = read_i64(warp + QUEUE_AT)
    if queue != 0 and read_u32(context + MODE_AT) == SHUFFLED:
        for index in range(read_i64(queue)):
            entry = queue + FIRST + index * ENTRY
            if read_i64(entry + NBYTES) != 0:
                write_i64(entry + DUE, read_i64(entry + DUE) | draw(context, warp, queue))


@routine("int64", "int64", "int64")
def advance_copies(context: int, warp: int) -> int:
    """In shuffled launches, time passes."""
    if read_u32(context + MODE_AT) == SHUFFLED and read_i64(warp + QUEUE_AT) != 0:
        drift(context, warp)
        return int(settle(context, warp))
    return 0


@routine("int64", "int64", "int64", "int64")
def make_room_for_copy(context: int, warp: int, site: int) -> int:
    """Room for one more entry: more memory, or the older half finishes early. -1: a mistake."""
    queue = queue_of(warp)
    if queue == 0:
        return report(context, warp, site, COPY_MISUSE, 0, 0, 0, 0)
    count, room = read_i64(queue), read_i64(queue + ROOM)
    if count < room:
        return 0
    if room < MOST:
        larger = resize(queue, FIRST + 2 * room * ENTRY)
        if larger != 0:
            write_i64(larger + ROOM, 2 * room)
            write_i64(warp + QUEUE_AT, larger)
            return 0
    write_i64(context + FORCED_AT, read_i64(context + FORCED_AT) + 1)
    for index in range(count // 2):
        write_i64(queue + FIRST + index * ENTRY + DUE, 0xFFFFFFFF)
    return int(settle(context, warp))
