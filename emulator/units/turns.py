"""Shuffled scheduling: which warp of a block goes when, and for how long.

Numbers come from Knuth's linear congruential generator (its high bits), seeded once a launch, so
that a seed gives the same run, bit for bit.
"""

from __future__ import annotations

from emulator.native.compiled import accessors, inner, routine
from emulator.native.layout import BlockState, Context, offset

read_u32, write_u32 = accessors("uint32")
read_i64, write_i64 = accessors("int64")

RANDOM_AT = offset(Context, "random")
SLICE_AT = offset(Context, "slice")
WARPS_AT = offset(Context, "warps")
TURNS_AT = offset(BlockState, "turns")
LONGEST_SLICE = 2048  # eight turns of a loop that may spin


@inner
def draw(context: int, below: int) -> int:
    """A number from 0 up to, not including, ``below``."""
    state = read_i64(context + RANDOM_AT) * 6364136223846793005 + 1442695040888963407
    write_i64(context + RANDOM_AT, state)
    return int(((state >> 33) & 0x3FFFFFFF) % below)


@routine("int64", "int64", "int64")
def draw_rank(context: int, size: int) -> int:
    """Which block of a cluster goes first in a sweep over them."""
    return draw(context, size)


@routine("void", "int64", "int64")
def shuffle_turns(context: int, block: int) -> None:
    """A new order of the block's warps, and a new length of slices, for one round."""
    warps = int(read_u32(context + WARPS_AT))
    for last in range(warps - 1, 0, -1):
        other = draw(context, last + 1)
        a = read_u32(block + TURNS_AT + 4 * last)
        write_u32(block + TURNS_AT + 4 * last, read_u32(block + TURNS_AT + 4 * other))
        write_u32(block + TURNS_AT + 4 * other, a)
    write_u32(context + SLICE_AT, 1 + draw(context, LONGEST_SLICE))
