"""Wavefronts of shared memory: the passes in which its 32 banks serve one instruction of a warp.

Shared memory has 32 banks of 4-byte words. In one pass each bank delivers one word, to as many
lanes as want it. Lanes of 4 bytes or less are served together: the passes are the most words that
any bank has to deliver. Wider lanes are served in groups, half-warps for 8 bytes and quarter-warps
for 16. Two neighbouring groups of a load are served as one where every lane finds its neighbour
(``lane ^ 1``), or every lane the next but one (``lane ^ 2``), inactive or at its own address.
Atomics serve lanes of one word one after the other, and compare-and-swap takes two passes each.
(Fitted to counters recorded on an H100: ``benchmarks/results/access_counters_h100.json``.)
"""

from __future__ import annotations

from typing import Any

from emulator.native.compiled import accessors, inner, stack
from emulator.native.layout import (
    ATOMIC_RULE,
    LANES,
    PAIRED,
    SWAP_RULE,
    Site,
    Warp,
    offset,
)

read_i32, write_i32 = accessors("int32")
read_i64, write_i64 = accessors("int64")
banks_scratch = stack(32 * 4)
words_scratch = stack(128 * 8)

ADDRESSES_AT = offset(Warp, "addresses")
REQUESTS_AT = offset(Site, "shared_requests")
BYTES_AT = offset(Site, "shared_bytes")
WAVEFRONTS_AT = offset(Site, "wavefronts")
IDEAL_AT = offset(Site, "ideal_wavefronts")
RULE_AT = offset(Site, "rule")
BANKS = 32
BANK_BYTES = 4
FULL = 0xFFFFFFFF


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
def address_of(warp: int, lane: int) -> int:
    """A lane's address."""
    address: int = read_i64(warp + ADDRESSES_AT + 8 * lane)
    return address


@inner
def step_of(warp: int) -> int:
    """Bytes from each lane's address to the next one's; -1 where they differ."""
    first = address_of(warp, 0)
    step = address_of(warp, 1) - first
    uneven = 0
    for lane in range(LANES):
        uneven |= address_of(warp, lane) ^ first
        first += step
    return step if uneven == 0 else -1


@inner
def busiest(warp: int, mask: int, base: int, words: int) -> int:
    """The most distinct words any bank has to deliver.

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
            first = (address_of(warp, lane) - base) // BANK_BYTES
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
    return worst


@inner
def most_lanes(warp: int, mask: int, base: int) -> int:
    """The most lanes whose address is in one bank: atomics take them one by one."""
    counts = banks_scratch()
    for bank in range(BANKS):
        write_i32(counts + 4 * bank, 0)
    worst = 0
    for lane in range(LANES):
        if mask >> lane & 1:
            count = counts + 4 * ((address_of(warp, lane) - base) // BANK_BYTES % BANKS)
            lanes = read_i32(count) + 1
            write_i32(count, lanes)
            worst = max(worst, lanes)
    return worst


@inner
def twins(warp: int, mask: int, apart: int) -> bool:
    """Whether every active lane has the lane ``apart`` (1 or 2) inactive, or at its address."""
    for lane in range(LANES):
        both = mask >> lane & mask >> (lane ^ apart) & 1
        if both and address_of(warp, lane) != address_of(warp, lane ^ apart):
            return False
    return True


@inner
def in_groups(warp: int, mask: int, base: int, words: int, lanes: int) -> Any:
    """Passes over groups of ``lanes`` neighbours, and the groups there are."""
    passes = 0
    groups = 0
    for start in range(0, LANES, lanes):
        group = mask & ((1 << lanes) - 1) << start
        if group:
            passes += busiest(warp, group, base, words)
            groups += 1
    return passes, groups


@inner
def atomic_passes(warp: int, mask: int, base: int, nbytes: int) -> Any:
    """Passes of an atomic, and those it would take without conflicts."""
    if nbytes <= BANK_BYTES:
        return most_lanes(warp, mask, base), 1
    passes = 0
    groups = 0
    for start in range(0, LANES, 16):
        group = mask & 0xFFFF << start
        if group:
            passes += most_lanes(warp, group, base)
            groups += 1
    return passes, groups


@inner
def wavefronts(warp: int, mask: int, base: int, nbytes: int, rule: int) -> Any:
    """Wavefronts of an access of ``nbytes`` a lane, and those it would take without conflicts.

    ``base`` is where the block's shared memory starts; the warp's addresses count from zero with it
    taken away. ``mask`` is not empty.
    """
    if rule == ATOMIC_RULE:
        return atomic_passes(warp, mask, base, nbytes)
    if rule == SWAP_RULE:
        passes, groups = atomic_passes(warp, mask, base, nbytes)
        return 2 * passes, 2 * groups
    words = max(nbytes // BANK_BYTES, 1)
    if mask == FULL:
        step = step_of(warp)
        if step == nbytes:
            return words, words
        if words == 1 and step >= 0 and step % BANK_BYTES == 0:
            apart = step // BANK_BYTES
            return (min(apart & -apart, BANKS) if apart else 1), 1
    if words == 1:
        return busiest(warp, mask, base, 1), 1
    lanes = 16 if words == 2 else 8
    if rule == PAIRED and (twins(warp, mask, 1) or twins(warp, mask, 2)):
        lanes *= 2
    return in_groups(warp, mask, base, words, lanes)


@inner
def count_wavefronts(warp: int, site: int, mask: int, nbytes: int, base: int) -> None:
    """Count one access to shared memory at its instruction."""
    passes, ideal = wavefronts(warp, mask, base, nbytes, read_i64(site + RULE_AT))
    add(site + REQUESTS_AT, 1)
    add(site + BYTES_AT, lanes_in(mask) * nbytes)
    add(site + WAVEFRONTS_AT, passes)
    add(site + IDEAL_AT, ideal)
