"""Caches as sectored tables of lines: an L1 an SM, an L2 for all, and what crosses to DRAM.

Lines are 128 bytes of four 32-byte sectors. L1 writes through and is not filled by stores; atomics
pass it by. L2 writes back, and DRAM is read 64 bytes at a time (an H100's times for strides of 8,
16 and 32 floats show it).

Warps run here one after another, on hardware together. So whether a line is still there is not
asked of the order in which they run here, but of how many lines were filled since it was touched:

- by this warp itself: what it filled since, times the warps that run at the same time;
- by another warp that runs at the same time: they get there together, and the line is there;
- by a warp of an earlier wave of blocks: what all warps filled since.

A line is gone when that is more than the cache holds. The tables have room for twice that: of what
warps that run at the same time share, no more than that much is known to be shared.
"""

from __future__ import annotations

from typing import Any

from emulator.native.compiled import accessors, inner, stack
from emulator.native.layout import (
    LANES,
    PAIRED,
    STORE,
    BlockState,
    Context,
    Site,
    Warp,
    offset,
)
from emulator.watch.cachestate import (
    BUCKET_BYTES,
    LAUNCH_SHIFT,
    LEVEL_BYTES,
    WAYS,
    Bucket,
    CacheState,
    Level,
)
from emulator.watch.wavefronts import FULL, add, address_of, step_of

read_i64, write_i64 = accessors("int64")
read_i32, write_i32 = accessors("int32")
read_u32, _ = accessors("uint32")
lines_scratch = stack(LANES * 8)

ALL_AT, OWN_AT, WHO_AT = (offset(Bucket, name) for name in ("all", "own", "who"))
MASK_AT, LAUNCH_AT = offset(Level, "mask"), offset(CacheState, "launch")
CAPACITY_AT, FILLS_AT = offset(Level, "lines"), offset(Level, "fills")
L1_AT, SM_COUNT_AT = offset(CacheState, "l1"), offset(CacheState, "sm_count")
TOGETHER_SM_AT, TOGETHER_AT = offset(CacheState, "together_sm"), offset(CacheState, "together")
WAVE_AT = offset(CacheState, "wave_blocks")
DRAM_READ_AT, DRAM_WRITTEN_AT = offset(CacheState, "dram_read"), offset(CacheState, "dram_written")
DIRTIED_AT = offset(CacheState, "dirtied")
CACHES_AT, WARPS_AT = offset(Context, "caches"), offset(Context, "warps")
BLOCK_AT, INDEX_AT = offset(Warp, "block"), offset(Warp, "index")
BLOCK_INDEX_AT = offset(BlockState, "index")
CACHED_AS_AT, L1_LEVEL_AT = offset(Warp, "cached_as"), offset(Warp, "l1_level")
L1_FILLS_AT, L2_FILLS_AT = offset(Warp, "l1_fills"), offset(Warp, "l2_fills")
OPERATION_AT, RULE_AT = offset(Site, "operation"), offset(Site, "rule")
UNCACHED_AT = offset(Site, "uncached")
L1_HITS_AT, L2_HITS_AT = offset(Site, "l1_hits"), offset(Site, "l2_hits")
L2_SECTORS_AT = offset(Site, "l2_sectors")
WAVE_SHIFT = 40  # a warp goes by its number in the grid, below the number of its wave
WARP_MASK = (1 << WAVE_SHIFT) - 1


@inner
def sectors_in(mask: int) -> int:
    """How many of four bits are set."""
    return (mask & 1) + (mask >> 1 & 1) + (mask >> 2 & 1) + (mask >> 3 & 1)


@inner
def touch(state: int, level: int, line: int, me: int, own: int, together: int) -> Any:
    """Where the line's tag is, now touched by warp ``me``, and 1 if the line had to be filled.

    A new line takes the place of its bucket's longest untouched, whose dirty sectors are written.
    ``own`` is what the warp has filled of this cache.
    """
    launch = read_i64(state + LAUNCH_AT)
    number = (line ^ line >> 9 ^ line >> 17) & read_i64(level + MASK_AT)
    bucket = read_i64(level) + number * BUCKET_BYTES
    fills = read_i64(level + FILLS_AT)
    key = launch << LAUNCH_SHIFT - 8 | line
    way = -1
    for other in range(WAYS):
        if read_i64(bucket + 8 * other) >> 8 == key:
            way = other
    gone = True
    if way >= 0:
        who = read_i64(bucket + WHO_AT + 8 * way)
        if who == me:
            distance = (own - read_i32(bucket + OWN_AT + 4 * way)) * together
        elif who >> WAVE_SHIFT == me >> WAVE_SHIFT:
            distance = 0
        else:
            distance = fills - read_i32(bucket + ALL_AT + 4 * way)
        gone = distance > read_i64(level + CAPACITY_AT)
    else:
        way, least = 0, read_i32(bucket + ALL_AT)
        for other in range(1, WAYS):
            when = read_i32(bucket + ALL_AT + 4 * other)
            if when < least:
                way, least = other, when
    entry = bucket + 8 * way
    filled = 0
    if gone:
        tag = read_i64(entry)
        if tag & 0xF0 and tag >> LAUNCH_SHIFT == launch:
            add(state + DRAM_WRITTEN_AT, sectors_in(tag >> 4))
        write_i64(entry, key << 8)
        filled = 1
        fills += 1
        write_i64(level + FILLS_AT, fills)
    write_i64(bucket + WHO_AT + 8 * way, me)
    write_i32(bucket + OWN_AT + 4 * way, own + filled)
    write_i32(bucket + ALL_AT + 4 * way, fills)
    return entry, filled


