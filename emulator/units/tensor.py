"""What tensor cores do lane by lane: ``mma.m8n8k4`` of halves, and the metadata of ``mma.sp``."""

from __future__ import annotations

from emulator.native.compiled import accessors, inner, routine
from emulator.native.layout import LANES

read_f32, write_f32 = accessors("float32")
read_i32, _ = accessors("int32")
_, write_i64 = accessors("int64")

QUADS = 4
SIZE = 8  # rows of A, columns of B
DEPTH = 4


@inner
def half_at(matrix: int, lane: int, index: int) -> float:
    """Element ``index`` of a lane's fragment, unpacked as [register][lane][2] of f32."""
    value: float = read_f32(matrix + ((index >> 1) * LANES * 2 + lane * 2 + (index & 1)) * 4)
    return value


@inner
def owner(quad: int, row: int) -> int:
    """The lane of a quad pair that holds a row (rows 4-7 lie 16 lanes further on)."""
    return quad * 4 + row % 4 + 16 * (row // 4)


@inner
def sum_lane(quad: int, row: int, column: int, packed: int) -> int:
    """The lane that holds an element of C or D: f16 sums go by rows, f32 ones by 2 x 2 blocks."""
    if packed:
        lane: int = owner(quad, row)
        return lane
    return quad * 4 + (row & 1) + (column & 2) + 16 * (row // 4)


@inner
def sum_index(row: int, column: int, packed: int) -> int:
    """Which of the lane's eight sums that element is."""
    if packed:
        return column
    return (row & 2) + (column & 4) + (column & 1)


@routine("void", *["int64"] * 8)
def multiply_quad_pairs(
    sums: int, a: int, b: int, c: int, a_turned: int, b_by_rows: int, c_packed: int, d_packed: int
) -> None:
    """``sums`` become f32 as [8][lane]; ``a``, ``b`` and a packed ``c`` are unpacked f16.

    (PTX ISA, "Matrix Fragments for mma.m8n8k4 with .f16 floating point type".)
    """
    for quad in range(QUADS):
        for row in range(SIZE):
            for column in range(SIZE):
                lane = sum_lane(quad, row, column, c_packed)
                index = sum_index(row, column, c_packed)
                if c_packed:
                    total = half_at(c, lane, index)
                else:
                    total = read_f32(c + (index * LANES + lane) * 4)
                for k in range(DEPTH):
                    if a_turned:
                        x = half_at(a, quad * 4 + k + 16 * (row // 4), row % 4)
                    else:
                        x = half_at(a, owner(quad, row), k)
                    if b_by_rows:
                        y = half_at(b, quad * 4 + k + 16 * (column // 4), column % 4)
                    else:
                        y = half_at(b, owner(quad, column), k)
                    total += x * y
                place = sum_index(row, column, d_packed) * LANES
                lane = sum_lane(quad, row, column, d_packed)
                write_f32(sums + (place + lane) * 4, total)


@inner
def row_metadata(metadata: int, threads: int, selector: int, bits: int, row: int) -> int:
    """All of a row's metadata, column 0 lowest, from where the warp's lanes hold it.

    Types of 16 bits and more: a lane has 16 bits of row g and 16 of row g + 8, the next lane of a
    pair goes on in both rows. Narrower types: a lane has 32 bits of one row, even lanes of row g,
    odd ones of row g + 8; lanes 2 and 3 go on in both.
    """
    group = 4 * (row % 8)
    found: int = 0
    if bits >= 16:
        for thread in range(threads):
            lane = group + selector * threads + thread
            word = read_i32(metadata + 4 * lane) & 0xFFFFFFFF
            found |= (word >> 16 * (row // 8) & 0xFFFF) << 16 * thread
        return found
    lane = group + selector * threads + row // 8
    found |= read_i32(metadata + 4 * lane) & 0xFFFFFFFF
    if threads == 4:
        found |= (read_i32(metadata + 4 * (lane + 2)) & 0xFFFFFFFF) << 32
    return found


@routine("void", *["int64"] * 6)
def find_kept_columns(
    metadata: int, columns: int, threads: int, selector: int, bits: int, k: int
) -> None:
    """The column of each element that a sparse 16 x ``k`` matrix keeps, as i64 [16][k / 2].

    ``metadata`` is a register over the warp; ``bits`` are of an element.
    (PTX ISA, "Sparse matrix storage".)
    """
    for row in range(16):
        found = row_metadata(metadata, threads, selector, bits, row)
        for index in range(k // 2):
            if bits == 32:  # one of two: 0b0100 or 0b1110
                column = 2 * index + (found >> 4 * index + 1 & 1)
            elif bits == 4:  # two pairs of four
                which = found >> 4 * (index // 4) + 2 * (index % 4 // 2) & 3
                column = 8 * (index // 4) + 2 * which + index % 2
            else:  # two of four
                which = found >> 4 * (index // 2) + 2 * (index % 2) & 3
                column = 4 * (index // 2) + which
            write_i64(columns + 8 * (row * (k // 2) + index), column)
