"""Sectors of local memory, which hardware keeps word by word for all lanes of a warp.

Word ``w`` of lane ``l`` lies ``(w * 32 + l) * 4`` bytes into the warp's local memory, so that lanes
that use the same word of theirs touch one 128-byte line (CUDA C++ Programming Guide, "Local
Memory"). An access of several words is as many requests.
"""

from __future__ import annotations

from emulator.native.compiled import accessors, inner, stack
from emulator.native.layout import LANES, Context, Site, Warp, offset
from emulator.watch.wavefronts import FULL, add, lanes_in, step_of

read_u32, _ = accessors("uint32")
read_i64, write_i64 = accessors("int64")
seen_scratch = stack(128 * 8)

ADDRESSES_AT = offset(Warp, "addresses")
WARP_LOCAL_AT = offset(Warp, "local")
LOCAL_BYTES_AT = offset(Context, "local_bytes")
REQUESTS_AT = offset(Site, "local_requests")
SECTORS_AT = offset(Site, "local_sectors")
BYTES_AT = offset(Site, "local_bytes")
WORD_BYTES = 4
LANES_A_SECTOR = 8


@inner
def local_sectors(warp: int, mask: int, nbytes: int, low: int, stride: int) -> int:
    """Sectors touched; lane ``l``'s own memory starts at ``low + l * stride``."""
    words = max(nbytes // WORD_BYTES, 1)
    if mask == FULL and step_of(warp) == stride:
        return words * LANES // LANES_A_SECTOR
    seen = seen_scratch()
    count = 0
    for lane in range(LANES):
        if mask >> lane & 1:
            place = read_i64(warp + ADDRESSES_AT + 8 * lane) - low - lane * stride
            for word in range(place // WORD_BYTES, place // WORD_BYTES + words):
                sector = word * (LANES // LANES_A_SECTOR) + lane // LANES_A_SECTOR
                known = False
                for index in range(count):
                    if read_i64(seen + 8 * index) == sector:
                        known = True
                        break
                if not known:
                    write_i64(seen + 8 * count, sector)
                    count += 1
    return count


@inner
def count_local(context: int, warp: int, site: int, mask: int, nbytes: int, base: int) -> None:
    """Count one access to local memory. Its addresses are offsets, or generic: base is not 0."""
    low, stride = 0, 0
    if base:
        low, stride = read_i64(warp + WARP_LOCAL_AT), read_i64(context + LOCAL_BYTES_AT)
    add(site + REQUESTS_AT, max(nbytes // WORD_BYTES, 1))
    add(site + BYTES_AT, lanes_in(mask) * nbytes)
    add(site + SECTORS_AT, local_sectors(warp, mask, nbytes, low, stride))
