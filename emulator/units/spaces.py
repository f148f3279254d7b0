"""Which memory an address is in, by the table of regions."""

from __future__ import annotations

from emulator.native.compiled import accessors, inner, routine
from emulator.native.layout import LANES, Context, Region, Warp, offset

read_i64, _ = accessors("int64")

REGIONS_AT, COUNT_AT = offset(Context, "regions"), offset(Context, "region_count")
PARAMS_AT = offset(Context, "params")
ADDRESSES_AT = offset(Warp, "addresses")
LOW_AT, HIGH_AT = offset(Region, "low"), offset(Region, "high")
WRITABLE_AT = offset(Region, "writable")
REGION_BYTES = 32


@inner
def region_of(context: int, address: int) -> int:
    """The region that holds an address; 0 when none does. Regions are sorted and disjoint."""
    first, last = 0, read_i64(context + COUNT_AT)
    table = read_i64(context + REGIONS_AT)
    while first < last:
        middle = (first + last) // 2
        region: int = table + middle * REGION_BYTES
        if address < read_i64(region + LOW_AT):
            last = middle
        elif address >= read_i64(region + HIGH_AT):
            first = middle + 1
        else:
            return region
    return 0


@routine("int64", "int64", "int64", "int64")
def lanes_in_read_only(context: int, warp: int, parameters: int) -> int:
    """Lanes whose address is the kernel's parameters' (``parameters`` 1), or a constant's (0)."""
    lanes = 0
    for lane in range(LANES):
        region = region_of(context, read_i64(warp + ADDRESSES_AT + 8 * lane))
        if region != 0 and read_i64(region + WRITABLE_AT) == 0:
            own = read_i64(region + LOW_AT) == read_i64(context + PARAMS_AT)
            if own == (parameters != 0):
                lanes |= 1 << lane
    return lanes
