"""Groups of ``wgmma`` products: which of them a warp has committed, and which it has waited for.

Four neighbouring warps, the first a multiple of four, are a warpgroup, and each of its products is
by all of them. So ``wgmma.wait_group`` lets a warp go on when all four have committed the groups
that it waits for: from then on nobody reads the matrices, and one thread may let them be
overwritten. (PTX ISA, "wgmma.commit_group", "wgmma.wait_group")
"""

from __future__ import annotations

from emulator.native.compiled import accessors, inner, routine
from emulator.native.layout import (
    LANES,
    NO_WARPGROUP,
    UNEVEN_DESCRIPTOR,
    WARPGROUP_MISUSE,
    BlockState,
    Context,
    Warp,
    offset,
)
from emulator.units.fault import report
from emulator.watch.events import PRODUCTS_AWAITED, PRODUCTS_COMMITTED, note, note_product

read_u32, write_u32 = accessors("uint32")
read_i64, _ = accessors("int64")

WARPS_AT, WARP_COUNT_AT = offset(BlockState, "warps"), offset(Context, "warps")
WARP_BYTES_AT = offset(Context, "warp_bytes")
BLOCK_AT, INDEX_AT = offset(Warp, "block"), offset(Warp, "index")
COMMITTED_AT, DONE_AT = offset(Warp, "products_committed"), offset(Warp, "products_done")
DATA_AT = offset(Warp, "data")
WARPS = 4  # of a warpgroup


@inner
def warp_at(context: int, block: int, index: int) -> int:
    """One of a block's warps."""
    warp: int = read_i64(block + WARPS_AT) + index * read_i64(context + WARP_BYTES_AT)
    return warp


@routine("int64", *["int64"] * 5)
def begin_product(context: int, warp: int, site: int, active: int, descriptors: int) -> int:
    """Check what a product needs: four warps, and descriptors that all lanes agree on.

    ``descriptors`` of them stand in ``Warp.data``, as i64 [descriptor][lane].
    """
    if active == 0:
        return 0
    last = int(read_u32(warp + INDEX_AT)) | WARPS - 1
    if last >= read_u32(context + WARP_COUNT_AT):
        count = int(read_u32(context + WARP_COUNT_AT))
        return report(context, warp, site, WARPGROUP_MISUSE, 0, count, NO_WARPGROUP, 0)
    for number in range(descriptors):
        values = warp + DATA_AT + 8 * LANES * number
        first = read_i64(values)
        for lane in range(LANES):
            if read_i64(values + 8 * lane) != first:
                other = read_i64(values + 8 * lane)
                return report(
                    context, warp, site, WARPGROUP_MISUSE, lane, number, UNEVEN_DESCRIPTOR, other
                )
    note_product(context, warp, site, descriptors)
    return 0


@routine("int64", *["int64"] * 3)
def commit_products(context: int, warp: int, active: int) -> int:
    """The products since the last commit are a group, though there may be none."""
    if active == 0:
        return 0
    write_u32(warp + COMMITTED_AT, read_u32(warp + COMMITTED_AT) + 1)
    note(context, warp, 0, 0, PRODUCTS_COMMITTED, 0, 0, 0)
    return 0


@routine("int64", *["int64"] * 4)
def wait_for_products(context: int, warp: int, active: int, pending: int) -> int:
    """Whether all of a warp's groups but the last ``pending`` are complete; 0: come again."""
    goal = int(read_u32(warp + COMMITTED_AT)) - pending
    if active == 0 or goal <= int(read_u32(warp + DONE_AT)):
        note(context, warp, 0, 0, PRODUCTS_AWAITED, 0, pending, 0)
        return 1
    first = int(read_u32(warp + INDEX_AT)) & ~(WARPS - 1)
    block = read_i64(warp + BLOCK_AT)
    for index in range(first, min(first + WARPS, int(read_u32(context + WARP_COUNT_AT)))):
        if int(read_u32(warp_at(context, block, index) + COMMITTED_AT)) < goal:
            return 0
    write_u32(warp + DONE_AT, goal)
    note(context, warp, 0, 0, PRODUCTS_AWAITED, 0, pending, 0)
    return 1
