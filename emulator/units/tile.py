"""Boxes of an array as TMA copies them: which element goes where in shared memory.

Reads the 128 bytes of :mod:`emulator.tensor_map`. A box lies in shared memory innermost
axis first: densely, or with a swizzle, which exchanges units of 16 bytes by bits of their places,
a row in each of its spans. (PTX ISA, "Tensors": tiled mode, im2col mode, swizzling modes)

Of an interleaved array one along the innermost axis is a slice of 16 or 32 bytes: its channels are
no axis, so that NC/8DHWC8 has the five that there can be. A copy takes one slice along the axis of
slices, whatever the box says, and each pixel of an im2col box is a slice. That agrees with what the
documents say (3 to 5 axes; strides of whole slices; only without interleave is the first element
stride ignored, and a row at most a swizzle's span), and with an H100 of others, to which a box of 8
by 8 by n came as 128 n bytes where slices have 16. Not documented, and assumed here: slices lie
densely with every swizzle, and pixels, slices and images outside of the array are filled like
elements. (PTX ISA, "Interleave layout"; CUDA driver API, ``cuTensorMapEncodeTiled``)
"""

from __future__ import annotations

from emulator.native.compiled import accessors, inner, stack
from emulator.tensor_map import FIRST_FLOAT, MAGIC
from emulator.units.numbers import byte_at, half_at, word_at
from emulator.units.reduction import combine
from emulator.watch.proxy import READ, REDUCE, WRITE, watch_row

_, write_u8 = accessors("uint8")
read_i16, _ = accessors("int16")
read_i32, _ = accessors("int32")
read_i64, write_i64 = accessors("int64")

# As tensor_map.LAYOUT has them; axes innermost first.
ADDRESS, RANK, ITEMSIZE, SWIZZLE, FILL, IM2COL, KIND, SLICE = 8, 16, 17, 18, 19, 20, 21, 22
STRIDES, SIZES, BOX, STEPS, LOWER, UPPER, CHANNELS, PIXELS = 24, 56, 76, 86, 92, 98, 104, 106
AXES = 5
UNIT = 16
# Of a walk over a box's rows: its number, coordinates, offsets of pixels.
CURSOR = 8 * (AXES + 3)
cursor_here = stack(CURSOR)

# What a copy does with a box.
LOAD, STORE = 0, 1  # and from 2 on: a reduction, less 2


@inner
def is_map(map_: int) -> bool:
    """Whether there is a tensor map."""
    return bool(read_i64(map_) == MAGIC)


@inner
def rank_of_map(map_: int) -> int:
    """Its array's axes."""
    return byte_at(map_ + RANK)


@inner
def unit_of(map_: int) -> int:
    """Bytes of one along the innermost axis: an element, or a slice of channels."""
    piece = byte_at(map_ + SLICE)
    return piece if piece else byte_at(map_ + ITEMSIZE)


@inner
def has_slice_pixels(map_: int) -> bool:
    """Whether a box is a column of pixels of an interleaved array, whose width is axis 0."""
    return byte_at(map_ + IM2COL) != 0 and byte_at(map_ + SLICE) != 0


@inner
def stride_of(map_: int, axis: int) -> int:
    """Bytes between neighbours along an axis."""
    return unit_of(map_) if axis == 0 else read_i64(map_ + STRIDES + 8 * axis - 8)


@inner
def size_of(map_: int, axis: int) -> int:
    """An axis's elements."""
    return word_at(map_ + SIZES + 4 * axis)


@inner
def step_of(map_: int, axis: int) -> int:
    """Which of an axis's elements a box has: every so-manieth."""
    return byte_at(map_ + STEPS + axis)


@inner
def taken(map_: int, axis: int) -> int:
    """Elements along an axis that a box in shared memory has."""
    if byte_at(map_ + SLICE) and axis == rank_of_map(map_) - 2:
        return 1
    step = step_of(map_, axis)
    return (half_at(map_ + BOX + 2 * axis) + step - 1) // step


@inner
def extent(map_: int) -> int:
    """Bytes from the array's first element to behind its last."""
    total = unit_of(map_)
    for axis in range(rank_of_map(map_)):
        total += (size_of(map_, axis) - 1) * stride_of(map_, axis)
    return total


