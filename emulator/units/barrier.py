"""A block's barriers: who has come, and the reductions some of them make.

A lane that waits has :data:`BARRIER_BIT` in its program counter and the barrier's number in
``Warp.barrier``. The scheduler lets a barrier's lanes go (:mod:`emulator.native.scheduler`).
(PTX ISA, "bar, barrier")
"""

from __future__ import annotations

from emulator.native.compiled import accessors, inner, routine
from emulator.native.layout import (
    BARRIER_BIT,
    EXITED,
    LANES,
    MAX_BARRIERS,
    BlockState,
    Context,
    Warp,
    offset,
)

read_u32, write_u32 = accessors("uint32")
read_i64, _ = accessors("int64")

PCS_AT = offset(Warp, "pcs")
BARRIER_AT = offset(Warp, "barrier")
MEMBERS_AT = offset(Warp, "members")
SAID_AT = offset(Warp, "said")
ANSWER_AT = offset(Warp, "answer_at")
BLOCK_AT = offset(Warp, "block")
USED_AT = offset(BlockState, "barriers_used")
REDUCING_AT = offset(BlockState, "reducing")
EXPECTED_AT = offset(BlockState, "expected")
ARRIVED_AT = offset(BlockState, "arrived")
WARPS_AT = offset(BlockState, "warps")
WARP_COUNT_AT = offset(Context, "warps")
WARP_BYTES_AT = offset(Context, "warp_bytes")

# What a lane says to a reduction: one of these, and whether its predicate holds.
POPC, AND, OR = 2, 4, 6
HOLDS = 1


@inner
def word(address: int, index: int) -> int:
    """One of an array of 32-bit numbers."""
    return int(read_u32(address + 4 * index))


@inner
def living(warp: int) -> int:
    """The warp's lanes that have not exited."""
    mask = 0
    for lane in range(LANES):
        if word(warp + PCS_AT, lane) != EXITED:
            mask |= 1 << lane
    return mask


@inner
def count(mask: int) -> int:
    """Bits set in a mask of lanes."""
    total = 0
    for lane in range(LANES):
        total += mask >> lane & 1
    return total


@routine("void", *["int64"] * 5)
def come_to_barrier(warp: int, active: int, counted: int, waits: int, reduces: int) -> None:
    """Lanes come to the barriers that ``Warp.barrier`` names for them.

    ``counted``: ``Warp.members`` holds how many threads each barrier is for. Lanes that do not
    wait have arrived at once: a whole warp of them counts 32, however many of its lanes live.
    """
    block = read_i64(warp + BLOCK_AT)
    for number in range(MAX_BARRIERS):
        here, threads = 0, 0
        for lane in range(LANES):
            if active >> lane & 1 and word(warp + BARRIER_AT, lane) == number:
                here |= 1 << lane
                threads = word(warp + MEMBERS_AT, lane)
        if here != 0:
            bit = 1 << number
            write_u32(block + USED_AT, read_u32(block + USED_AT) | bit)
            if reduces:
                write_u32(block + REDUCING_AT, read_u32(block + REDUCING_AT) | bit)
            if counted:
                write_u32(block + EXPECTED_AT + 4 * number, threads)
            if not waits:
                come = LANES if here == living(warp) else count(here)
                arrived = word(block + ARRIVED_AT, number)
                write_u32(block + ARRIVED_AT + 4 * number, arrived + come)


@routine("void", "int64", "int64", "int64")
def reduce_at_barrier(context: int, block: int, number: int) -> None:
    """All threads of a barrier are there: what they said, together, to each of them."""
    holding, saying = 0, 0
    for turn in range(2):
        for index in range(word(context + WARP_COUNT_AT, 0)):
            warp = read_i64(block + WARPS_AT) + index * read_i64(context + WARP_BYTES_AT)
            for lane in range(LANES):
                pc = word(warp + PCS_AT, lane)
                said = word(warp + SAID_AT, lane)
                waits = pc != EXITED and pc & BARRIER_BIT != 0
                if waits and word(warp + BARRIER_AT, lane) == number and said != 0:
                    if turn == 0:
                        saying += 1
                        holding += said & HOLDS
                    else:
                        answer(warp, lane, said & ~HOLDS, holding, saying)


@inner
def answer(warp: int, lane: int, kind: int, holding: int, saying: int) -> None:
    """Write a reduction's result to a lane's register, which waits in the frame."""
    write_u32(warp + SAID_AT + 4 * lane, 0)
    where = word(warp + ANSWER_AT, lane)
    if where == 0:
        return
    if kind == POPC:
        write_u32(warp + where + 4 * lane, holding)
        return
    holds = holding == saying if kind == AND else holding != 0
    others = word(warp + where, 0) & ~(1 << lane)
    write_u32(warp + where, others | (1 << lane if holds else 0))
