"""Shared memory that products of a warpgroup read, until a ``wgmma.wait_group`` has covered them.

Once one warp of the warpgroup is past such a wait, nobody reads any more: a write must come after
the wait of any of the four. So each 16 bytes remember, by warpgroup, the group of products that
read them last, and each warp when it had waited for which groups.

Also, of each 128 bytes, which copy of a box put them there and by what swizzle: a descriptor must
say the same.

The table, on the heap of the launch: warpgroups that have entries, as bits, and whether any box
came; then by warp a ring of waits; by warpgroup an i64 for 16 bytes of shared memory, the group's
number (32 bits) and the product's number as a memory instruction, 0 for nobody; an i64 for 128
bytes, 8 times the copy's number, and 1 and the swizzle, 0 for no box.
"""

from __future__ import annotations

from emulator.native.compiled import accessors, inner, routine
from emulator.native.layout import (
    LANES,
    MAX_WARPS,
    SHARED,
    SITE_BYTES,
    BlockState,
    Context,
    Warp,
    offset,
)
from emulator.units.matrix_descriptor import LINE_BYTES, LINES, line_at, swizzle_of
from emulator.watch.clocks import (
    CHECKER_AT,
    CLOCK_AT,
    INDEX_AT,
    SHADOW_AT,
    STATE_AT,
    TAG_AT,
    USED_AT,
    happened_before,
)
from emulator.watch.complaints import complain
from emulator.watch.reading import watch_reading
from emulator.watch.shadow import (
    CLOCK_SHIFT,
    IN_PRODUCT,
    READ_WRITE,
    SWIZZLE_DIFFERS,
    THREAD_SHIFT,
    Checker,
    Facts,
    Shadow,
    size,
)
from emulator.watch.shadow import offset as shadow_offset

read_u32, _ = accessors("uint32")
read_i64, write_i64 = accessors("int64")

SITES_AT = offset(Context, "sites")
SHARED_AT = offset(BlockState, "shared")
COMMITTED_AT = offset(Warp, "products_committed")
DONE_AT = offset(Warp, "products_done")
TABLE_AT = shadow_offset(Shadow, "operands")
SHARED_BYTES_AT = shadow_offset(Shadow, "shared_bytes")
FACTS_AT = shadow_offset(Checker, "facts")
NUMBER_AT = shadow_offset(Facts, "number")
FACTS_BYTES = size(Facts)

GROUP_WARPS = 4
BOX_LINE_BYTES = 128
WARPGROUPS = MAX_WARPS // GROUP_WARPS
WAITS = 32  # that a warp's ring holds; older ones are taken to have been in time
RING_BYTES = 8 * (1 + 2 * WAITS)  # a count, then groups and clocks
BOXES_AT = 8
RINGS_AT = 16
GRANULES_AT = RINGS_AT + MAX_WARPS * RING_BYTES
GROUP_SHIFT = 32
NUMBER_MASK = (1 << GROUP_SHIFT) - 1


def table_bytes(shared_bytes: int) -> int:
    """Bytes of the table of a block."""
    return GRANULES_AT + (WARPGROUPS + 1) * row_bytes_of(shared_bytes)


