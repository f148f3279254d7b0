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

from emulator.native.compiled import accessors, inlined, stack
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
    FILLS_SHIFT,
    LEVEL_BYTES,
    LINE_SHIFT,
    NUMBER_SHIFT,
    WAVE_SHIFT,
    WAYS,
    Bucket,
    CacheState,
    Level,
)
from emulator.watch.wavefronts import FULL, add, address_of, step_of

read_i64, write_i64 = accessors("int64")
read_u32, _ = accessors("uint32")
lines_scratch = stack(LANES * 8)

TOUCHED_AT = offset(Bucket, "touched")
MASK_AT, START_AT = offset(Level, "mask"), offset(Level, "start")
CAPACITY_AT, FILLS_AT = offset(Level, "lines"), offset(Level, "fills")
TOGETHER_AT = offset(Level, "together")
L1_AT, SM_COUNT_AT = offset(CacheState, "l1"), offset(CacheState, "sm_count")
FIRST_LINE_AT = offset(CacheState, "first_line")
STORE_LINES_AT = offset(CacheState, "store_lines")
WAVE_BLOCKS_AT = offset(CacheState, "wave_blocks")
DRAM_READ_AT, DRAM_WRITTEN_AT = offset(CacheState, "dram_read"), offset(CacheState, "dram_written")
DIRTIED_AT = offset(CacheState, "dirtied")
CACHES_AT, WARPS_AT = offset(Context, "caches"), offset(Context, "warps")
BLOCK_AT, INDEX_AT = offset(Warp, "block"), offset(Warp, "index")
BLOCK_INDEX_AT = offset(BlockState, "index")
CACHED_AS_AT, WAVE_AT = offset(Warp, "cached_as"), offset(Warp, "wave")
L1_LEVEL_AT = offset(Warp, "l1_level")
L1_FILLS_AT, L2_FILLS_AT = offset(Warp, "l1_fills"), offset(Warp, "l2_fills")
OPERATION_AT, RULE_AT = offset(Site, "operation"), offset(Site, "rule")
UNCACHED_AT = offset(Site, "uncached")
L1_HITS_AT, L2_HITS_AT = offset(Site, "l1_hits"), offset(Site, "l2_hits")
L2_SECTORS_AT = offset(Site, "l2_sectors")

LINE_MASK = (1 << NUMBER_SHIFT - LINE_SHIFT) - 1
WAVE_MASK = (1 << FILLS_SHIFT - WAVE_SHIFT) - 1
OWN_MASK = (1 << WAVE_SHIFT) - 1
NUMBER_MASK = (1 << 63 - NUMBER_SHIFT) - 1  # more warps than run at the same time
NEIGHBOURS_SHIFT = 2  # lines that lie in one bucket
SECTOR_BYTES = 32
BITS_SET = 0x4332322132212110  # in each number of four bits, four bits apart


@inlined
def sectors_in(mask: int) -> int:
    """How many of four bits are set."""
    return BITS_SET >> 4 * mask & 7


@inlined
def bucket_of(level: int, line: int) -> int:
    """Where a line is, if it is there.

    Neighbouring lines share a bucket, and neighbouring buckets follow one another: what streams
    through the modelled cache streams through the host's, which are smaller than the table.
    """
    place = line >> NEIGHBOURS_SHIFT
    place = (place ^ place >> 9 ^ place >> 17) & read_i64(level + MASK_AT)
    address: int = read_i64(level) + place * BUCKET_BYTES
    return address


@inlined
def touch(state: int, level: int, line: int, number: int, wave: int, own: int) -> Any:
    """Where the line's tag is, now touched by a warp, and 1 if the line had to be filled.

    A new line takes the place of its bucket's longest untouched, whose dirty sectors are written.
    ``number`` and ``wave`` say which warp it is, ``own`` what it has filled of this cache.
    """
    bucket = bucket_of(level, line)
    fills = read_i64(level + FILLS_AT)
    entry = 0
    for way in range(WAYS):
        if read_i64(bucket + 8 * way) >> LINE_SHIFT & LINE_MASK == line:
            entry = bucket + 8 * way
    gone = entry == 0
    if gone:
        entry, least = bucket, read_i64(bucket + TOUCHED_AT)
        for way in range(1, WAYS):
            touched = read_i64(bucket + 8 * way + TOUCHED_AT)
            if touched < least:
                entry, least = bucket + 8 * way, touched
    tag, touched = read_i64(entry), read_i64(entry + TOUCHED_AT)
    earlier = touched >> FILLS_SHIFT <= read_i64(level + START_AT)  # by another launch
    if not gone:
        since = fills - (touched >> FILLS_SHIFT)
        if touched >> WAVE_SHIFT & WAVE_MASK == wave:
            since = 0
            if tag >> NUMBER_SHIFT == number:
                since = (own - touched & OWN_MASK) * read_i64(level + TOGETHER_AT)
        gone = earlier or since > read_i64(level + CAPACITY_AT)
    sectors, filled = tag & 0xFF, 0
    if gone:
        if sectors > 15 and not earlier:
            add(state + DRAM_WRITTEN_AT, sectors_in(sectors >> 4))
        sectors, filled = 0, 1
        write_i64(level + FILLS_AT, fills + 1)
    write_i64(entry, number << NUMBER_SHIFT | line << LINE_SHIFT | sectors)
    when = fills + filled << FILLS_SHIFT | wave << WAVE_SHIFT | own + filled & OWN_MASK
    write_i64(entry + TOUCHED_AT, when)
    return entry, filled


