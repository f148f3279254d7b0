"""Lines of 32 cells, for which a few entries say what 32 cells would: who touched which of them.

Most accesses are regular: neighbouring lanes are a constant number of cells apart. All that the
lanes of one instruction did to a line is one *entry*: the stamp of a lane, which cells it is about,
and how to tell from a cell which lane it was. So one comparison stands for up to 32, and an access
costs as many of them as it touches lines, whether its lanes are neighbours or fields of structures.
A lane on its own makes an entry, too.

An entry belongs to one of a cell's four slots, and what the entries of a line say together is
exactly what its cells would. Once an access is not ordered after what a line says, or there are too
many entries, the line is *spread*: its cells hold what is known from then on.
"""

from __future__ import annotations

from emulator.native.compiled import accessors, elements, inner
from emulator.native.layout import LANES, SHARED
from emulator.watch.clocks import KNOWN_AT, PARTED_AT, TAG_AT, released_before, rows_of
from emulator.watch.shadow import (
    BLOCK_SCOPE,
    BLOCK_SHIFT,
    CELL_BYTES,
    CLOCK_MASK,
    CLOCK_SHIFT,
    ENTRIES,
    HEARD,
    IS_BULK,
    IS_STRONG,
    IS_VOLATILE,
    KNOWN,
    LINE_BYTES,
    OTHER_READ_AT,
    PROXIED,
    READ_AT,
    SITE_MASK,
    THREAD_MASK,
    THREAD_SHIFT,
    Checker,
    offset,
)
from emulator.watch.wavefronts import lanes_in

read_i64, write_i64 = accessors("int64")
_, write_element = elements("int64")

BY_NUMBER_AT = offset(Checker, "by_number")
SPREADS_AT = offset(Checker, "spreads")
OPENED_AT = offset(Checker, "opened")
CELLS_SHIFT = 5
WARP_SHIFT = THREAD_SHIFT + 5

# A line begins with its epoch and how many entries there are. What another epoch left is nothing.
COUNT_BITS = 8
COUNT_MASK = (1 << COUNT_BITS) - 1
SPREAD = COUNT_MASK
ENTRIES_AT, ENTRY_BYTES = 8, 16

# An entry is a stamp, then these: its cells as bits; the cell at which the stamp's lane begins, and
# how many cells further the next lane does; the slot. Cells are counted from the line's first.
CELLS_MASK = (1 << LANES) - 1
BEGIN_SHIFT, STRIDE_SHIFT, SLOT_SHIFT = 32, 44, 50
BEGIN_BIAS = 1 << 11
BEGIN_MASK = (1 << (STRIDE_SHIFT - BEGIN_SHIFT)) - 1
STRIDE_MASK = (1 << (SLOT_SHIFT - STRIDE_SHIFT)) - 1
LANES_MASK = (1 << SLOT_SHIFT) - (1 << BEGIN_SHIFT)
ONE_LANE = BEGIN_BIAS << BEGIN_SHIFT | LANES << STRIDE_SHIFT
WRITE, STRONG, READ, OTHER_READ = range(4)  # slots, in the order of a cell's stamps


@inner
def excused(checker: int, flags: int, other: int, stamp: int, space: int) -> bool:
    """Whether two accesses may meet because both are strong."""
    number = other & SITE_MASK
    theirs = read_i64(read_i64(checker + BY_NUMBER_AT) + 8 * number)
    if flags & theirs & IS_STRONG == 0:
        return False
    if (flags | theirs) & BLOCK_SCOPE and other >> BLOCK_SHIFT != stamp >> BLOCK_SHIFT:
        return False
    same_warp = other >> WARP_SHIFT == stamp >> WARP_SHIFT
    return not ((flags | theirs) & IS_VOLATILE and same_warp and space == SHARED)


@inner
def stamp_of(stamp: int, entry: int, cell: int) -> int:
    """The stamp that an entry gives one of its cells."""
    begin = (entry >> BEGIN_SHIFT & BEGIN_MASK) - BEGIN_BIAS
    lanes = (cell - begin) // (entry >> STRIDE_SHIFT & STRIDE_MASK)
    return stamp + (lanes << THREAD_SHIFT)