@inner
def through_l2(
    state: int, warp: int, site: int, line: int, sectors: int, me: int, store: bool
) -> None:
    """Read or write sectors of a line in L2."""
    own = read_i64(warp + L2_FILLS_AT)
    entry, filled = touch(state, state, line, me, own, read_i64(state + TOGETHER_AT))
    write_i64(warp + L2_FILLS_AT, own + filled)
    count = sectors_in(sectors)
    add(site + L2_SECTORS_AT, count)
    tag = read_i64(entry)
    if store:
        add(state + DIRTIED_AT, sectors_in(sectors & ~(tag >> 4)))
        write_i64(entry, tag | sectors << 4 | sectors)
        add(site + L2_HITS_AT, count)
        return
    missing = sectors & ~tag
    if missing:
        pairs = (missing | (missing & 5) << 1 | (missing & 10) >> 1) & 15 & ~tag
        add(state + DRAM_READ_AT, sectors_in(pairs))
        write_i64(entry, tag | pairs)
    add(site + L2_HITS_AT, count - sectors_in(missing))


@inner
def through_l1(state: int, warp: int, site: int, line: int, sectors: int, me: int) -> None:
    """Read sectors of a line in the SM's L1, and in L2 what is missing there."""
    level = read_i64(warp + L1_LEVEL_AT)
    own = read_i64(warp + L1_FILLS_AT)
    entry, filled = touch(state, level, line, me, own, read_i64(state + TOGETHER_SM_AT))
    write_i64(warp + L1_FILLS_AT, own + filled)
    tag = read_i64(entry)
    missing = sectors & ~tag
    if missing:
        write_i64(entry, tag | sectors)
        through_l2(state, warp, site, line, missing, me, False)
    add(site + L1_HITS_AT, sectors_in(sectors) - sectors_in(missing))


@inner
def identity(context: int, state: int, warp: int) -> int:
    """Who the warp is, for touches; its own counts start over when it runs another block."""
    block = read_i64(read_i64(warp + BLOCK_AT) + BLOCK_INDEX_AT)
    number = block * read_u32(context + WARPS_AT) + read_u32(warp + INDEX_AT) + 1
    known: int = read_i64(warp + CACHED_AS_AT)
    if known & WARP_MASK == number:
        return known
    me: int = block // read_i64(state + WAVE_AT) << WAVE_SHIFT | number
    sm = block % read_i64(state + SM_COUNT_AT)
    write_i64(warp + CACHED_AS_AT, me)
    write_i64(warp + L1_LEVEL_AT, read_i64(state + L1_AT) + sm * LEVEL_BYTES)
    write_i64(warp + L1_FILLS_AT, 0)
    write_i64(warp + L2_FILLS_AT, 0)
    return me


@inner
def lines_of(warp: int, mask: int, nbytes: int, lines: int) -> int:
    """Write the distinct lines of an access, each with its sectors below it; how many."""
    count = 0
    if mask == FULL and step_of(warp) == nbytes:
        first = address_of(warp, 0) >> 5
        last = address_of(warp, LANES - 1) + nbytes - 1 >> 5
        for line in range(first >> 2, (last >> 2) + 1):
            low = max(first - 4 * line, 0)
            high = min(last - 4 * line, 3)
            write_i64(lines + 8 * count, line << 4 | (2 << high) - (1 << low))
            count += 1
        return count
    for lane in range(LANES):
        if mask >> lane & 1:
            address = address_of(warp, lane)
            line = address >> 7
            bits = 1 << (address >> 5 & 3) | 1 << (address + nbytes - 1 >> 5 & 3)
            place = count - 1
            while place >= 0 and read_i64(lines + 8 * place) >> 4 != line:
                place -= 1
            if place >= 0:
                write_i64(lines + 8 * place, read_i64(lines + 8 * place) | bits)
            else:
                write_i64(lines + 8 * count, line << 4 | bits)
                count += 1
    return count


@inner
def access_caches(context: int, warp: int, site: int, mask: int, nbytes: int) -> None:
    """Send one access to global memory through the caches, a line at a time."""
    state = read_i64(context + CACHES_AT)
    me = identity(context, state, warp)
    store = read_i64(site + OPERATION_AT) == STORE
    ordinary = read_i64(site + RULE_AT) <= PAIRED and read_i64(site + UNCACHED_AT) == 0
    lines = lines_scratch()
    count = lines_of(warp, mask, nbytes, lines)
    for number in range(count):
        packed = read_i64(lines + 8 * number)
        if ordinary and not store:
            through_l1(state, warp, site, packed >> 4, packed & 15, me)
        else:
            through_l2(state, warp, site, packed >> 4, packed & 15, me, store)
