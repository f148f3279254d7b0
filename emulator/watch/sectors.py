"""Sectors of global memory where they are not simply the distinct ones that lanes touch.

Atomics and reductions: lanes at one address take turns, and each turn touches its sectors anew.
Copies to shared memory that bypass L1: two neighbouring lanes (``lane ^ 1``) count once where they
are in one 128-byte line. (Fitted to counters recorded on an H100.)
"""

from __future__ import annotations

from emulator.native.compiled import accessors, inner, stack
from emulator.native.layout import BYPASSING, LANES, ORDINARY, PAIRED, Site, offset
from emulator.watch.cachestate import SLICES, CacheState
from emulator.watch.wavefronts import add, address_of, lanes_in

read_i32, write_i32 = accessors("int32")
read_i64, _ = accessors("int64")
turns_scratch = stack(LANES * 4)

REQUESTS_AT = offset(Site, "requests")
SECTORS_AT = offset(Site, "sectors")
BYTES_AT = offset(Site, "bytes")
RULE_AT = offset(Site, "rule")
LOW_AT, HIGH_AT = offset(Site, "low"), offset(Site, "high")
TURNS_AT = offset(CacheState, "turns")
SECTOR_BYTES = 32
LINE_BYTES = 128
MIX, MIX_AGAIN = -7046029254386353131, -4658895280553007687  # splitmix64's


@inner
def slice_of(line: int) -> int:
    """The slice of L2 that holds a line: as good as drawn, so that two of a few lines may meet."""
    mixed = line * MIX
    mixed = (mixed ^ mixed >> 32) * MIX_AGAIN
    return int((mixed ^ mixed >> 29) & 0x7FFFFFFF) % SLICES


@inner
def atomic_sectors(warp: int, site: int, mask: int, state: int) -> int:
    """Distinct pairs of a turn and a sector, over the active lanes.

    Counted by slice of L2, too, where there is a ``state`` of caches.
    """
    turns = turns_scratch()
    count = 0
    for lane in range(LANES):
        if mask >> lane & 1:
            address = address_of(warp, lane)
            turn = 0
            for other in range(lane):
                if mask >> other & 1 and address_of(warp, other) == address:
                    turn += 1
            write_i32(turns + 4 * lane, turn)
            known = False
            for other in range(lane):
                if (
                    mask >> other & 1
                    and address_of(warp, other) // SECTOR_BYTES == address // SECTOR_BYTES
                    and read_i32(turns + 4 * other) == turn
                ):
                    known = True
            if not known:
                count += 1
                if state:
                    # lines of an array count from its start: a launch's time does not depend on
                    # where its arrays happen to lie
                    low, high = read_i64(site + LOW_AT), read_i64(site + HIGH_AT)
                    line = address // LINE_BYTES
                    line -= low // LINE_BYTES if low <= address < high else 0
                    add(state + TURNS_AT + 8 * slice_of(line), 1)
    return count


@inner
def bypassing_sectors(warp: int, mask: int) -> int:
    """Lines over pairs of lanes: what is counted as sectors for copies that bypass L1."""
    count = 0
    for lane in range(0, LANES, 2):
        both = mask >> lane & 3
        if both == 3:
            one, other = address_of(warp, lane), address_of(warp, lane + 1)
            count += 1 if one // LINE_BYTES == other // LINE_BYTES else 2
        elif both:
            count += 1
    return count


@inner
def count_sectors(warp: int, site: int, mask: int, nbytes: int, state: int) -> None:
    """Count one access to global memory, unless the check that called has."""
    rule = read_i64(site + RULE_AT)
    if rule != ORDINARY and rule != PAIRED:
        add(site + REQUESTS_AT, 1)
        add(site + BYTES_AT, lanes_in(mask) * nbytes)
        if rule == BYPASSING:
            add(site + SECTORS_AT, bypassing_sectors(warp, mask))
        else:
            add(site + SECTORS_AT, atomic_sectors(warp, site, mask, state))
