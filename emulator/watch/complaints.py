"""Where compiled checkers write what they find: one entry a pair of instructions, with a count."""

from __future__ import annotations

from emulator.native.compiled import accessors, inner
from emulator.watch.shadow import (
    BLOCK_SHIFT,
    SITE_MASK,
    THREAD_MASK,
    THREAD_SHIFT,
    Checker,
    Found,
    offset,
    size,
)

read_i64, write_i64 = accessors("int64")

FOUND_AT = offset(Checker, "found")
MASK_AT = offset(Checker, "found_mask")
MISSED_AT = offset(Checker, "missed")
FOUND_BYTES = size(Found)
KIND_AT = offset(Found, "kind")
EARLIER_AT = offset(Found, "earlier")
LATER_AT = offset(Found, "later")
SPACE_AT = offset(Found, "space")
COUNT_AT = offset(Found, "count")
HARMLESS_AT = offset(Found, "harmless")
EARLIER_BLOCK_AT = offset(Found, "earlier_block")
EARLIER_THREAD_AT = offset(Found, "earlier_thread")
LATER_BLOCK_AT = offset(Found, "later_block")
LATER_THREAD_AT = offset(Found, "later_thread")
ADDRESS_AT = offset(Found, "address")
NBYTES_AT = offset(Found, "nbytes")
OLD_AT = offset(Found, "old")
NEW_AT = offset(Found, "new")
VALUES_AT = offset(Found, "has_values")
AT_ONCE_AT = offset(Found, "at_once")


@inner
def entry_for(checker: int, kind: int, space: int, earlier: int, later: int) -> int:
    """The entry of a pair of instructions, a new one if need be; 0 when the table is full."""
    table = read_i64(checker + FOUND_AT)
    mask = read_i64(checker + MASK_AT)
    place = (earlier * 31 + later * 17 + kind * 7 + space) & mask
    for _ in range(mask + 1):
        entry: int = table + FOUND_BYTES * place
        if read_i64(entry + KIND_AT) == 0:
            write_i64(entry + KIND_AT, kind)
            write_i64(entry + SPACE_AT, space)
            write_i64(entry + EARLIER_AT, earlier)
            write_i64(entry + LATER_AT, later)
            return entry
        same = read_i64(entry + EARLIER_AT) == earlier and read_i64(entry + LATER_AT) == later
        if same and read_i64(entry + KIND_AT) == kind and read_i64(entry + SPACE_AT) == space:
            return entry
        place = (place + 1) & mask
    return 0


@inner
def complain(
    checker: int,
    kind: int,
    space: int,
    earlier: int,
    later: int,
    address: int,
    nbytes: int,
    old: int,
    new: int,
    values: int,
    at_once: int,
    harmless: int,
) -> None:
    """Note a pair of accesses, given by their stamps; the first that does harm is described."""
    entry = entry_for(checker, kind, space, earlier & SITE_MASK, later & SITE_MASK)
    if entry == 0:
        write_i64(checker + MISSED_AT, read_i64(checker + MISSED_AT) + 1)
        return
    count = read_i64(entry + COUNT_AT)
    meek = read_i64(entry + HARMLESS_AT)
    write_i64(entry + COUNT_AT, count + 1)
    write_i64(entry + HARMLESS_AT, meek + harmless)
    if count > 0 and (harmless != 0 or meek < count):
        return
    write_i64(entry + EARLIER_BLOCK_AT, earlier >> BLOCK_SHIFT)
    write_i64(entry + EARLIER_THREAD_AT, earlier >> THREAD_SHIFT & THREAD_MASK)
    write_i64(entry + LATER_BLOCK_AT, later >> BLOCK_SHIFT)
    write_i64(entry + LATER_THREAD_AT, later >> THREAD_SHIFT & THREAD_MASK)
    write_i64(entry + ADDRESS_AT, address)
    write_i64(entry + NBYTES_AT, nbytes)
    write_i64(entry + OLD_AT, old)
    write_i64(entry + NEW_AT, new)
    write_i64(entry + VALUES_AT, values)
    write_i64(entry + AT_ONCE_AT, at_once)
