"""Accesses that something watches come here, and go to each that watches."""

from __future__ import annotations

from emulator.native.compiled import accessors, routine
from emulator.native.layout import (
    CACHES,
    GLOBAL,
    LOCAL,
    MERGED,
    SHARED,
    Context,
    Site,
    offset,
)
from emulator.watch.caches import access_caches
from emulator.watch.local import count_local
from emulator.watch.sectors import count_sectors
from emulator.watch.wavefronts import count_wavefronts

read_u32, _ = accessors("uint32")
read_i64, _ = accessors("int64")

OBSERVE_AT, CACHES_AT = offset(Context, "observe"), offset(Context, "caches")
COUNTED_AT = offset(Site, "counted_bytes")


@routine("void", *["int64"] * 7)
def count_access(
    context: int, warp: int, site: int, mask: int, nbytes: int, space: int, base: int
) -> None:
    """One access of a warp, checked and about to happen. ``space`` is a kind of region."""
    counted = read_i64(site + COUNTED_AT)  # set where machine code was reconciled with PTX
    if counted != MERGED:
        width = counted if counted else nbytes
        if space == SHARED:
            count_wavefronts(warp, site, mask, width, base)
        elif space == LOCAL:
            count_local(context, warp, site, mask, width, base)
        elif space == GLOBAL:
            state = 0
            if read_u32(context + OBSERVE_AT) & CACHES:
                state = read_i64(context + CACHES_AT)
                access_caches(context, warp, site, mask, width)
            count_sectors(warp, site, mask, width, state)