@inner
def row_bytes(map_: int) -> int:
    """Bytes of a box's rows in shared memory."""
    if has_slice_pixels(map_):
        return unit_of(map_)
    count = half_at(map_ + CHANNELS) if byte_at(map_ + IM2COL) else taken(map_, 0)
    return count * unit_of(map_)


@inner
def rows_of(map_: int) -> int:
    """Rows of a box in shared memory; of an im2col box its pixels."""
    if byte_at(map_ + IM2COL):
        return half_at(map_ + PIXELS)
    rows = 1
    for axis in range(1, rank_of_map(map_)):
        rows *= taken(map_, axis)
    return rows


@inner
def pitch_of(map_: int) -> int:
    """Bytes from a row of a box in shared memory to the next: with a swizzle all of its span."""
    mode = byte_at(map_ + SWIZZLE)
    return UNIT << mode if mode and not byte_at(map_ + SLICE) else row_bytes(map_)


@inner
def box_room(map_: int) -> int:
    """Bytes of shared memory that a box lies in."""
    return (rows_of(map_) - 1) * pitch_of(map_) + row_bytes(map_)


@inner
def box_bytes(map_: int) -> int:
    """Bytes of a box in shared memory, which an mbarrier counts whether or not they are inside."""
    return rows_of(map_) * row_bytes(map_)


@inner
def swizzled(mode: int, place: int) -> int:
    """Where in shared memory what would lie at ``place`` lies: bits 4.. are exchanged by 7.. ."""
    if mode == 0:
        return place
    return place ^ ((place >> 3) & ((1 << mode) - 1) << 4)


@inner
def not_a_number(kind: int, byte: int) -> int:
    """A byte of the NaN that is filled in."""
    if kind == FIRST_FLOAT or kind == FIRST_FLOAT + 1:  # f16, bf16
        return (0x7FFF >> 8 * (byte & 1)) & 0xFF
    if kind == FIRST_FLOAT + 2:
        return (0x7FFFFFFF >> 8 * (byte & 3)) & 0xFF
    return (0x7FFFFFFFFFFFFFFF >> 8 * (byte & 7)) & 0xFF


@inner
def first_of(map_: int, coordinates: int) -> int:
    """Where along the innermost axis a box's rows begin; pixels of slices are rows of their own."""
    return 0 if has_slice_pixels(map_) else int(read_i32(coordinates))


@inner
def reach_of(map_: int) -> int:
    """How many there are along the innermost axis of a row that is inside of the array."""
    return 1 if has_slice_pixels(map_) else size_of(map_, 0)


