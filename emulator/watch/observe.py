"""Accesses that something watches come here, and go to each that watches."""

from __future__ import annotations

from emulator.native.compiled import accessors, inner, routine
from emulator.native.layout import (
    CACHES,
    GLOBAL,
    LANES,
    LOCAL,
    MERGED,
    SHARED,
    BlockState,
    Context,
    Site,
    Warp,
    offset,
)
from emulator.watch.caches import access_caches
from emulator.watch.local import count_local
from emulator.watch.sectors import count_sectors
from emulator.watch.wavefronts import count_wavefronts, lanes_in

read_u32, _ = accessors("uint32")
read_i64, write_i64 = accessors("int64")

OBSERVE_AT, CACHES_AT = offset(Context, "observe"), offset(Context, "caches")
COUNTED_AT = offset(Site, "counted_bytes")
REMOTE_AT, REMOTE_BYTES_AT = offset(Site, "remote_requests"), offset(Site, "remote_bytes")
BLOCK_AT, ADDRESSES_AT = offset(Warp, "block"), offset(Warp, "addresses")
SHARED_AT, CLUSTER_AT = offset(BlockState, "shared"), offset(BlockState, "cluster")
SHARED_BYTES_AT = offset(Context, "shared_bytes")


@inner
def own_lanes(context: int, warp: int, mask: int) -> int:
    """Of lanes at generic addresses of a cluster's shared memory, those in their own block's."""
    state = read_i64(warp + BLOCK_AT)
    if read_i64(state + CLUSTER_AT) == 0:
        return mask
    base, nbytes = read_i64(state + SHARED_AT), read_i64(context + SHARED_BYTES_AT)
    own = 0
    for lane in range(LANES):
        away = read_i64(warp + ADDRESSES_AT + 8 * lane) - base
        own |= (int(away >= 0) & int(away < nbytes)) << lane
    return own & mask


@routine("void", *["int64"] * 7)
def count_access(
    context: int, warp: int, site: int, mask: int, nbytes: int, space: int, base: int
) -> None:
    """One access of a warp, checked and about to happen. ``space`` is a kind of region."""
    counted = read_i64(site + COUNTED_AT)  # set where machine code was reconciled with PTX
    if counted != MERGED:
        width = counted if counted else nbytes
        if space == SHARED:
            own = own_lanes(context, warp, mask) if base != 0 else mask
            if own != 0:
                count_wavefronts(warp, site, own, width, base)
            if own != mask:
                write_i64(site + REMOTE_AT, read_i64(site + REMOTE_AT) + 1)
                nbytes_there = lanes_in(mask & ~own) * width
                write_i64(site + REMOTE_BYTES_AT, read_i64(site + REMOTE_BYTES_AT) + nbytes_there)
        elif space == LOCAL:
            count_local(context, warp, site, mask, width, base)
        elif space == GLOBAL:
            state = 0
            if read_u32(context + OBSERVE_AT) & CACHES:
                state = read_i64(context + CACHES_AT)
                access_caches(context, warp, site, mask, width)
            count_sectors(warp, site, mask, width, state)
