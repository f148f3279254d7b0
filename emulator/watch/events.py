"""What one block did, event by event, for its timeline (:mod:`emulator.timeline`).

``Context.timeline`` is a :class:`Recording`, or 0. Units call :func:`note` where something happens
that another thread, or hardware beside the threads, may wait for: copies issued and landed,
arrivals and phases, products and their groups. The blocks of a whole cluster are recorded, because
they wait for one another.

A warp's work between events is known from ``Context.block_counts``: nobody else runs while a warp
does, so what has been counted since it got its turn is its own. ``Recording.weights`` says what
each basic block costs, in modelled cycles.
"""

from __future__ import annotations

import ctypes

from emulator.native.compiled import accessors, external, inner, routine
from emulator.native.heap import heap
from emulator.native.layout import (
    LANES,
    LOAD,
    MAX_CLUSTER,
    MAX_WARPS,
    SHARED,
    SITE_BYTES,
    STORE,
    BlockState,
    Context,
    Site,
    Warp,
    offset,
)

read_u32, _ = accessors("uint32")
read_i64, write_i64 = accessors("int64")
resize = heap()
record = external("record_event", "void", *["int64"] * 8)
i64 = ctypes.c_int64

# Kinds of event: what they are about is in ``address``, ``number`` and ``extra``.
(
    BEGINS,  # a block: its shared memory, its index, its rank in the cluster
    EXITS,  # lanes
    LOAD_ISSUED,  # a bulk copy to shared memory: target, bytes, mbarrier
    LOAD_LANDED,  # the same; of the warp that issued it
    STORE_ISSUED,  # a bulk copy from shared memory: source, bytes, group
    STORES_COMMITTED,  # lanes
    STORES_AWAITED,  # -, groups that may be pending
    BARRIER_MADE,  # mbarrier, arrivals that it expects
    ARRIVES,  # mbarrier, arrivals
    EXPECTS,  # mbarrier, bytes
    COMPLETES,  # mbarrier, parity of the phase that is over
    WAITS,  # mbarrier, parity: a first test that failed
    PASSES,  # mbarrier, parity: a test that did not fail
    PRODUCT,  # -: wgmma of a warp; A's and B's descriptor, or B's twice
    PRODUCTS_COMMITTED,
    PRODUCTS_AWAITED,  # -, groups that may be pending
    COPY_ISSUED,  # cp.async of a warp: lowest target, bytes, end of the highest target
    COPIES_COMMITTED,
    COPIES_AWAITED,  # -, groups that may be pending; -1: all copies
    NAMED_ARRIVE,  # bar.arrive: -, number, lanes
    NAMED_SYNC,  # bar.sync: -, number, lanes
    NAMED_RELEASED,  # a barrier of the block: -, number
    CLUSTER_ARRIVE,
    CLUSTER_WAIT,
    REGISTERS,  # setmaxnreg: -, registers of a thread
    READS_SHARED,  # a load from shared memory: lowest address
    COPIES_TRACKED,  # cp.async.mbarrier.arrive: mbarrier
    WRITES_SHARED,  # a store to shared memory: lowest address
) = range(28)  # fmt: skip
MERGED = (1 << ARRIVES) | (1 << PASSES) | (1 << EXPECTS)  # lane after lane of one instruction
WORDS = 8  # of an event
EVENT_BYTES = 8 * WORDS
(AT_CYCLES, AT_WARP, AT_LANE, AT_KIND, AT_SITE, AT_ADDRESS, AT_NUMBER, AT_EXTRA) = range(
    0, EVENT_BYTES, 8
)
MOST = 1 << 20  # events of a launch; what comes later is counted in ``Recording.missed``
WARPS = MAX_CLUSTER * MAX_WARPS
NOBODY = -1


class Recording(ctypes.Structure):
    """What is recorded of a launch, and what is needed to record it."""

    _fields_ = [
        ("events", i64),  # on the heap, i64 [used][8]
        ("used", i64),
        ("room", i64),
        ("missed", i64),
        ("blocks", i64),  # that are watched, by rank
        ("watched", i64 * MAX_CLUSTER),  # their linear indices
        ("begun", i64 * MAX_CLUSTER),  # 1: the block has had a turn
        ("weights", i64),  # f64 cycles of each basic block: i64 here
        ("basic_blocks", i64),
        ("counted", i64),  # cycles of all warps of the launch so far
        ("running", i64),  # the warp that has its turn, as rank * 32 + index; NOBODY
        ("cycles", i64 * WARPS),  # of each watched warp
        ("site", i64),  # of the instruction under way, where a unit is not told
        ("waiting", i64 * WARPS),  # the mbarrier at which a test of the warp's last failed
    ]


