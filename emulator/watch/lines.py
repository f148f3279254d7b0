"""Lines of 32 cells that one warp accesses whole: one set of stamps instead of 32.

Most accesses to global memory are dense: 32 lanes, one after the other. A line that has only been
accessed so needs no cells: lane ``first + (cell >> shift)`` touched each, where the stamp holds
``first`` and the instruction says the shift. A line of which one cell is used, as strided accesses
do, holds that cell's stamps. Any other access spreads the line to its cells first, and from then on
the cells hold what is known.
"""

from __future__ import annotations

from emulator.native.compiled import accessors, inner
from emulator.native.layout import LANES
from emulator.watch.clocks import KNOWN_AT, TAG_AT, released_before, rows_of
from emulator.watch.shadow import (
    BLOCK_SHIFT,
    CELL_BYTES,
    CLOCK_MASK,
    CLOCK_SHIFT,
    HEARD,
    LINE_BYTES,
    OTHER_READ_AT,
    READ_AT,
    SHIFT_BIT,
    SITE_MASK,
    STRONG_AT,
    THREAD_MASK,
    THREAD_SHIFT,
    WRITE_AT,
    Checker,
    offset,
)

read_i64, write_i64 = accessors("int64")

BY_NUMBER_AT = offset(Checker, "by_number")
SPREADS_AT = offset(Checker, "spreads")
STATE_AT = 32  # 0, SPREAD, or 1 + the only cell that was touched, whose stamps the line holds
SPREAD = -1
CELLS_SHIFT = 5


@inner
def lane_shift(checker: int, stamp: int) -> int:
    """log2 of the cells that each lane of a stamped instruction accesses."""
    number = stamp & SITE_MASK
    return int(read_i64(read_i64(checker + BY_NUMBER_AT) + 8 * number)) >> SHIFT_BIT


@inner
def spread(checker: int, line: int, cells: int) -> None:
    """Give a line's cells the stamps that the line stands for, over what an earlier launch left."""
    only = read_i64(line + STATE_AT) - 1
    for slot in range(WRITE_AT, OTHER_READ_AT + 8, 8):
        stamp = read_i64(line + slot)
        if stamp == 0 or only >= 0:
            for cell in range(LANES):
                write_i64(cells + CELL_BYTES * cell + slot, stamp if cell == only else 0)
        else:
            shift = lane_shift(checker, stamp)
            for cell in range(LANES):
                whose = stamp + ((cell >> shift) << THREAD_SHIFT)
                write_i64(cells + CELL_BYTES * cell + slot, whose)
    write_i64(line + STATE_AT, SPREAD)
    write_i64(checker + SPREADS_AT, read_i64(checker + SPREADS_AT) + 1)


@inner
def cell_in(checker: int, line: int, cells: int, cell: int) -> int:
    """Where the stamps of one of a line's cells lie; the line is made to let it have its own."""
    state = read_i64(line + STATE_AT)
    if state == SPREAD:
        return cells + CELL_BYTES * cell
    if state == 0:
        used = read_i64(line + WRITE_AT) | read_i64(line + READ_AT) | read_i64(line + OTHER_READ_AT)
        if used == 0:
            state = cell + 1
            write_i64(line + STATE_AT, state)
    if state == cell + 1:
        return line
    spread(checker, line, cells)
    return cells + CELL_BYTES * cell


@inner
def warp_happened_before(checker: int, shadow: int, index: int, stamp: int) -> bool:
    """Whether all lanes of a stamp's warp did it before what any lane does now."""
    clock = stamp >> CLOCK_SHIFT & CLOCK_MASK
    other = (stamp >> THREAD_SHIFT & THREAD_MASK) // LANES
    known = rows_of(shadow, index) + KNOWN_AT
    if stamp >> BLOCK_SHIFT << BLOCK_SHIFT == read_i64(shadow + TAG_AT):
        return bool(clock <= read_i64(known + 8 * other))
    heard = read_i64(known + 8 * HEARD)
    return bool(heard > 0 and released_before(checker, stamp >> BLOCK_SHIFT, other, clock, heard))


@inner
def watch_lines(
    checker: int,
    shadow: int,
    index: int,
    lines: int,
    stamp: int,
    writes: bool,
) -> int:
    """A dense access by all lanes, from the first of ``lines`` on, of lane 0's ``stamp``.

    Returns the lanes that are left to be compared cell by cell.
    """
    shift = lane_shift(checker, stamp)
    lanes = LANES >> shift
    left = 0
    slots = OTHER_READ_AT + 8 if writes else STRONG_AT
    for number in range(1 << shift):
        line = lines + LINE_BYTES * number
        mine = stamp + (number * lanes << THREAD_SHIFT)
        fine = read_i64(line + STATE_AT) == 0
        if fine:
            for slot in range(WRITE_AT, slots, 8):
                other = read_i64(line + slot)
                if other != 0:
                    own = (other ^ mine) >> THREAD_SHIFT == 0
                    if not (own and lane_shift(checker, other) == shift):
                        fine = fine and warp_happened_before(checker, shadow, index, other)
        if not fine:
            left |= ((1 << lanes) - 1) << (number * lanes)
        elif writes:
            write_i64(line + WRITE_AT, mine)
            write_i64(line + READ_AT, 0)
            write_i64(line + OTHER_READ_AT, 0)
        else:
            other = read_i64(line + READ_AT)
            if other != 0 and (other ^ mine) >> THREAD_SHIFT != 0:
                if warp_happened_before(checker, shadow, index, other):
                    write_i64(line + READ_AT, mine)
                else:
                    write_i64(line + OTHER_READ_AT, mine)
            else:
                write_i64(line + READ_AT, mine)
    return left
