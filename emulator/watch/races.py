"""racecheck: accesses to the same memory that nothing orders, at least one of them a write.

Each access is compared with the stamps in its cells, then leaves its own. What is ordered is said
in :mod:`emulator.watch.clocks`: nothing here depends on the order in which warps happened to run,
except which of two racing accesses is met second.

Strong accesses (atomic, volatile, relaxed, acquire, release) do not race with one another, as far
as their scopes reach (PTX ISA, memory consistency model, morally strong operations). One exception
is deliberate: volatile accesses to shared memory by lanes of one warp, the warp-synchronous code of
GPUs before Volta.
"""

from __future__ import annotations

from emulator.native.compiled import accessors, inner
from emulator.native.layout import LANES, SHARED, BlockState, Warp
from emulator.watch.clocks import CLOCK_AT, INDEX_AT, TAG_AT, USED_AT, happened_before
from emulator.watch.complaints import complain
from emulator.watch.landing import first_in_flight
from emulator.watch.lines import (
    CELLS_SHIFT,
    WARP_SHIFT,
    copier_of,
    excused,
    is_spread,
    spread,
    touch_alone,
    watch_lines,
    writer_of,
)
from emulator.watch.shadow import (
    BEING_READ,
    CELL_BYTES,
    CLOCK_SHIFT,
    COMING,
    HAS_DATA,
    IN_FLIGHT,
    IS_ATOMIC,
    IS_COPY,
    IS_STRONG,
    IS_VOLATILE,
    LINE_BYTES,
    OTHER_READ_AT,
    READ_AT,
    READ_WRITE,
    SITE_MASK,
    STRONG_AT,
    THREAD_MASK,
    THREAD_SHIFT,
    TWO_LANES,
    WRITE_AT,
    WRITE_READ,
    WRITE_WRITE,
    Checker,
    Facts,
    offset,
)

read_u8, _ = accessors("uint8")
read_u16, _ = accessors("uint16")
read_u32, _ = accessors("uint32")
read_i64, write_i64 = accessors("int64")

ADDRESSES_AT = offset(Warp, "addresses")
DATA_AT = offset(Warp, "data")
SHARED_AT = offset(BlockState, "shared")
BY_NUMBER_AT = offset(Checker, "by_number")
NUMBER_AT = offset(Facts, "number")
FLAGS_AT = offset(Facts, "flags")
ELEMENT_AT = offset(Facts, "element_bytes")
OLD_KNOWN, NEW_KNOWN = 1, 2


@inner
def value_at(address: int, nbytes: int) -> int:
    """A value of up to 8 bytes."""
    if nbytes >= 8:
        return int(read_i64(address))
    if nbytes == 4:
        return int(read_u32(address))
    if nbytes == 2:
        return int(read_u16(address))
    return int(read_u8(address))


