"""The asynchronous proxy: what TMA and ``wgmma`` read and write, shown to the checkers.

Bytes under way to shared memory are there for nobody until they land.
"""

from __future__ import annotations

from emulator.native.compiled import accessors, inner
from emulator.native.layout import BlockState, offset
from emulator.watch.landing import IN_FLIGHT_AT, landed_in
from emulator.watch.operands import overwrite_operands

_, write_u8 = accessors("uint8")
read_i64, _ = accessors("int64")

SHARED_AT, SHADOW_AT = offset(BlockState, "shared"), offset(BlockState, "shadow")


@inner
def copy_begins(
    context: int, warp: int, site: int, lane: int, block: int, target: int, nbytes: int
) -> int:
    """A copy to a block's shared memory is on its way."""
    shadow = read_i64(block + SHADOW_AT)
    if shadow != 0:
        place = target - read_i64(block + SHARED_AT)
        overwrite_operands(context, warp, site, lane, shadow, place, nbytes)
        flying = read_i64(shadow + IN_FLIGHT_AT)
        if flying != 0:
            for byte in range(nbytes):
                write_u8(flying + place + byte, 1)
    return 0


@inner
def copy_lands(block: int, target: int, nbytes: int) -> None:
    """It has arrived."""
    landed_in(block, target, nbytes)


@inner
def copy_reads(
    context: int, warp: int, site: int, lane: int, block: int, source: int, nbytes: int
) -> int:
    """A copy from a block's shared memory is issued."""
    return 0
