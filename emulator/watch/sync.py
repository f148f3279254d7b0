"""synccheck's ear: misuse of barriers and of ``.sync`` masks, noted as it happens.

Compiled code calls here only when ``Context.complaints`` is set. What is found goes to a table with
one entry for each kind at each instruction, of which the first occurrence is described.
(compute-sanitizer's documentation, "Synccheck Tool")
"""

from __future__ import annotations

import ctypes

from emulator.native.compiled import accessors, inner, routine
from emulator.native.layout import (
    BARRIER_BIT,
    EXITED,
    LANES,
    BlockState,
    Context,
    Warp,
    offset,
)

read_u32, _ = accessors("uint32")
read_i64, write_i64 = accessors("int64")
i64 = ctypes.c_int64

# Kinds of complaint.
(WARP_APART, THREADS_EXITED, BAD_COUNT, TOO_MANY, COUNTS_DIFFER, NOT_A_MEMBER, MEMBERS_EXITED,
 POINTS_DIFFER, BAD_NUMBER) = range(1, 10)  # fmt: skip
CLUSTER_APART = 10
AFTER_BARRIER = (WARP_APART, THREADS_EXITED, TOO_MANY)
ROOM = 512


class Complaint(ctypes.Structure):
    """One kind at one instruction."""

    _fields_ = [
        ("kind", i64),
        ("place", i64),  # index of the instruction; or, of AFTER_BARRIER, the block after
        ("count", i64),
        ("block", i64),  # linear
        ("thread", i64),  # linear
        ("a", i64),  # what the words about the kind need
        ("b", i64),
    ]


class Complaints(ctypes.Structure):
    """All of one launch."""

    _fields_ = [("used", i64), ("missed", i64), ("entries", Complaint * ROOM)]


COMPLAINTS_AT = offset(Context, "complaints")
THREADS_AT = offset(Context, "threads")
WARP_COUNT_AT = offset(Context, "warps")
WARP_BYTES_AT = offset(Context, "warp_bytes")
BLOCK_AT = offset(Warp, "block")
INDEX_AT = offset(Warp, "index")
PCS_AT = offset(Warp, "pcs")
BARRIER_AT = offset(Warp, "barrier")
MEMBERS_AT = offset(Warp, "members")
BLOCK_INDEX_AT = offset(BlockState, "index")
WARPS_AT = offset(BlockState, "warps")
EXPECTED_AT = offset(BlockState, "expected")
USED_BARRIERS_AT = offset(BlockState, "barriers_used")
ENTRIES_AT = Complaints.entries.offset
ENTRY_BYTES = ctypes.sizeof(Complaint)
USED_AT, MISSED_AT = Complaints.used.offset, Complaints.missed.offset
COUNT_AT = Complaint.count.offset

# What a barrier instruction is, as bits.
COUNTED, ARRIVES = 1, 2


@inner
def word(address: int, index: int) -> int:
    """One of an array of 32-bit numbers."""
    return int(read_u32(address + 4 * index))


@inner
def first(mask: int) -> int:
    """The lowest lane set."""
    for lane in range(LANES):
        if mask >> lane & 1:
            return lane
    return 0


@inner
def exited_lanes(context: int, warp: int) -> int:
    """Lanes that ran once and do no more; lanes that a small block never had are not among them."""
    mask = 0
    start = word(warp + INDEX_AT, 0) * LANES
    for lane in range(LANES):
        if word(warp + PCS_AT, lane) == EXITED and start + lane < word(context + THREADS_AT, 0):
            mask |= 1 << lane
    return mask


@inner
def live_lanes(warp: int) -> int:
    """Lanes that have not exited."""
    mask = 0
    for lane in range(LANES):
        if word(warp + PCS_AT, lane) != EXITED:
            mask |= 1 << lane
    return mask


@inner
def complain(context: int, kind: int, place: int, warp: int, lane: int, a: int, b: int) -> None:
    """Note a complaint, or count it once more."""
    table = read_i64(context + COMPLAINTS_AT)
    used = read_i64(table + USED_AT)
    for index in range(used):
        entry = table + ENTRIES_AT + index * ENTRY_BYTES
        if read_i64(entry) == kind and read_i64(entry + 8) == place:
            write_i64(entry + COUNT_AT, read_i64(entry + COUNT_AT) + 1)
            return
    if used == ROOM:
        write_i64(table + MISSED_AT, read_i64(table + MISSED_AT) + 1)
        return
    entry = table + ENTRIES_AT + used * ENTRY_BYTES
    write_i64(entry, kind)
    write_i64(entry + 8, place)
    write_i64(entry + 16, 1)
    write_i64(entry + 24, read_i64(read_i64(warp + BLOCK_AT) + BLOCK_INDEX_AT))
    write_i64(entry + 32, word(warp + INDEX_AT, 0) * LANES + lane)
    write_i64(entry + 40, a)
    write_i64(entry + 48, b)
    write_i64(table + USED_AT, used + 1)


