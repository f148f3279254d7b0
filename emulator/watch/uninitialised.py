"""initcheck: reads of memory that nobody has written.

A map has a byte for every byte of memory: SET, UNSET, or DOUBTFUL where a launch that nobody
watched may have written the pattern that fresh memory is filled with.
"""

from __future__ import annotations

from emulator.native.compiled import accessors, inner
from emulator.native.layout import GLOBAL, LANES, Warp
from emulator.watch.clocks import CLOCK_AT, INDEX_AT, TAG_AT
from emulator.watch.complaints import complain
from emulator.watch.shadow import (
    CLOCK_SHIFT,
    IS_FLOAT,
    THREAD_SHIFT,
    UNINITIALISED_READ,
    UNSET,
    Facts,
    offset,
)

read_u8, write_u8 = accessors("uint8")
read_u16, write_u16 = accessors("uint16")
read_u32, write_u32 = accessors("uint32")
read_i64, write_i64 = accessors("int64")

ADDRESSES_AT = offset(Warp, "addresses")
NUMBER_AT = offset(Facts, "number")
FLAGS_AT = offset(Facts, "flags")


@inner
def fill_bytes(address: int, nbytes: int, value: int) -> None:
    """Set bytes, eight at a time where there are eight."""
    wide = value * 0x0101010101010101
    for word in range(nbytes // 8):
        write_i64(address + 8 * word, wide)
    for byte in range(nbytes // 8 * 8, nbytes):
        write_u8(address + byte, value)


@inner
def is_set(place: int, nbytes: int) -> bool:
    """Whether all of an aligned access has been written."""
    if nbytes == 4:
        return int(read_u32(place)) == 0
    if nbytes == 2:
        return int(read_u16(place)) == 0
    if nbytes == 1:
        return int(read_u8(place)) == 0
    either = 0
    for word in range(nbytes // 8):
        either |= read_i64(place + 8 * word)
    return either == 0


@inner
def first_unset(place: int, nbytes: int, is_float: bool) -> int:
    """The first byte to complain of; -1: none. A whole number may be the fill pattern itself."""
    for byte in range(nbytes):
        state = int(read_u8(place + byte))
        if state == UNSET or (state != 0 and is_float):
            return byte
    return -1


@inner
def watch_uninitialised(
    checker: int,
    shadow: int,
    warp: int,
    facts: int,
    mask: int,
    nbytes: int,
    space: int,
    unset: int,
    origin: int,
    lane_bytes: int,
    reads: bool,
    writes: bool,
    dense: bool,
) -> None:
    """Complain of reads before any write; note writes.

    ``unset`` maps memory from ``origin`` on, plus ``lane_bytes`` for each lane before.
    """
    flags = read_i64(facts + FLAGS_AT)
    if dense and lane_bytes == 0:
        place = unset + read_i64(warp + ADDRESSES_AT) - origin
        if is_set(place, LANES * nbytes):
            return
        if not reads:
            fill_bytes(place, LANES * nbytes, 0)
            return
    for lane in range(LANES):
        if not mask >> lane & 1:
            continue
        address = read_i64(warp + ADDRESSES_AT + 8 * lane)
        place = unset + address - origin + lane_bytes * lane
        if is_set(place, nbytes):
            continue
        if reads:
            byte = first_unset(place, nbytes, flags & IS_FLOAT != 0)
            if byte >= 0:
                index = int(read_u32(warp + INDEX_AT))
                clock = read_i64(shadow + CLOCK_AT + 8 * index)
                stamp = read_i64(shadow + TAG_AT) | (index * LANES + lane) << THREAD_SHIFT
                stamp |= clock << CLOCK_SHIFT | read_i64(facts + NUMBER_AT)
                shown = address + byte if space == GLOBAL else address + byte - origin
                complain(
                    checker, UNINITIALISED_READ, space, stamp, stamp, shown, nbytes, 0, 0, 0, 0, 0
                )
        if writes:
            fill_bytes(place, nbytes, 0)
