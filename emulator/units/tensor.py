"""Products of four-by-four quads of threads: ``mma.m8n8k4`` of halves."""

from __future__ import annotations

from emulator.native.compiled import accessors, inner, routine
from emulator.native.layout import LANES

read_f32, write_f32 = accessors("float32")

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
