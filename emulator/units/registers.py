"""``setmaxnreg``: registers that warps of a block give to one another through the block's pool.

A launch gives every warp as many registers a thread as the kernel was compiled for, and leaves none
over. ``.dec`` gives to the pool, ``.inc`` waits until the pool has enough. (PTX ISA, "setmaxnreg")
"""

from __future__ import annotations

from emulator.native.compiled import accessors, routine
from emulator.native.layout import BlockState, Warp, offset
from emulator.watch.events import REGISTERS, note

read_u32, write_u32 = accessors("uint32")
read_i64, _ = accessors("int64")

BLOCK_AT, HAS_AT = offset(Warp, "block"), offset(Warp, "registers")
POOL_AT = offset(BlockState, "registers")


@routine("int64", *["int64"] * 5)
def adjust_registers(context: int, warp: int, active: int, count: int, grows: int) -> int:
    """Whether the warp now has ``count`` registers a thread; 0: the pool has too few."""
    has = int(read_u32(warp + HAS_AT))
    if active == 0 or has == 0:  # nothing is known of this launch's registers
        return 1
    pool = read_i64(warp + BLOCK_AT) + POOL_AT
    free = int(read_u32(pool))
    more = count - has
    if (grows and more <= 0) or (not grows and more >= 0):
        return 1
    if more > free:
        return 0
    write_u32(pool, free - more)
    write_u32(warp + HAS_AT, count)
    note(context, warp, 0, 0, REGISTERS, 0, count, has)
    return 1