OPERATION_AT = offset(Site, "operation")
TIMELINE_AT = offset(Context, "timeline")
COUNTS_AT, SITES_AT = offset(Context, "block_counts"), offset(Context, "sites")
BLOCK_AT, INDEX_AT = offset(Warp, "block"), offset(Warp, "index")
ADDRESSES_AT, DATA_AT = offset(Warp, "addresses"), offset(Warp, "data")
BLOCK_INDEX_AT, SHARED_AT = offset(BlockState, "index"), offset(BlockState, "shared")
EVENTS_AT, USED_AT, ROOM_AT, MISSED_AT, BLOCKS_AT, WATCHED_AT, BEGUN_AT = (
    offset(Recording, name)
    for name in ("events", "used", "room", "missed", "blocks", "watched", "begun")
)
WEIGHTS_AT, BASIC_AT, COUNTED_AT, RUNNING_AT, CYCLES_AT, SITE_AT, WAITING_AT = (
    offset(Recording, name)
    for name in ("weights", "basic_blocks", "counted", "running", "cycles", "site", "waiting")
)


@inner
def note(
    context: int, warp: int, lane: int, site: int, kind: int, address: int, number: int, extra: int
) -> None:
    """Something happens, in the course of an instruction of a warp's lane; ``site`` may be 0."""
    if read_i64(context + TIMELINE_AT) != 0:
        record(context, warp, lane, site, kind, address, number, extra)


@inner
def rank_of(recording: int, block: int) -> int:
    """Which of the watched blocks a block is; :data:`NOBODY`."""
    index = read_i64(block + BLOCK_INDEX_AT)
    for rank in range(read_i64(recording + BLOCKS_AT)):
        if read_i64(recording + WATCHED_AT + 8 * rank) == index:
            return int(rank)
    return NOBODY


@inner
def number_of(recording: int, warp: int) -> int:
    """A warp's number among those watched; :data:`NOBODY`."""
    rank = rank_of(recording, read_i64(warp + BLOCK_AT))
    return NOBODY if rank < 0 else rank * MAX_WARPS + int(read_u32(warp + INDEX_AT))


@inner
def attribute(context: int, recording: int) -> None:
    """What has been executed since the last time was executed by the warp that has its turn."""
    counts, weights = read_i64(context + COUNTS_AT), read_i64(recording + WEIGHTS_AT)
    total = 0
    for block in range(read_i64(recording + BASIC_AT)):
        total += read_i64(counts + 16 * block) * read_i64(weights + 8 * block)
    running = read_i64(recording + RUNNING_AT)
    if running >= 0:
        place = recording + CYCLES_AT + 8 * running
        write_i64(place, read_i64(place) + total - read_i64(recording + COUNTED_AT))
    write_i64(recording + COUNTED_AT, total)


@inner
def append(
    recording: int, number: int, lane: int, site: int, kind: int, address: int, count: int,
    extra: int,
) -> None:  # fmt: skip
    """One more event, unless the last one says it already."""
    used, events = read_i64(recording + USED_AT), read_i64(recording + EVENTS_AT)
    if used > 0 and MERGED >> kind & 1:
        last = events + EVENT_BYTES * (used - 1)
        if (
            read_i64(last + AT_KIND) == kind
            and read_i64(last + AT_WARP) == number
            and read_i64(last + AT_SITE) == site
            and read_i64(last + AT_ADDRESS) == address
            and read_i64(last + AT_LANE) < lane
        ):
            write_i64(last + AT_LANE, lane)
            if kind != PASSES:
                write_i64(last + AT_NUMBER, read_i64(last + AT_NUMBER) + count)
            return
    if used == read_i64(recording + ROOM_AT):
        larger = 0
        if used < MOST:
            larger = resize(events, EVENT_BYTES * max(2 * used, 1024))
        if larger == 0:
            write_i64(recording + MISSED_AT, read_i64(recording + MISSED_AT) + 1)
            return
        write_i64(recording + ROOM_AT, max(2 * used, 1024))
        write_i64(recording + EVENTS_AT, larger)
        events = larger
    entry = events + EVENT_BYTES * used
    write_i64(entry + AT_CYCLES, read_i64(recording + CYCLES_AT + 8 * number))
    write_i64(entry + AT_WARP, number)
    write_i64(entry + AT_LANE, lane)
    write_i64(entry + AT_KIND, kind)
    write_i64(entry + AT_SITE, site)
    write_i64(entry + AT_ADDRESS, address)
    write_i64(entry + AT_NUMBER, count)
    write_i64(entry + AT_EXTRA, extra)
    write_i64(recording + USED_AT, used + 1)


