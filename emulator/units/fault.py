"""How a routine ends a launch: what happened goes into the context (:mod:`emulator.faults`)."""

from __future__ import annotations

from emulator.native.compiled import accessors, inner
from emulator.native.layout import SITE_BYTES, Context, offset

_, write_u32 = accessors("uint32")
read_i64, write_i64 = accessors("int64")

KIND_AT, SITE_AT = offset(Context, "fault_kind"), offset(Context, "fault_site")
LANE_AT, BYTES_AT = offset(Context, "fault_lane"), offset(Context, "fault_bytes")
STORE_AT, ADDRESS_AT = offset(Context, "fault_store"), offset(Context, "fault_address")
WARP_AT, SITES_AT = offset(Context, "fault_warp"), offset(Context, "sites")


@inner
def report(
    context: int, warp: int, site: int, kind: int, lane: int, nbytes: int, store: int, address: int
) -> int:
    """Say what a lane did wrong at ``site``; the -1 that it returns stops the warp."""
    number = (site - read_i64(context + SITES_AT)) // SITE_BYTES
    write_u32(context + KIND_AT, kind)
    write_u32(context + SITE_AT, number)
    write_u32(context + LANE_AT, lane)
    write_u32(context + BYTES_AT, nbytes)
    write_u32(context + STORE_AT, store)
    write_i64(context + ADDRESS_AT, address)
    write_i64(context + WARP_AT, warp)
    return -1
