"""Shared memory's wavefronts."""

from __future__ import annotations

from emulator.native.compiled import accessors, inner
from emulator.native.layout import LANES, Site, Warp, offset

read_i64, write_i64 = accessors("int64")

ADDRESSES_AT = offset(Warp, "addresses")
REQUESTS_AT = offset(Site, "requests")
WAVEFRONTS_AT = offset(Site, "wavefronts")
BANKS = 32
BANK_BYTES = 4


@inner
def add(address: int, amount: int) -> None:
    """Add to a 64-bit number in memory."""
    write_i64(address, read_i64(address) + amount)


@inner
def wavefronts(warp: int, mask: int, base: int, nbytes: int) -> int:
    """The most distinct 4-byte words that any bank has to deliver."""
    worst = 1
    for bank in range(BANKS):
        seen = 0
        for lane in range(LANES):
            if mask >> lane & 1:
                word = (read_i64(warp + ADDRESSES_AT + 8 * lane) - base) // BANK_BYTES
                if word % BANKS == bank:
                    first = True
                    for other in range(lane):
                        if mask >> other & 1:
                            theirs = read_i64(warp + ADDRESSES_AT + 8 * other) - base
                            if theirs // BANK_BYTES == word:
                                first = False
                    if first:
                        seen += 1
        worst = max(worst, seen)
    return worst


@inner
def count_wavefronts(warp: int, site: int, mask: int, nbytes: int, base: int) -> None:
    """Add one access of shared memory to its site's counters."""
    add(site + REQUESTS_AT, 1)
    add(site + WAVEFRONTS_AT, wavefronts(warp, mask, base, nbytes))
