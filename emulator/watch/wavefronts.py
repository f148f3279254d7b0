"""Wavefronts of shared memory: the passes in which its 32 banks serve one instruction of a warp.

Shared memory has 32 banks of 4-byte words. In one pass each bank delivers one word, to as many
lanes as want it. Lanes of 4 bytes or less are served together: the passes are the most words that
any bank has to deliver. Wider lanes are served in groups, half-warps for 8 bytes and quarter-warps
for 16, unless the groups together ask no bank for two words (CUDA C++ Programming Guide, compute
capability 5.x and later, and recorded counters of an H100).
"""

from __future__ import annotations

from emulator.native.compiled import accessors, inner, stack
from emulator.native.layout import LANES, Site, Warp, offset

read_i32, write_i32 = accessors("int32")
read_i64, write_i64 = accessors("int64")
banks_scratch = stack(32 * 4)
words_scratch = stack(128 * 8)

ADDRESSES_AT = offset(Warp, "addresses")
REQUESTS_AT = offset(Site, "shared_requests")
BYTES_AT = offset(Site, "shared_bytes")
WAVEFRONTS_AT = offset(Site, "wavefronts")
IDEAL_AT = offset(Site, "ideal_wavefronts")
BANKS = 32
BANK_BYTES = 4
FULL = 0xFFFFFFFF
LOW_HALF = 0xFFFF
LOW_QUARTER = 0xFF


@inner
def add(address: int, amount: int) -> None:
    """Add to a 64-bit number in memory."""
    write_i64(address, read_i64(address) + amount)


@inner
def lanes_in(mask: int) -> int:
    """How many of the 32 bits are set."""
    mask = mask - (mask >> 1 & 0x55555555)
    mask = (mask & 0x33333333) + (mask >> 2 & 0x33333333)
    mask = mask + (mask >> 4) & 0x0F0F0F0F
    return (mask * 0x01010101 & FULL) >> 24


@inner
def step_of(warp: int) -> int:
    """Bytes from each lane's address to the next one's; -1 where they differ."""
    first = read_i64(warp + ADDRESSES_AT)
    step = read_i64(warp + ADDRESSES_AT + 8) - first
    uneven = 0
    for lane in range(LANES):
        uneven |= read_i64(warp + ADDRESSES_AT + 8 * lane) ^ first
        first += step
    return step if uneven == 0 else -1


@inner
def busiest(warp: int, mask: int, base: int, words: int) -> tuple[int, int]:
    """The most distinct words any bank has to deliver, and all distinct words.

    ``words`` is what each lane of ``mask`` asks for from its address on. Each bank keeps a list of
    the words asked of it: ``heads`` by bank, and (next, word) pairs.
    """
    heads, pairs = banks_scratch(), words_scratch()
    for bank in range(BANKS):
        write_i32(heads + 4 * bank, -1)
    worst = 0
    count = 0
    for lane in range(LANES):
        if mask >> lane & 1:
            first = (read_i64(warp + ADDRESSES_AT + 8 * lane) - base) // BANK_BYTES
            for word in range(first, first + words):
                head = heads + 4 * (word % BANKS)
                depth = 1
                link = read_i32(head)
                while link >= 0:
                    if read_i32(pairs + 8 * link + 4) == word:
                        break
                    link = read_i32(pairs + 8 * link)
                    depth += 1
                if link < 0:
                    write_i32(pairs + 8 * count, read_i32(head))
                    write_i32(pairs + 8 * count + 4, word)
                    write_i32(head, count)
                    count += 1
                    worst = max(worst, depth)
    return worst, count


@inner
def in_groups(warp: int, mask: int, base: int, words: int, lanes: int) -> int:
    """Passes for groups of ``lanes`` neighbours, two of which may be served in one."""
    total = 0
    group = (1 << lanes) - 1
    for start in range(0, LANES, 2 * lanes):
        low, high = mask & group << start, mask & group << start + lanes
        if low | high:
            together, _ = busiest(warp, low | high, base, words)
            if together > 1 and low and high:
                together = busiest(warp, low, base, words)[0] + busiest(warp, high, base, words)[0]
            total += together
    return total


@inner
def wavefronts(warp: int, mask: int, base: int, nbytes: int) -> tuple[int, int]:
    """Wavefronts of an access of ``nbytes`` a lane, and the fewest that its words would need.

    ``base`` is where the block's shared memory starts; the warp's addresses count from zero with it
    taken away. ``mask`` is not empty.
    """
    if mask == FULL:
        step = step_of(warp)
        if step == 0:
            return 1, 1
        if step == nbytes:
            ideal = max(nbytes // BANK_BYTES, 1)
            return ideal, ideal
        if step > 0 and step % BANK_BYTES == 0 and nbytes <= BANK_BYTES:
            return min(step // BANK_BYTES & -(step // BANK_BYTES), BANKS), 1
    words = max(nbytes // BANK_BYTES, 1)
    passes, distinct = busiest(warp, mask, base, words)
    ideal = (distinct + BANKS - 1) // BANKS
    if passes > 1 and words > 1:
        passes = in_groups(warp, mask, base, words, 16 if words == 2 else 8)
    return passes, ideal


@inner
def count_wavefronts(warp: int, site: int, mask: int, nbytes: int, base: int) -> None:
    """Count one access to shared memory at its instruction."""
    passes, ideal = wavefronts(warp, mask, base, nbytes)
    add(site + REQUESTS_AT, 1)
    add(site + BYTES_AT, lanes_in(mask) * nbytes)
    add(site + WAVEFRONTS_AT, passes)
    add(site + IDEAL_AT, ideal)
