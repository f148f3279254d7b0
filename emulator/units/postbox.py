"""``st.async`` and ``red.async``: what is under way to the shared memory of a cluster's block.

The bytes arrive as :class:`Context`'s ``copies`` says: late is when an mbarrier that counts them is
tested, which is what programs wait for. The mbarrier's tx-count goes down by the bytes as they
arrive. (PTX ISA, "st.async", "red.async")
"""

from __future__ import annotations

from emulator.native.compiled import accessors, external, inner, routine
from emulator.native.heap import heap
from emulator.native.layout import (
    CLUSTER_MISUSE,
    EAGER,
    LANES,
    LATE,
    OTHER_BLOCKS_MBARRIER,
    STILL_COMING,
    BlockState,
    Context,
    Warp,
    offset,
)
from emulator.units.fault import report
from emulator.units.reduction import of_integers
from emulator.units.window import owner_of
from emulator.units.word import add_bytes
from emulator.watch.landing import landed_in

read_u8, write_u8 = accessors("uint8")
read_u32, write_u32 = accessors("uint32")
read_i64, write_i64 = accessors("int64")
resize = heap()
deliver = external("deliver_post", "int64", "int64", "int64", "int64")

ADDRESSES_AT, DATA_AT = offset(Warp, "addresses"), offset(Warp, "data")
BLOCK_AT, POST_AT = offset(Warp, "block"), offset(BlockState, "post")
SHARED_AT = offset(BlockState, "shared")
MODE_AT, SEED_AT = offset(Context, "copies"), offset(Context, "copy_seed")
BARRIERS_AT = DATA_AT + 16 * LANES  # behind up to 16 bytes a lane

# What an entry does with its bytes: a reduction, of numbers with a sign or without, or a store.
SIGNED, STORE = 16, 32

# A postbox: entries, room; then entries of eight words.
FIRST, ENTRY = 16, 64
TARGET, BARRIER, NBYTES, WHAT, LOW, HIGH, SENDER, SITE_LANE = range(0, 64, 8)


@inner
def combined(what: int, nbytes: int, old: int, new: int) -> int:
    """What a reduction leaves, of 4 or 8 bytes; both numbers without a sign where they have 4."""
    if what & SIGNED and nbytes == 4:
        old = (old ^ 1 << 31) - (1 << 31)
        new = (new ^ 1 << 31) - (1 << 31)
    return of_integers(what & ~SIGNED, old, new)


@inner
def arrive_bytes(context: int, entry: int) -> int:
    """An entry's bytes arrive, and its mbarrier hears of them."""
    target, nbytes = read_i64(entry + TARGET), read_i64(entry + NBYTES)
    what = read_i64(entry + WHAT)
    if what == STORE:
        for byte in range(nbytes):
            write_u8(target + byte, read_u8(entry + LOW + byte))
    elif nbytes == 4:
        new = int(read_u32(entry + LOW))
        write_u32(target, combined(what, 4, int(read_u32(target)), new) & 0xFFFFFFFF)
    else:
        write_i64(target, combined(what, 8, read_i64(target), read_i64(entry + LOW)))
    warp, place = read_i64(entry + SENDER), read_i64(entry + SITE_LANE)
    block = owner_of(context, read_i64(warp + BLOCK_AT), target)
    landed_in(block, target, nbytes)
    site, lane = place >> 5, place & 31
    word = add_bytes(context, warp, site, lane, read_i64(entry + BARRIER), -nbytes)
    return -1 if word < 0 else 0


@routine("int64", *["int64"] * 3)
def deliver_post(context: int, block: int, barrier: int) -> int:
    """What is under way to a block and counted by an mbarrier (0: any) arrives. -1: a mistake."""
    box = read_i64(block + POST_AT)
    if box == 0:
        return 0
    kept = 0
    for index in range(read_i64(box)):
        entry = box + FIRST + index * ENTRY
        if barrier == 0 or read_i64(entry + BARRIER) == barrier:
            if arrive_bytes(context, entry) < 0:
                return -1
        else:
            if kept != index:
                for word in range(0, ENTRY, 8):
                    write_i64(box + FIRST + kept * ENTRY + word, read_i64(entry + word))
            kept += 1
    write_i64(box, kept)
    return 0


@inner
def post(block: int) -> int:
    """Room for one more entry; 0 without memory."""
    box = read_i64(block + POST_AT)
    if box == 0 or read_i64(box) == read_i64(box + 8):
        room = 2 * read_i64(box + 8) if box != 0 else 32
        larger = resize(box, FIRST + room * ENTRY)
        if larger == 0:
            return 0
        if box == 0:
            write_i64(larger, 0)
        write_i64(larger + 8, room)
        write_i64(block + POST_AT, larger)
        box = larger
    entry = box + FIRST + read_i64(box) * ENTRY
    write_i64(box, read_i64(box) + 1)
    return int(entry)


@routine("int64", *["int64"] * 6)
def send_async(context: int, warp: int, site: int, mask: int, nbytes: int, what: int) -> int:
    """Each lane sends ``nbytes``, from ``Warp.data``, to its checked address.

    ``Warp.data`` holds 32-bit words ``[word][lane]``, and behind them each lane's mbarrier.
    """
    own = read_i64(warp + BLOCK_AT)
    for lane in range(LANES):
        if mask >> lane & 1:
            target = read_i64(warp + ADDRESSES_AT + 8 * lane)
            barrier = read_i64(warp + BARRIERS_AT + 8 * lane)
            block = owner_of(context, own, target)
            if block == 0 or owner_of(context, own, barrier) != block:
                return report(
                    context, warp, site, CLUSTER_MISUSE, lane, 0, OTHER_BLOCKS_MBARRIER, target
                )
            entry = post(block)
            if entry == 0:
                return -1
            write_i64(entry + TARGET, target)
            write_i64(entry + BARRIER, barrier)
            write_i64(entry + NBYTES, nbytes)
            write_i64(entry + WHAT, what)
            for word in range(nbytes // 4):
                value = read_u32(warp + DATA_AT + 4 * (LANES * word + lane))
                write_u32(entry + LOW + 4 * word, value)
            write_i64(entry + SENDER, warp)
            write_i64(entry + SITE_LANE, site << 5 | lane)
            mode = read_u32(context + MODE_AT)
            drawn = (target >> 2) * 0x9E3779B1 + int(read_u32(context + SEED_AT)) * 0x85EBCA6B
            now = mode == EAGER or (mode != LATE and (drawn >> 13) & 3 == 0)
            if now and deliver(context, block, barrier if mode == EAGER else 0) < 0:
                return -1
    return 0


@routine("int64", *["int64"] * 2)
def leave_cluster(context: int, block: int) -> int:
    """A block of a cluster has exited. -1: bytes are still under way to its shared memory."""
    box = read_i64(block + POST_AT)
    if box == 0 or read_i64(box) == 0:
        return 0
    entry = box + FIRST
    warp, place = read_i64(entry + SENDER), read_i64(entry + SITE_LANE)
    write_i64(box, 0)
    nbytes, target = read_i64(entry + NBYTES), read_i64(entry + TARGET)
    return report(
        context, warp, place >> 5, CLUSTER_MISUSE, place & 31, nbytes, STILL_COMING, target
    )
