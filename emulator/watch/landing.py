"""Asynchronous copies for the checkers: bytes in flight are there for nobody, then they land."""

from __future__ import annotations

from emulator.native.compiled import accessors, inner
from emulator.native.layout import BlockState, Warp
from emulator.watch.shadow import COMING, Shadow, offset

read_u8, write_u8 = accessors("uint8")
read_i64, _ = accessors("int64")

STATE_AT = offset(Warp, "block")
SHARED_AT = offset(BlockState, "shared")
SHADOW_AT = offset(BlockState, "shadow")
UNSET_AT = offset(Shadow, "shared_unset")
IN_FLIGHT_AT = offset(Shadow, "in_flight")


@inner
def landed_in(state: int, target: int, nbytes: int) -> None:
    """What was under way to ``target`` in a block's shared memory has arrived."""
    shadow = read_i64(state + SHADOW_AT)
    if shadow == 0:
        return
    place = target - read_i64(state + SHARED_AT)
    for at in (UNSET_AT, IN_FLIGHT_AT):
        bytes_at = read_i64(shadow + at)
        if bytes_at != 0:
            for byte in range(nbytes):
                write_u8(bytes_at + place + byte, 0)


@inner
def landed(warp: int, target: int, nbytes: int) -> None:
    """A lane's copy to ``target`` in its block's shared memory has arrived."""
    landed_in(read_i64(warp + STATE_AT), target, nbytes)


@inner
def first_in_flight(in_flight: int, place: int, nbytes: int, writes: bool) -> int:
    """The first byte that a copy has yet to write, or that one has yet to read; -1: none."""
    for byte in range(nbytes):
        state = read_u8(in_flight + place + byte)
        if state == COMING or (writes and state != 0):
            return byte
    return -1