@routine("void", *["int64"] * 6)
def check_barrier(
    context: int, warp: int, active: int, site: int, what: int, too_high: int
) -> None:
    """Lanes come to barriers. ``too_high`` is a number that no barrier has, or 0.

    ``Warp.barrier`` holds their numbers and, when counted, ``Warp.members`` the threads.
    """
    if active == 0:
        return
    block = read_i64(warp + BLOCK_AT)
    lane = first(active)
    if too_high != 0:
        complain(context, BAD_NUMBER, site, warp, lane, too_high, 0)
    if what & COUNTED:
        for other in range(LANES):
            if active >> other & 1:
                number = word(warp + BARRIER_AT, other)
                threads = word(warp + MEMBERS_AT, other)
                total = word(context + WARP_COUNT_AT, 0) * LANES
                if threads % LANES != 0 or threads > total or threads == 0:
                    complain(context, BAD_COUNT, site, warp, other, threads, number)
                    return
                expected = word(block + EXPECTED_AT, number)
                in_use = word(block + USED_BARRIERS_AT, 0) >> number & 1
                if in_use and expected != threads:
                    complain(context, COUNTS_DIFFER, site, warp, other, threads, expected)
                    return


@inner
def check_together(context: int, warp: int, number: int) -> None:
    """A warp's lanes should wait at one barrier instruction when it lets them go, all of them."""
    live = live_lanes(warp)
    seen = 0
    for lane in range(LANES):
        pc = word(warp + PCS_AT, lane)
        waits = live >> lane & 1 and pc & BARRIER_BIT != 0
        if waits and not seen >> lane & 1 and word(warp + BARRIER_AT, lane) == number:
            here = 0
            for other in range(LANES):
                same = word(warp + PCS_AT, other) == pc
                if same and word(warp + BARRIER_AT, other) == number:
                    here |= 1 << other
            seen |= here
            if here != live:
                after = pc & ~BARRIER_BIT
                complain(context, WARP_APART, after, warp, lane, number, live & ~here)


@routine("void", *["int64"] * 4)
def check_release(context: int, block: int, number: int, arrived: int) -> None:
    """A barrier lets its threads go."""
    expected = word(block + EXPECTED_AT, number)
    exited, after, at_warp, at_lane = 0, -1, 0, 0
    for index in range(word(context + WARP_COUNT_AT, 0)):
        warp = read_i64(block + WARPS_AT) + index * read_i64(context + WARP_BYTES_AT)
        check_together(context, warp, number)
        gone = exited_lanes(context, warp)
        for lane in range(LANES):
            exited += gone >> lane & 1
            pc = word(warp + PCS_AT, lane)
            waits = pc != EXITED and pc & BARRIER_BIT != 0
            if after < 0 and waits and word(warp + BARRIER_AT, lane) == number:
                after, at_warp, at_lane = pc & ~BARRIER_BIT, warp, lane
    if after < 0:
        return
    if expected == 0 and exited != 0:
        complain(context, THREADS_EXITED, after, at_warp, at_lane, number, exited)
    if expected != 0 and arrived > expected:
        complain(context, TOO_MANY, after, at_warp, at_lane, expected, arrived)


@inner
def check_cluster_barrier(context: int, warp: int, active: int, place: int) -> None:
    """Lanes come to a cluster's barrier by an instruction that all of their warp should execute."""
    elsewhere = live_lanes(warp) & ~active
    if read_i64(context + COMPLAINTS_AT) != 0 and elsewhere != 0:
        complain(context, CLUSTER_APART, place, warp, first(active), 0, elsewhere)


@inner
def check_members(context: int, warp: int, active: int, site: int) -> None:
    """Lanes come to a ``.sync`` operation with the masks in ``Warp.members``."""
    gone = exited_lanes(context, warp)
    for lane in range(LANES):
        if active >> lane & 1:
            mask = word(warp + MEMBERS_AT, lane)
            if not mask >> lane & 1:
                complain(context, NOT_A_MEMBER, site, warp, lane, mask, 0)
                return
            if mask & gone:
                complain(context, MEMBERS_EXITED, site, warp, lane, mask, mask & gone)
                return