@inner
def move_row(map_: int, row: int, first: int, what: int, shared: int, place: int) -> None:
    """One row of a box, whose element 0 would be ``first`` along the innermost axis of ``row``.

    ``row`` is the address of the array's element 0 of that row; 0: it is outside.
    ``shared`` is where the block's shared memory begins, ``place`` where in it the row begins.
    """
    size, kind = byte_at(map_ + ITEMSIZE), byte_at(map_ + KIND)
    mode, total = byte_at(map_ + SWIZZLE), row_bytes(map_)
    unit, step = unit_of(map_), 1 if byte_at(map_ + IM2COL) else step_of(map_, 0)
    length = reach_of(map_) if row != 0 else 0
    fill = byte_at(map_ + FILL)
    whole = (step == 1 or unit >= UNIT) and what <= STORE
    for begin in range(0, total, UNIT):
        there = shared + swizzled(mode, place + begin)
        low, within = first + begin // unit * step, begin % unit
        if whole and low >= 0 and low + max(UNIT // unit, 1) <= length:
            here = row + low * unit + within
            source, target = (here, there) if what == LOAD else (there, here)
            left, right = read_i64(source), read_i64(source + 8)
            write_i64(target, left)
            write_i64(target + 8, right)
            continue
        for item in range(UNIT // size):
            at = low + item * size // unit * step
            here = row + at * unit + within + item * size % unit
            there_too = there + item * size
            if at < 0 or at >= length:
                if what == LOAD:
                    for byte in range(size):
                        write_u8(there_too + byte, not_a_number(kind, byte) if fill else 0)
            elif what == LOAD:
                for byte in range(size):
                    write_u8(there_too + byte, byte_at(here + byte))
            elif what == STORE:
                for byte in range(size):
                    write_u8(here + byte, byte_at(there_too + byte))
            else:
                combine(what - 2, kind, here, there_too)


@inner
def start_rows(cursor: int, map_: int, coordinates: int, offsets: int) -> None:
    """Before a box's first row; ``cursor`` is room for :data:`CURSOR` bytes.

    ``coordinates``: i32 of its first element, innermost first; ``offsets``: i32, of im2col.
    """
    write_i64(cursor, int(read_i32(coordinates)) if has_slice_pixels(map_) else 0)
    for axis in range(1, AXES):
        write_i64(cursor + 8 * axis, int(read_i32(coordinates + 4 * axis)))
    for axis in range(3):
        write_i64(cursor + 8 * (AXES + axis), int(read_i32(offsets + 4 * axis)))


@inner
def next_row(cursor: int, map_: int) -> int:
    """The address of the element 0 along the innermost axis of a box's next row.

    0: the row is outside of the array.
    """
    if byte_at(map_ + IM2COL):
        return next_pixel(cursor, map_)
    row, inside, left = read_i64(map_ + ADDRESS), True, read_i64(cursor)
    write_i64(cursor, left + 1)
    for axis in range(1, rank_of_map(map_)):
        count = taken(map_, axis)
        at = read_i64(cursor + 8 * axis) + left % count * step_of(map_, axis)
        left //= count
        inside = inside and at >= 0 and at < size_of(map_, axis)
        row += at * stride_of(map_, axis)
    return int(row) if inside else 0


@inner
def next_pixel(cursor: int, map_: int) -> int:
    """The same of a column of pixels: they follow one another within the box of base pixels.

    Spatial axes are those between channels and images; of an interleaved array those before the
    axis of slices, along which all pixels are at the same place.
    """
    rank = rank_of_map(map_)
    begin = 0 if has_slice_pixels(map_) else 1
    end = begin + rank - 2
    row, inside = read_i64(map_ + ADDRESS), True
    for axis in range(begin, rank):
        at = read_i64(cursor + 8 * axis)
        if axis < end:
            at += read_i64(cursor + 8 * (AXES + axis - begin))
        inside = inside and at >= 0 and at < size_of(map_, axis)
        row += at * stride_of(map_, axis)
    for axis in range(begin, rank):
        if axis >= end and axis < rank - 1:
            continue
        at = read_i64(cursor + 8 * axis) + (step_of(map_, axis) if axis < end else 1)
        place = 2 * (axis - begin)
        if axis == rank - 1 or at < size_of(map_, axis) + read_i16(map_ + UPPER + place):
            write_i64(cursor + 8 * axis, at)
            break
        write_i64(cursor + 8 * axis, int(read_i16(map_ + LOWER + place)))
    return int(row) if inside else 0


@inner
def move_box(map_: int, coordinates: int, offsets: int, what: int, shared: int, place: int) -> None:
    """Copy a box between an array and shared memory."""
    cursor = cursor_here()
    start_rows(cursor, map_, coordinates, offsets)
    first = first_of(map_, coordinates)
    for number in range(rows_of(map_)):
        begin = place + number * pitch_of(map_)
        move_row(map_, next_row(cursor, map_), first, what, shared, begin)


@inner
def watch_box(
    context: int, warp: int, site: int, lane: int, map_: int, coordinates: int, offsets: int,
    what: int,
) -> None:  # fmt: skip
    """Show counters and checkers what of an array a copy of a box reads or writes."""
    cursor = cursor_here()
    start_rows(cursor, map_, coordinates, offsets)
    unit, total = unit_of(map_), row_bytes(map_)
    step = 1 if byte_at(map_ + IM2COL) else step_of(map_, 0)
    does = READ if what == LOAD else WRITE if what == STORE else REDUCE
    first, reach = first_of(map_, coordinates), reach_of(map_)
    for _ in range(rows_of(map_)):
        row = next_row(cursor, map_)
        if row == 0:
            continue
        if step == 1:
            low, high = max(first, 0), min(first + total // unit, reach)
            at, nbytes = row + low * unit, (high - low) * unit
            watch_row(context, warp, site, lane, at, nbytes, does)
            continue
        for item in range(total // unit):
            element = first + item * step
            if element >= 0 and element < reach:
                at = row + element * unit
                watch_row(context, warp, site, lane, at, unit, does)