@routine("void", *["int64"] * 8)
def record_event(
    context: int, warp: int, lane: int, site: int, kind: int, address: int, number: int, extra: int
) -> None:
    """Append an event of a watched warp; a warp that tests an mbarrier in vain does so once.

    ``site`` 0 is the instruction that :mod:`emulator.lower.events` said is under way.
    """
    recording = read_i64(context + TIMELINE_AT)
    who = number_of(recording, warp)
    if who < 0:
        return
    attribute(context, recording)
    site = site if site != 0 else read_i64(recording + SITE_AT)
    where = (site - read_i64(context + SITES_AT)) // SITE_BYTES if site != 0 else -1
    waiting = recording + WAITING_AT + 8 * who
    if kind == WAITS:
        if read_i64(waiting) == address:
            return
        write_i64(waiting, address)
    elif kind == PASSES and read_i64(waiting) == address:
        write_i64(waiting, 0)
    append(recording, who, lane, where, kind, address, number, extra)


@routine("void", "int64", "int64")
def note_turn(context: int, warp: int) -> None:
    """A warp, of whichever block, gets its turn."""
    recording = read_i64(context + TIMELINE_AT)
    attribute(context, recording)
    who = number_of(recording, warp)
    write_i64(recording + RUNNING_AT, who)
    block = read_i64(warp + BLOCK_AT)
    rank = rank_of(recording, block)
    if rank >= 0 and read_i64(recording + BEGUN_AT + 8 * rank) == 0:
        write_i64(recording + BEGUN_AT + 8 * rank, 1)
        index, shared = read_i64(block + BLOCK_INDEX_AT), read_i64(block + SHARED_AT)
        append(recording, who, 0, -1, BEGINS, shared, index, rank)


@routine("void", *["int64"] * 3)
def note_release(context: int, block: int, number: int) -> None:
    """A barrier of a block lets its threads go."""
    recording = read_i64(context + TIMELINE_AT)
    rank = rank_of(recording, block)
    if rank >= 0:
        append(recording, rank * MAX_WARPS, 0, -1, NAMED_RELEASED, 0, number, 0)


@inner
def note_phase(context: int, warp: int, lane: int, site: int, address: int, before: int) -> None:
    """Once an mbarrier's word has changed from ``before``: whether that completed its phase."""
    if read_i64(context + TIMELINE_AT) != 0 and (read_i64(address) ^ before) >> 61 & 1:
        record(context, warp, lane, site, COMPLETES, address, before >> 61 & 1, 0)


@inner
def note_copies(context: int, warp: int, site: int, mask: int, nbytes: int) -> None:
    """``cp.async`` of some lanes, whose targets stand in ``Warp.addresses``."""
    if read_i64(context + TIMELINE_AT) != 0 and mask != 0:
        low, high, count = -1, -1, 0
        for lane in range(LANES):
            if mask >> lane & 1:
                target = read_i64(warp + ADDRESSES_AT + 8 * lane)
                low = target if low < 0 else min(low, target)
                high = max(high, target + nbytes)
                count += nbytes
        record(context, warp, 0, site, COPY_ISSUED, low, count, high)


@inner
def note_tracked(context: int, warp: int, site: int, mask: int) -> None:
    """``cp.async.mbarrier.arrive``, at the first lane's mbarrier."""
    if read_i64(context + TIMELINE_AT) != 0 and mask != 0:
        lane = 0
        while not mask >> lane & 1:
            lane += 1
        barrier = read_i64(warp + ADDRESSES_AT + 8 * lane)
        record(context, warp, lane, site, COPIES_TRACKED, barrier, 0, mask)


@inner
def note_product(context: int, warp: int, site: int, descriptors: int) -> None:
    """``wgmma``, whose descriptors stand in ``Warp.data``: A's, if any, and B's."""
    if read_i64(context + TIMELINE_AT) != 0:
        a = read_i64(warp + DATA_AT)
        b = read_i64(warp + DATA_AT + 8 * LANES * (descriptors - 1))
        record(context, warp, 0, site, PRODUCT, a, b, descriptors)


@routine("void", *["int64"] * 7)
def note_access(
    context: int, warp: int, site: int, mask: int, nbytes: int, space: int, base: int
) -> None:
    """A load or store of a warp, of which those of shared memory are recorded."""
    recording = read_i64(context + TIMELINE_AT)
    operation = read_i64(site + OPERATION_AT)
    if space != SHARED or (operation != LOAD and operation != STORE):
        return
    if rank_of(recording, read_i64(warp + BLOCK_AT)) < 0:
        return
    low = -1
    for lane in range(LANES):
        if mask >> lane & 1:
            address = read_i64(warp + ADDRESSES_AT + 8 * lane)
            low = address if low < 0 else min(low, address)
    if base == 0:  # an offset into shared memory
        low += read_i64(read_i64(warp + BLOCK_AT) + SHARED_AT)
    kind = READS_SHARED if operation == LOAD else WRITES_SHARED
    record(context, warp, 0, site, kind, low, nbytes, mask)