@inner
def scratch_of(warp: int, lane: int, byte: int, element: int) -> int:
    """Where scratch holds the element that starts at a byte of a lane's access."""
    return warp + DATA_AT + (byte // element * LANES + lane) * element


@inner
def unordered(
    checker: int,
    shadow: int,
    index: int,
    lane: int,
    flags: int,
    other: int,
    stamp: int,
    space: int,
) -> bool:
    """Whether an access races with a stamped one of another thread."""
    if happened_before(checker, shadow, index, lane, other):
        return False
    return not excused(checker, flags, other, stamp, space)


@inner
def report(
    checker: int,
    warp: int,
    facts: int,
    kind: int,
    space: int,
    mask: int,
    nbytes: int,
    lane: int,
    byte: int,
    other: int,
    stamp: int,
    state: int,
    origin: int,
    at_once: int,
) -> None:
    """Complain of an access (its cell starts at ``byte``) and the stamp that it met there."""
    address = read_i64(warp + ADDRESSES_AT + 8 * lane)
    flags = read_i64(facts + FLAGS_AT)
    element = min(read_i64(facts + ELEMENT_AT), nbytes, 8)
    byte = byte // element * element
    memory = address + byte
    shown = memory
    if space == SHARED:
        shown -= origin
        memory = read_i64(state + SHARED_AT) + shown
    old = value_at(memory, element)
    new = 0
    values = OLD_KNOWN
    harmless = 0
    if flags & HAS_DATA:
        new = value_at(scratch_of(warp, lane, byte, element), element)
        values |= NEW_KNOWN
        theirs = read_i64(read_i64(checker + BY_NUMBER_AT) + 8 * (other & SITE_MASK))
        twin = (other >> THREAD_SHIFT & THREAD_MASK) % LANES
        same_instruction = (other ^ stamp) & SITE_MASK == 0 and twin < lane and mask >> twin & 1
        if same_instruction and other >> WARP_SHIFT == stamp >> WARP_SHIFT:
            at_once |= TWO_LANES * int(read_i64(warp + ADDRESSES_AT + 8 * twin) == address)
        if at_once == TWO_LANES:
            old = value_at(scratch_of(warp, twin, byte, element), element)
        if kind == WRITE_WRITE and old == new and theirs & (IS_ATOMIC | IS_COPY) == 0:
            harmless = 1
    complain(
        checker, kind, space, other, stamp, shown, element,
        old, new, values, at_once, harmless,
    )  # fmt: skip


@inner
def watch_races(
    checker: int,
    state: int,
    shadow: int,
    warp: int,
    facts: int,
    mask: int,
    nbytes: int,
    space: int,
    lines: int,
    cells: int,
    epoch: int,
    origin: int,
    shift: int,
    in_flight: int,
    writes: bool,
    step: int,
) -> None:
    """Compare an access with what is stamped, then stamp it.

    ``cells`` are those of memory from ``origin`` on, ``1 << shift`` bytes each; ``lines`` stand for
    32 of them at once; ``in_flight`` is the map of bytes of shared memory that copies have yet to
    write, and ``state`` the block whose it is. ``step``: bytes from one lane's address to the next
    one's, or IRREGULAR.
    """
    index = int(read_u32(warp + INDEX_AT))
    flags = read_i64(facts + FLAGS_AT)
    strong = flags & IS_STRONG != 0
    # strong reads leave no stamp: only plain writes race with them, and most of those come first
    notes = not strong or (flags & IS_VOLATILE != 0 and space == SHARED)
    clock = read_i64(shadow + CLOCK_AT + 8 * index)
    write_i64(shadow + USED_AT + 8 * index, 1)
    common = read_i64(shadow + TAG_AT) | clock << CLOCK_SHIFT | read_i64(facts + NUMBER_AT)
    common |= index << WARP_SHIFT
    granule = 1 << shift
    after_write = WRITE_WRITE if writes else WRITE_READ
    width = max(nbytes >> shift, 1)
    if in_flight == 0 and (step == 0 or nbytes <= step < LANES << shift):
        first = (read_i64(warp + ADDRESSES_AT) - origin) >> shift
        if step & (granule - 1) == 0:
            mask = watch_lines(
                checker, shadow, index, lines, epoch, first, step >> shift, width, mask, common,
                flags, space, writes, notes,
            )  # fmt: skip
    for lane in range(LANES):
        if not mask >> lane & 1:
            continue
        stamp = common | lane << THREAD_SHIFT
        place = read_i64(warp + ADDRESSES_AT + 8 * lane) - origin
        said = 0
        if in_flight != 0:
            byte = first_in_flight(in_flight, place, nbytes, writes)
            if byte >= 0:
                number = (place + byte) >> shift
                kind, why = after_write, IN_FLIGHT
                if read_u8(in_flight + place + byte) == COMING:
                    said = writer_of(lines, cells, epoch, number)
                else:
                    kind, why = READ_WRITE, BEING_READ
                    said = copier_of(checker, lines, cells, epoch, number)
                report(
                    checker, warp, facts, kind, space, mask, nbytes,
                    lane, byte, said, stamp, state, origin, why,
                )  # fmt: skip
        if touch_alone(
            checker, shadow, index, lines, epoch, place >> shift, width, stamp, flags, space,
            writes, notes,
        ):  # fmt: skip
            continue
        for byte in range(0, nbytes, granule):
            number = (place + byte) >> shift
            line = lines + (number >> CELLS_SHIFT) * LINE_BYTES
            cell = cells + number * CELL_BYTES
            if not is_spread(line, epoch):
                spread(checker, line, cell - number % LANES * CELL_BYTES, epoch)
            for slot in range(WRITE_AT, OTHER_READ_AT + 8 if writes else READ_AT, 8):
                other = read_i64(cell + slot)
                if other == 0 or (other ^ stamp) >> THREAD_SHIFT == 0 or other == said:
                    continue
                if unordered(checker, shadow, index, lane, flags, other, stamp, space):
                    said = other
                    kind = READ_WRITE if slot >= READ_AT else after_write
                    report(
                        checker, warp, facts, kind, space, mask, nbytes,
                        lane, byte, other, stamp, state, origin, 0,
                    )  # fmt: skip
            if writes and strong:
                write_i64(cell + STRONG_AT, stamp)
            elif writes:
                write_i64(cell + WRITE_AT, stamp)
                write_i64(cell + STRONG_AT, 0)
                write_i64(cell + READ_AT, 0)
                write_i64(cell + OTHER_READ_AT, 0)
            elif notes:
                other = read_i64(cell + READ_AT)
                older = other == 0 or (other ^ stamp) >> THREAD_SHIFT == 0
                if older or happened_before(checker, shadow, index, lane, other):
                    write_i64(cell + READ_AT, stamp)
                else:
                    write_i64(cell + OTHER_READ_AT, stamp)