def row_bytes_of(shared_bytes: int) -> int:
    """Bytes of a warpgroup's part."""
    return 8 * (shared_bytes // LINE_BYTES + 1)


@inner
def row_bytes(shadow: int) -> int:
    """As :func:`row_bytes_of`, of a block."""
    nbytes: int = 8 * (read_i64(shadow + SHARED_BYTES_AT) // LINE_BYTES + 1)
    return nbytes


@inner
def boxes_of(table: int, shadow: int) -> int:
    """Where the table says which boxes lie in shared memory."""
    boxes: int = table + GRANULES_AT + WARPGROUPS * row_bytes(shadow)
    return boxes


@inner
def instruction_number(context: int, site: int) -> int:
    """An instruction's number among memory instructions, for stamps."""
    number = (site - read_i64(context + SITES_AT)) // SITE_BYTES
    facts = read_i64(read_i64(context + CHECKER_AT) + FACTS_AT) + FACTS_BYTES * number
    return int(read_i64(facts + NUMBER_AT))


@inner
def bytes_of_mode(mode: int) -> int:
    """Bytes of the swizzle that a tensor map's mode means."""
    return 16 << mode if mode > 0 else 0


@inner
def forget_operands(shadow: int) -> None:
    """A block starts: nobody reads anything."""
    table = read_i64(shadow + TABLE_AT)
    if table == 0 or read_i64(table) | read_i64(table + BOXES_AT) == 0:
        return
    used = read_i64(table)
    write_i64(table, 0)
    write_i64(table + BOXES_AT, 0)
    for warp in range(MAX_WARPS):
        write_i64(table + RINGS_AT + RING_BYTES * warp, 0)
    nbytes = row_bytes(shadow)
    for group in range(WARPGROUPS + 1):
        if group == WARPGROUPS or used >> group & 1:
            for at in range(0, nbytes, 8):
                write_i64(table + GRANULES_AT + nbytes * group + at, 0)


@routine("void", *["int64"] * 8)
def observe_operand(
    context: int, warp: int, site: int, descriptor: int, first: int, outers: int, inners: int,
    along_k: int,
) -> None:  # fmt: skip
    """A product begins to read a matrix, of which these are the cores."""
    shadow = read_i64(read_i64(warp + STATE_AT) + SHADOW_AT)
    table = read_i64(shadow + TABLE_AT) if shadow != 0 else 0
    if table == 0:
        return
    checker = read_i64(context + CHECKER_AT)
    number = instruction_number(context, site)
    index, watches = int(read_u32(warp + INDEX_AT)), True
    group = index // GROUP_WARPS
    entry = (int(read_u32(warp + COMMITTED_AT)) + 1) << GROUP_SHIFT | number
    write_i64(table, read_i64(table) | 1 << group)
    row = table + GRANULES_AT + row_bytes(shadow) * group
    boxes = boxes_of(table, shadow) if read_i64(table + BOXES_AT) != 0 else 0
    swizzle = swizzle_of(descriptor)
    for outer in range(outers):
        for inner_ in range(inners):
            for line in range(LINES):
                place = line_at(descriptor, along_k, first + outer, inner_, line)
                write_i64(row + place // LINE_BYTES * 8, entry)
                if watches and watch_reading(checker, shadow, index, number, place, LINE_BYTES):
                    watches = False  # said once
                box = read_i64(boxes + place // BOX_LINE_BYTES * 8) if boxes != 0 else 0
                if box != 0 and bytes_of_mode((box & 7) - 1) != swizzle:
                    boxes = 0  # said once
                    lane = int(read_u32(warp + INDEX_AT)) * LANES << THREAD_SHIFT
                    tag = read_i64(shadow + TAG_AT)
                    complain(
                        checker, SWIZZLE_DIFFERS, SHARED, tag | box >> 3,
                        tag | lane | number, place, LINE_BYTES,
                        bytes_of_mode((box & 7) - 1), swizzle, 0, 0, 0,
                    )  # fmt: skip


@routine("void", *["int64"] * 2)
def observe_products_done(context: int, warp: int) -> None:
    """A warp goes on after ``wgmma.wait_group``."""
    shadow = read_i64(read_i64(warp + STATE_AT) + SHADOW_AT)
    table = read_i64(shadow + TABLE_AT) if shadow != 0 else 0
    if table == 0:
        return
    index = int(read_u32(warp + INDEX_AT))
    ring = table + RINGS_AT + RING_BYTES * index
    count = read_i64(ring)
    done = int(read_u32(warp + DONE_AT))
    if count > 0 and read_i64(ring + 8 + 16 * ((count - 1) % WAITS)) == done:
        return
    write_i64(shadow + USED_AT + 8 * index, 1)
    write_i64(ring + 8 + 16 * (count % WAITS), done)
    write_i64(ring + 16 + 16 * (count % WAITS), read_i64(shadow + CLOCK_AT + 8 * index))
    write_i64(ring, count + 1)


@inner
def waited_at(table: int, warp: int, group: int) -> int:
    """The clock of a warp when it had waited for a group; 0: so long ago that nobody minds.

    -1: it has not.
    """
    ring = table + RINGS_AT + RING_BYTES * warp
    count = read_i64(ring)
    if count == 0 or read_i64(ring + 8 + 16 * ((count - 1) % WAITS)) < group:
        return -1
    number = count - 1
    oldest = max(count - WAITS, 0)
    while number > oldest and read_i64(ring + 8 + 16 * ((number - 1) % WAITS)) >= group:
        number -= 1
    if number == oldest and oldest > 0:
        return 0
    return int(read_i64(ring + 16 + 16 * (number % WAITS)))


@inner
def is_over(
    checker: int, memory: int, table: int, shadow: int, index: int, lane: int, warpgroup: int,
    group: int,
) -> bool:  # fmt: skip
    """Whether a warpgroup's group of products was over before what a lane does now."""
    for warp in range(warpgroup * GROUP_WARPS, warpgroup * GROUP_WARPS + GROUP_WARPS):
        clock = waited_at(table, warp, group)
        if clock == 0 or (clock > 0 and memory == shadow and warp == index):
            return True
        stamp = read_i64(memory + TAG_AT) | warp * LANES << THREAD_SHIFT | clock << CLOCK_SHIFT
        if clock > 0 and happened_before(checker, shadow, index, lane, stamp):
            return True
    return False


@inner
def watch_overwriting(
    context: int, warp: int, memory: int, lane: int, number: int, place: int, nbytes: int
) -> None:
    """A lane writes to shared memory at an offset: no product may still read what was there.

    ``memory`` is the shadow of the block whose shared memory it is, ``number`` the instruction's
    among memory instructions.
    """
    table = read_i64(memory + TABLE_AT)
    if table == 0:
        return
    if read_i64(table + BOXES_AT) != 0:
        boxes = boxes_of(table, memory)
        for line in range(place // BOX_LINE_BYTES, (place + nbytes - 1) // BOX_LINE_BYTES + 1):
            write_i64(boxes + 8 * line, 0)
    if read_i64(table) == 0:
        return
    checker = read_i64(context + CHECKER_AT)
    shadow = read_i64(read_i64(warp + STATE_AT) + SHADOW_AT)
    index = int(read_u32(warp + INDEX_AT))
    for warpgroup in range(WARPGROUPS):
        if not read_i64(table) >> warpgroup & 1:
            continue
        row = table + GRANULES_AT + row_bytes(memory) * warpgroup
        for granule in range(place // LINE_BYTES, (place + nbytes - 1) // LINE_BYTES + 1):
            entry = read_i64(row + 8 * granule)
            if entry == 0:
                continue
            write_i64(row + 8 * granule, 0)
            group = entry >> GROUP_SHIFT
            if is_over(checker, memory, table, shadow, index, lane, warpgroup, group):
                continue
            reader = warpgroup * GROUP_WARPS * LANES
            earlier = read_i64(memory + TAG_AT) | reader << THREAD_SHIFT | entry & NUMBER_MASK
            clock = read_i64(shadow + CLOCK_AT + 8 * index)
            later = read_i64(shadow + TAG_AT) | (index * LANES + lane) << THREAD_SHIFT
            later |= clock << CLOCK_SHIFT | number
            complain(
                checker, READ_WRITE, SHARED, earlier, later, granule * LINE_BYTES, LINE_BYTES,
                0, 0, 0, IN_PRODUCT, 0,
            )  # fmt: skip


@inner
def overwrite_operands(
    context: int, warp: int, site: int, lane: int, memory: int, place: int, nbytes: int
) -> None:
    """As :func:`watch_overwriting`, of a copy that a lane issues at ``site``."""
    if read_i64(memory + TABLE_AT) != 0:
        number = instruction_number(context, site)
        watch_overwriting(context, warp, memory, lane, number, place, nbytes)


@inner
def box_lands(context: int, site: int, block: int, target: int, nbytes: int, mode: int) -> None:
    """A box has come to a block's shared memory, swizzled by a tensor map's mode."""
    shadow = read_i64(block + SHADOW_AT)
    table = read_i64(shadow + TABLE_AT) if shadow != 0 else 0
    if table == 0:
        return
    write_i64(table + BOXES_AT, 1)
    boxes = boxes_of(table, shadow)
    place = target - read_i64(block + SHARED_AT)
    entry = instruction_number(context, site) << 3 | (mode + 1)
    for line in range(place // BOX_LINE_BYTES, (place + nbytes - 1) // BOX_LINE_BYTES + 1):
        write_i64(boxes + 8 * line, entry)
