"""What bulk copies cost: sectors of global memory, which come through L2 and not through L1."""

from __future__ import annotations

from emulator.native.compiled import accessors, routine
from emulator.native.layout import CACHES, Context, Site, offset
from emulator.watch.caches import CACHES_AT, L2_HITS_AT, L2_SECTORS_AT, identity, through_l2
from emulator.watch.cachestate import CacheState
from emulator.watch.shadow import offset as shadow_offset
from emulator.watch.wavefronts import add

read_i64, _ = accessors("int64")
read_u32, _ = accessors("uint32")

OBSERVE_AT = offset(Context, "observe")
SECTORS_AT, BYTES_AT = offset(Site, "sectors"), offset(Site, "bytes")
FIRST_LINE_AT = shadow_offset(CacheState, "first_line")


@routine("void", *["int64"] * 6)
def count_bulk_row(
    context: int, warp: int, site: int, address: int, nbytes: int, store: int
) -> None:
    """Bytes side by side that a copy reads or writes."""
    if nbytes <= 0:
        return
    first, last = address >> 5, (address + nbytes - 1) >> 5
    add(site + SECTORS_AT, last - first + 1)
    add(site + BYTES_AT, nbytes)
    if not int(read_u32(context + OBSERVE_AT)) & CACHES:
        return
    state = read_i64(context + CACHES_AT)
    number, wave = identity(context, state, warp)
    for line in range(first >> 2, (last >> 2) + 1):
        low, high = max(first - 4 * line, 0), min(last - 4 * line, 3)
        sectors = (2 << high) - (1 << low)
        hits = through_l2(
            state, warp, line - read_i64(state + FIRST_LINE_AT), sectors, number, wave, store != 0
        )
        add(site + L2_SECTORS_AT, high - low + 1)
        add(site + L2_HITS_AT, hits)
