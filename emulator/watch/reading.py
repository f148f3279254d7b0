"""Reads of shared memory by ``wgmma``: bytes still in flight, writes that nothing orders or fences.

As :mod:`emulator.watch.proxy` sees a copy's reads, but 16 bytes at a time and without a stamp: what
may still be read is known from :mod:`emulator.watch.operands`.
"""

from __future__ import annotations

from emulator.native.compiled import accessors, inner
from emulator.native.layout import LANES, SHARED
from emulator.watch.clocks import CLOCK_AT, TAG_AT, happened_before
from emulator.watch.complaints import complain
from emulator.watch.landing import IN_FLIGHT_AT, first_in_flight
from emulator.watch.lines import first_unfenced, first_writer, writer_of
from emulator.watch.shadow import (
    CLOCK_SHIFT,
    IN_FLIGHT,
    NO_PROXY_FENCE,
    THREAD_SHIFT,
    WRITE_READ,
    Checker,
    Shadow,
    offset,
)

read_i64, _ = accessors("int64")

LINES_AT, CELLS_AT, EPOCH_AT = (offset(Shadow, n) for n in ("lines", "cells", "epoch"))
SHIFT_AT = offset(Checker, "shared_shift")


@inner
def watch_reading(
    checker: int, shadow: int, index: int, number: int, place: int, nbytes: int
) -> bool:
    """A warp's product reads bytes of its block's shared memory; whether something is wrong."""
    cells = read_i64(shadow + CELLS_AT)
    if cells == 0:
        return False
    lines, epoch = read_i64(shadow + LINES_AT), read_i64(shadow + EPOCH_AT)
    shift, flying = read_i64(checker + SHIFT_AT), read_i64(shadow + IN_FLIGHT_AT)
    first, last = place >> shift, (place + nbytes - 1) >> shift
    clock = read_i64(shadow + CLOCK_AT + 8 * index) << CLOCK_SHIFT
    mine = read_i64(shadow + TAG_AT) | index * LANES << THREAD_SHIFT | clock | number
    if flying != 0:
        byte = first_in_flight(flying, place, nbytes, False)
        if byte >= 0:
            stamp = writer_of(lines, cells, epoch, (place + byte) >> shift)
            complain(
                checker, WRITE_READ, SHARED, stamp, mine, place + byte, 4, 0, 0, 0, IN_FLIGHT, 0
            )
            return True
    stamp = first_writer(lines, cells, epoch, first, last)
    if stamp == 0:
        return False
    if not happened_before(checker, shadow, index, 0, stamp):
        complain(checker, WRITE_READ, SHARED, stamp, mine, place, 4, 0, 0, 0, 0, 0)
        return True
    stamp = first_unfenced(checker, shadow, index, lines, cells, epoch, first, last)
    if stamp != 0:
        complain(checker, NO_PROXY_FENCE, SHARED, stamp, mine, place, 4, 0, 0, 0, 0, 0)
    return stamp != 0