@inner
def spread(checker: int, line: int, cells: int, epoch: int) -> None:
    """Give a line's cells what its entries say, over what an earlier launch left there."""
    head = read_i64(line)
    count = head & COUNT_MASK if head >> COUNT_BITS == epoch else 0
    for word in range(LANES * CELL_BYTES // 8):
        write_element(cells, word, 0)
    for number in range(count):
        at = line + ENTRIES_AT + ENTRY_BYTES * number
        stamp, entry = read_i64(at), read_i64(at + 8)
        slot = cells + 8 * (entry >> SLOT_SHIFT)
        for cell in range(LANES):
            if entry >> cell & 1:
                write_i64(slot + CELL_BYTES * cell, stamp_of(stamp, entry, cell))
    write_i64(line, epoch << COUNT_BITS | SPREAD)
    write_i64(checker + SPREADS_AT, read_i64(checker + SPREADS_AT) + 1)


@inner
def is_spread(line: int, epoch: int) -> bool:
    """Whether a line's cells hold what is known."""
    return bool(read_i64(line) == epoch << COUNT_BITS | SPREAD)


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
def same_threads(theirs: int, their_entry: int, stamp: int, entry: int) -> bool:
    """Whether the same thread touched each of the cells that two entries share."""
    if (their_entry ^ entry) & LANES_MASK == 0:
        return bool((theirs ^ stamp) >> THREAD_SHIFT == 0)
    if (theirs ^ stamp) >> WARP_SHIFT != 0:
        return False
    shared = their_entry & entry & CELLS_MASK
    for cell in range(LANES):
        if shared >> cell & 1:
            apart = stamp_of(theirs, their_entry, cell) ^ stamp_of(stamp, entry, cell)
            if apart >> THREAD_SHIFT != 0:
                return False
    return True


@inner
def touch(
    checker: int,
    shadow: int,
    index: int,
    line: int,
    epoch: int,
    stamp: int,
    entry: int,
    flags: int,
    space: int,
    writes: bool,
    notes: bool,
) -> bool:
    """Enter an access into a line; False: its cells have to be compared one by one.

    ``entry`` is the access as one of slot 0. ``notes``: whether a read leaves a stamp.
    """
    head = read_i64(line)
    count = head & COUNT_MASK
    if head >> COUNT_BITS != epoch:
        count = 0
        write_i64(checker + OPENED_AT, read_i64(checker + OPENED_AT) + 1)
    if count == SPREAD:
        return False
    cells = entry & CELLS_MASK
    held = 0  # cells in which another thread's read, not ordered before this one, stays
    met = 0
    for number in range(count):
        at = line + ENTRIES_AT + ENTRY_BYTES * number
        other, theirs = read_i64(at), read_i64(at + 8)
        slot = theirs >> SLOT_SHIFT
        met |= theirs & cells | int(other == stamp)
        if theirs & cells == 0 or (slot == OTHER_READ and not writes):
            continue
        if same_threads(other, theirs, stamp, entry):
            continue
        if warp_happened_before(checker, shadow, index, other):
            continue
        if read_i64(shadow + PARTED_AT) >> index & 1:
            return False  # lanes of this warp know different things
        if slot == READ and not writes:
            held |= theirs & cells
        elif not excused(checker, flags, other, stamp, space):
            return False
    if not writes and not notes:
        return True
    strong = flags & IS_STRONG != 0
    mine = entry
    if writes and strong:
        mine |= STRONG << SLOT_SHIFT
    elif not writes:
        mine = (entry & ~held) | READ << SLOT_SHIFT
    if met == 0 and count < ENTRIES:
        into = line + ENTRIES_AT + ENTRY_BYTES * count
        write_i64(into, stamp)
        write_i64(into + 8, mine)
        write_i64(line, epoch << COUNT_BITS | (count + 1))
        return True
    kept = 0
    for number in range(count):
        at = line + ENTRIES_AT + ENTRY_BYTES * number
        other, theirs = read_i64(at), read_i64(at + 8)
        slot = theirs >> SLOT_SHIFT
        if writes:
            replaced = cells if not strong or slot == STRONG else 0
        else:
            replaced = cells & ~held if slot == READ else held if slot == OTHER_READ else 0
        theirs &= ~replaced
        if other == stamp and (theirs ^ mine) >> BEGIN_SHIFT == 0:
            mine |= theirs & CELLS_MASK
        elif theirs & CELLS_MASK != 0:
            into = line + ENTRIES_AT + ENTRY_BYTES * kept
            write_i64(into, other)
            write_i64(into + 8, theirs)
            kept += 1
    write_i64(line, epoch << COUNT_BITS | kept)
    if kept + 2 > ENTRIES:
        return False
    into = line + ENTRIES_AT + ENTRY_BYTES * kept
    if mine & CELLS_MASK != 0:
        write_i64(into, stamp)
        write_i64(into + 8, mine)
        into += ENTRY_BYTES
        kept += 1
    if held != 0:
        write_i64(into, stamp)
        write_i64(into + 8, (entry & ~CELLS_MASK) | held | OTHER_READ << SLOT_SHIFT)
        kept += 1
    write_i64(line, epoch << COUNT_BITS | kept)
    return True


@inner
def writer_of(lines: int, cells: int, epoch: int, number: int) -> int:
    """The stamp of the last plain write to a cell; 0: nobody wrote it."""
    line, cell = lines + (number >> CELLS_SHIFT) * LINE_BYTES, number % LANES
    if is_spread(line, epoch):
        return int(read_i64(cells + number * CELL_BYTES))
    head = read_i64(line)
    for at in range(head & COUNT_MASK if head >> COUNT_BITS == epoch else 0):
        entry = read_i64(line + ENTRIES_AT + ENTRY_BYTES * at + 8)
        if entry >> SLOT_SHIFT == WRITE and entry >> cell & 1:
            return stamp_of(read_i64(line + ENTRIES_AT + ENTRY_BYTES * at), entry, cell)
    return 0


@inner
def first_writer(lines: int, cells: int, epoch: int, first: int, last: int) -> int:
    """The stamp of the last plain write to the first cell of ``first .. last`` that has one; 0."""
    for number in range(first, last + 1):
        stamp = writer_of(lines, cells, epoch, number)
        if stamp != 0:
            return stamp
    return 0


@inner
def copier_of(checker: int, lines: int, cells: int, epoch: int, number: int) -> int:
    """The stamp of a bulk copy that read a cell; 0: there is none."""
    by_number = read_i64(checker + BY_NUMBER_AT)
    line, cell = lines + (number >> CELLS_SHIFT) * LINE_BYTES, number % LANES
    if is_spread(line, epoch):
        for slot in (READ_AT, OTHER_READ_AT):
            stamp: int = read_i64(cells + number * CELL_BYTES + slot)
            if read_i64(by_number + 8 * (stamp & SITE_MASK)) & IS_BULK:
                return stamp
        return 0
    head = read_i64(line)
    for at in range(head & COUNT_MASK if head >> COUNT_BITS == epoch else 0):
        entry = read_i64(line + ENTRIES_AT + ENTRY_BYTES * at + 8)
        stamp = read_i64(line + ENTRIES_AT + ENTRY_BYTES * at)
        copies = read_i64(by_number + 8 * (stamp & SITE_MASK)) & IS_BULK != 0
        if copies and entry >> SLOT_SHIFT >= READ and entry >> cell & 1:
            return stamp_of(stamp, entry, cell)
    return 0


@inner
def first_unfenced(
    checker: int, shadow: int, index: int, lines: int, cells: int, epoch: int, first: int,
    last: int,
) -> int:  # fmt: skip
    """A write to cells ``first .. last`` that happened before, and no ``fence.proxy.async`` after.

    Its stamp, or 0. Of the block's own threads' writes; the async proxy's own need no fence.
    """
    rows = rows_of(shadow, index)
    tag = read_i64(shadow + TAG_AT)
    by_number = read_i64(checker + BY_NUMBER_AT)
    for number in range(first >> CELLS_SHIFT, (last >> CELLS_SHIFT) + 1):
        line = lines + LINE_BYTES * number
        start = number << CELLS_SHIFT
        low, high = max(first - start, 0), min(last - start, LANES - 1) + 1
        head = read_i64(line)
        count = head & COUNT_MASK
        if head >> COUNT_BITS != epoch:
            continue
        known = 2 * LANES if count == SPREAD else count
        for at in range(known):
            if count == SPREAD:
                cell = at >> 1
                stamp: int = read_i64(cells + (start + cell) * CELL_BYTES + 8 * (at & 1))
                touches = low <= cell and cell < high
            else:
                stamp = read_i64(line + ENTRIES_AT + ENTRY_BYTES * at)
                entry = read_i64(line + ENTRIES_AT + ENTRY_BYTES * at + 8)
                touches = entry >> SLOT_SHIFT <= STRONG and entry & ((1 << high) - (1 << low)) != 0
            if not touches or stamp == 0 or stamp >> BLOCK_SHIFT << BLOCK_SHIFT != tag:
                continue
            clock = stamp >> CLOCK_SHIFT & CLOCK_MASK
            other = (stamp >> THREAD_SHIFT & THREAD_MASK) // LANES
            own = other == index
            if not own and clock > read_i64(rows + 8 * (KNOWN + other)):
                continue  # a race, which is said elsewhere
            fenced = clock <= read_i64(rows + 8 * (PROXIED + other))
            if not fenced and read_i64(by_number + 8 * (stamp & SITE_MASK)) & IS_BULK == 0:
                return stamp
    return 0


@inner
def lanes_of_cells(first: int, stride: int, low: int, high: int) -> int:
    """The lanes that begin in cells ``low .. high`` or that reach into them, as bits; and more."""
    begin = max((low - first) // stride, 0)
    end = min((high - 1 - first) // stride, LANES - 1)
    return (1 << (end + 1)) - (1 << begin)


@inner
def watch_lines(
    checker: int,
    shadow: int,
    index: int,
    lines: int,
    epoch: int,
    first: int,
    stride: int,
    width: int,
    mask: int,
    stamp: int,
    flags: int,
    space: int,
    writes: bool,
    notes: bool,
) -> int:
    """An access by the first few lanes, those of ``mask``; lane 0's ``stamp``.

    Each accesses ``width`` cells, the first lane from cell ``first`` on, the next ``stride`` cells
    further. Returns the lanes that are left to be compared cell by cell.
    """
    count = lanes_in(mask)
    if stride == 0:  # all read the same: of readers, cells keep the first and the last
        for lane in (0, count - 1):
            whose = stamp + (lane << THREAD_SHIFT)
            if not touch_alone(
                checker, shadow, index, lines, epoch, first, width, whose, flags, space,
                writes, notes,
            ):  # fmt: skip
                return mask
        return 0
    comb = -1 if stride == width else 0
    if comb == 0:
        for begin in range(0, LANES + stride, stride):
            comb |= ((1 << width) - 1) << begin
    left = 0
    end = first + (count - 1) * stride + width
    for number in range(first >> CELLS_SHIFT, ((end - 1) >> CELLS_SHIFT) + 1):
        start = number << CELLS_SHIFT
        begin = first - start
        cells = comb
        if begin >= 0:
            cells = comb << begin
        elif stride != width:
            cells = comb >> (-begin % stride)
        if end - start < LANES:
            cells &= (1 << (end - start)) - 1
        cells &= CELLS_MASK
        if cells == 0:
            continue
        entry = cells | (begin + BEGIN_BIAS) << BEGIN_SHIFT | stride << STRIDE_SHIFT
        if not touch(
            checker, shadow, index, lines + LINE_BYTES * number, epoch, stamp, entry, flags, space,
            writes, notes,
        ):  # fmt: skip
            left |= lanes_of_cells(first, stride, start, start + LANES)
    return left & mask


@inner
def touch_alone(
    checker: int,
    shadow: int,
    index: int,
    lines: int,
    epoch: int,
    first: int,
    width: int,
    stamp: int,
    flags: int,
    space: int,
    writes: bool,
    notes: bool,
) -> bool:
    """One lane's access to ``width`` cells; False: some have to be compared one by one."""
    fine = True
    for number in range(first >> CELLS_SHIFT, ((first + width - 1) >> CELLS_SHIFT) + 1):
        low = max(first - (number << CELLS_SHIFT), 0)
        high = min(first + width - (number << CELLS_SHIFT), LANES)
        fine = touch(
            checker, shadow, index, lines + LINE_BYTES * number, epoch, stamp,
            ONE_LANE | ((1 << high) - (1 << low)), flags, space, writes, notes,
        ) and fine  # fmt: skip
    return fine
