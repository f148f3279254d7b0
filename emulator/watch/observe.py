"""Accesses that something watches come here, and go to each that watches."""

from __future__ import annotations

from emulator.native.compiled import accessors, routine
from emulator.native.layout import (
    COUNTERS,
    GLOBAL,
    LOCAL,
    RACES,
    SHARED,
    UNINITIALISED,
    Context,
    offset,
)
from emulator.watch.checked import check_access
from emulator.watch.local import count_local
from emulator.watch.sectors import count_sectors
from emulator.watch.wavefronts import count_wavefronts

read_u32, _ = accessors("uint32")

OBSERVE_AT = offset(Context, "observe")


@routine("void", *["int64"] * 7)
def observe_access(
    context: int, warp: int, site: int, mask: int, nbytes: int, space: int, base: int
) -> None:
    """One access of a warp, checked and about to happen. ``space`` is a kind of region."""
    watching = read_u32(context + OBSERVE_AT)
    if watching & COUNTERS:
        if space == SHARED:
            count_wavefronts(warp, site, mask, nbytes, base)
        elif space == LOCAL:
            count_local(context, warp, site, mask, nbytes, base)
        elif space == GLOBAL:
            count_sectors(warp, site, mask, nbytes)
    if watching & (RACES | UNINITIALISED):
        check_access(context, warp, site, mask, nbytes, space, base)
