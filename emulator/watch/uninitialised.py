"""initcheck: reads of memory that nobody has written.

A map has a byte for every byte of memory: SET, UNSET, or DOUBTFUL where a launch that nobody
watched may have written the pattern that fresh memory is filled with.

Of global memory, another map says of stretches of 128 bytes what all their bytes are, or that they
are MIXED. Only those look at the map of bytes, so memory that was copied from the host, or that is
written a line at a time, costs a look at a byte or two for a whole warp.
"""

from __future__ import annotations

from emulator.memory import POISON
from emulator.native.compiled import accessors, elements, inner, routine
from emulator.native.layout import GLOBAL, LANES, Warp
from emulator.watch.clocks import CLOCK_AT, INDEX_AT, TAG_AT
from emulator.watch.complaints import complain
from emulator.watch.shadow import (
    CLOCK_SHIFT,
    IS_FLOAT,
    MIXED,
    SET,
    STRETCH_BYTES,
    STRETCH_SHIFT,
    THREAD_SHIFT,
    UNINITIALISED_READ,
    UNSET,
    Facts,
    offset,
)
from emulator.watch.wavefronts import FULL, lanes_in

read_u8, write_u8 = accessors("uint8")
read_u16, write_u16 = accessors("uint16")
read_u32, write_u32 = accessors("uint32")
read_i64, write_i64 = accessors("int64")
read_element, write_element = elements("int64")

ADDRESSES_AT = offset(Warp, "addresses")
NUMBER_AT = offset(Facts, "number")
FLAGS_AT = offset(Facts, "flags")
EVERY_BYTE = 0x0101010101010101


@inner
def fill_bytes(address: int, nbytes: int, value: int) -> None:
    """Set bytes, eight at a time where there are eight."""
    wide = value * EVERY_BYTE
    for word in range(nbytes // 8):
        write_element(address, word, wide)
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
        either |= read_element(place, word)
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
def open_stretch(stretches: int, unset: int, place: int) -> bool:
    """See to it that the map of bytes is right about a stretch; False: it is written, all of it."""
    stretch = place >> STRETCH_SHIFT
    state = int(read_u8(stretches + stretch))
    if state != SET and state != MIXED:
        fill_bytes(unset + (stretch << STRETCH_SHIFT), STRETCH_BYTES, state)
        write_u8(stretches + stretch, MIXED)
    return state != SET


@inner
def any_unset(stretches: int, first: int, last: int) -> bool:
    """Whether any stretch of bytes ``first .. last`` is not written as a whole."""
    either = 0
    for stretch in range(first >> STRETCH_SHIFT, (last >> STRETCH_SHIFT) + 1):
        either |= int(read_u8(stretches + stretch))
    return either != 0


@inner
def close_stretches(stretches: int, unset: int, first: int, last: int) -> None:
    """Note which stretches of bytes ``first .. last`` have come to be written as a whole."""
    for stretch in range(first >> STRETCH_SHIFT, (last >> STRETCH_SHIFT) + 1):
        mixed = int(read_u8(stretches + stretch)) == MIXED
        if mixed and is_set(unset + (stretch << STRETCH_SHIFT), STRETCH_BYTES):
            write_u8(stretches + stretch, SET)


@inner
def write_stretches(stretches: int, unset: int, first: int, nbytes: int) -> None:
    """Whole stretches are written."""
    for stretch in range(first >> STRETCH_SHIFT, (first + nbytes) >> STRETCH_SHIFT):
        if int(read_u8(stretches + stretch)) == MIXED:
            fill_bytes(unset + (stretch << STRETCH_SHIFT), STRETCH_BYTES, SET)
        write_u8(stretches + stretch, SET)


@routine("void", *["int64"] * 6)
def map_unwritten(
    address: int, nbytes: int, written: int, unset: int, stretches: int, state: int
) -> None:
    """Map an array's bytes that hold the pattern of fresh memory as ``state``.

    Except those that are ``written``: flags by byte, or 0. ``unset`` and ``stretches`` are of the
    array's beginning, where a stretch begins; both maps are zeros yet.
    """
    for start in range(0, nbytes, STRETCH_BYTES):
        count = min(nbytes - start, STRETCH_BYTES)
        if count == STRETCH_BYTES:
            some, all_of, known = 0, -1, 0
            for word in range(STRETCH_BYTES // 8):
                value = read_element(address + start, word)
                some |= (~value - EVERY_BYTE) & value & (EVERY_BYTE << 7)  # where ~value has a 0
                all_of &= value
                known |= read_element(written + start, word) if written != 0 else 0
            if some == 0:
                continue
            if all_of == -1 and known == 0:
                write_u8(stretches + (start >> STRETCH_SHIFT), state)
                continue
        for byte in range(start, start + count):
            known = int(read_u8(written + byte)) if written != 0 else 0
            if int(read_u8(address + byte)) == POISON and known == 0:
                write_u8(unset + byte, state)
                write_u8(stretches + (start >> STRETCH_SHIFT), MIXED)


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
    stretches: int,
    origin: int,
    lane_bytes: int,
    reads: bool,
    writes: bool,
    step: int,
) -> None:
    """Complain of reads before any write; note writes.

    ``unset`` maps memory from ``origin`` on, plus ``lane_bytes`` for each lane before, and
    ``stretches`` its stretches, or is 0. ``step``: from one lane's address to the next one's.
    """
    flags = read_i64(facts + FLAGS_AT)
    if stretches != 0:
        if 0 <= step <= STRETCH_BYTES:
            first = read_i64(warp + ADDRESSES_AT) - origin
            last = first + (lanes_in(mask) - 1) * step + nbytes - 1
            if not any_unset(stretches, first, last):
                return
            if step == nbytes and not reads and (first | (last + 1)) & (STRETCH_BYTES - 1) == 0:
                write_stretches(stretches, unset, first, last + 1 - first)
                return
    elif mask == FULL and step == nbytes and lane_bytes == 0:
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
        if stretches != 0:
            first = place - unset
            is_open = open_stretch(stretches, unset, first)
            if not open_stretch(stretches, unset, first + nbytes - 1) and not is_open:
                continue
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
            if stretches != 0:
                first = place - unset
                close_stretches(stretches, unset, first, first + nbytes - 1)