@inlined
def through_l2(
    state: int, warp: int, line: int, sectors: int, number: int, wave: int, store: bool
) -> int:
    """Read or write sectors of a line in L2; how many were there, or are written."""
    own = read_i64(warp + L2_FILLS_AT)
    entry, filled = touch(state, state, line, number, wave, own)
    write_i64(warp + L2_FILLS_AT, own + filled)
    tag = read_i64(entry)
    if store:
        add(state + DIRTIED_AT, sectors_in(sectors & ~(tag >> 4)))
        write_i64(entry, tag | sectors << 4 | sectors)
        return sectors_in(sectors)
    missing = sectors & ~tag
    if missing:
        pairs = (missing | (missing & 5) << 1 | (missing & 10) >> 1) & 15 & ~tag
        add(state + DRAM_READ_AT, sectors_in(pairs))
        write_i64(entry, tag | pairs)
    return sectors_in(sectors) - sectors_in(missing)


@inlined
def missing_in_l1(
    state: int, level: int, warp: int, line: int, sectors: int, number: int, wave: int
) -> int:
    """Read sectors of a line in the SM's L1; those that it has to get from L2."""
    own = read_i64(warp + L1_FILLS_AT)
    entry, filled = touch(state, level, line, number, wave, own)
    write_i64(warp + L1_FILLS_AT, own + filled)
    tag = read_i64(entry)
    missing: int = sectors & ~tag
    if missing:
        write_i64(entry, tag | sectors)
    return missing


@inlined
def identity(context: int, state: int, warp: int) -> Any:
    """The warp's number and its wave's; its own counts start over when it runs another block."""
    block = read_i64(read_i64(warp + BLOCK_AT) + BLOCK_INDEX_AT)
    number = block * read_u32(context + WARPS_AT) + read_u32(warp + INDEX_AT) & NUMBER_MASK
    if read_i64(warp + CACHED_AS_AT) != block + 1:
        sm = block % read_i64(state + SM_COUNT_AT)
        write_i64(warp + CACHED_AS_AT, block + 1)
        write_i64(warp + WAVE_AT, block // read_i64(state + WAVE_BLOCKS_AT) & WAVE_MASK)
        write_i64(warp + L1_LEVEL_AT, read_i64(state + L1_AT) + sm * LEVEL_BYTES)
        write_i64(warp + L1_FILLS_AT, 0)
        write_i64(warp + L2_FILLS_AT, 0)
    return number, read_i64(warp + WAVE_AT)


@inlined
def lines_of(warp: int, mask: int, nbytes: int, lines: int) -> int:
    """Write the distinct lines of an access, each with its sectors below it; how many."""
    count = 0
    if mask == FULL and 0 <= step_of(warp) <= SECTOR_BYTES:  # no sector between is left out
        first = address_of(warp, 0) >> 5
        last = address_of(warp, LANES - 1) + nbytes - 1 >> 5
        for line in range(first >> 2, (last >> 2) + 1):
            low = max(first - 4 * line, 0)
            high = min(last - 4 * line, 3)
            write_i64(lines + 8 * count, line << 4 | (2 << high) - (1 << low))
            count += 1
        return count
    highest = -1
    for lane in range(LANES):
        if mask >> lane & 1:
            address = address_of(warp, lane)
            line = address >> 7
            bits = 1 << (address >> 5 & 3) | 1 << (address + nbytes - 1 >> 5 & 3)
            place = count - 1 if line <= highest else -1  # above all others: it is new
            highest = max(highest, line)
            while place >= 0 and read_i64(lines + 8 * place) >> 4 != line:
                place -= 1
            if place >= 0:
                write_i64(lines + 8 * place, read_i64(lines + 8 * place) | bits)
            else:
                write_i64(lines + 8 * count, line << 4 | bits)
                count += 1
    return count


@inlined
def access_caches(context: int, warp: int, site: int, mask: int, nbytes: int) -> None:
    """Send one access to global memory through the caches, a line at a time."""
    state = read_i64(context + CACHES_AT)
    number, wave = identity(context, state, warp)
    level = read_i64(warp + L1_LEVEL_AT)
    store = read_i64(site + OPERATION_AT) == STORE
    ordinary = read_i64(site + RULE_AT) <= PAIRED and read_i64(site + UNCACHED_AT) == 0
    through_l1 = ordinary and not store
    first = read_i64(state + FIRST_LINE_AT)
    lines = lines_scratch()
    l1_hits = reached = l2_hits = 0
    count = lines_of(warp, mask, nbytes, lines)
    if store:
        add(state + STORE_LINES_AT, count)
    for place in range(count):
        packed = read_i64(lines + 8 * place)
        line, sectors = (packed >> 4) - first, packed & 15
        if through_l1:
            missing = missing_in_l1(state, level, warp, line, sectors, number, wave)
            l1_hits += sectors_in(sectors) - sectors_in(missing)
            sectors = missing
        if sectors:
            reached += sectors_in(sectors)
            l2_hits += through_l2(state, warp, line, sectors, number, wave, store)
    add(site + L1_HITS_AT, l1_hits)
    add(site + L2_SECTORS_AT, reached)
    add(site + L2_HITS_AT, l2_hits)
