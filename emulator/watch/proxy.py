"""The asynchronous proxy: what TMA and ``wgmma`` read and write, shown to the checkers.

It sees what threads wrote only after a ``fence.proxy.async`` that a barrier or an mbarrier orders
after the writes and before what it is told to do. What it writes itself threads see once the
mbarrier that counts the bytes has completed its phase. (PTX ISA, "Async proxy", "Causality order")

Bytes under way to shared memory are there for nobody until they land; bytes that a store has yet to
read must stay as they are. A copy is stamped as an access of the thread that issued it when it is
issued, and again when it is over: its bytes are written when they land, which is released then to
all who test an mbarrier, and no barrier of threads stands for that.
"""

from __future__ import annotations

from emulator.native.compiled import accessors, external, inner, routine, stack
from emulator.native.layout import (
    COUNTERS,
    GLOBAL,
    RACES,
    SHARED,
    SITE_BYTES,
    UNINITIALISED,
    BlockState,
    Context,
    Warp,
)
from emulator.watch.clocks import (
    CHECKER_AT,
    CLOCK_AT,
    INDEX_AT,
    SHADOW_AT,
    STATE_AT,
    TAG_AT,
    TIME_AT,
    acquire,
    fence,
    release,
)
from emulator.watch.clusters import acquire_from_mbarriers, arrival_place
from emulator.watch.complaints import complain
from emulator.watch.landing import IN_FLIGHT_AT, landed_in
from emulator.watch.lines import first_unfenced
from emulator.watch.operands import watch_overwriting
from emulator.watch.races import watch_races
from emulator.watch.shadow import (
    CLOCK_SHIFT,
    COMING,
    IS_ATOMIC,
    IS_BULK,
    IS_COPY,
    IS_STRONG,
    LEAVING,
    LEFT_IN_FLIGHT,
    NO_PROXY_FENCE,
    READS,
    THREAD_SHIFT,
    WRITES,
    Checker,
    Facts,
    Shadow,
    offset,
    size,
)
from emulator.watch.uninitialised import watch_uninitialised

read_u8, write_u8 = accessors("uint8")
read_u32, _ = accessors("uint32")
read_i64, write_i64 = accessors("int64")
FACTS_BYTES = size(Facts)
facts_here = stack(FACTS_BYTES)
# Compiled once, and not in every routine that copies.
watch_shared = external("watch_shared_proxy", "void", *["int64"] * 8)
watch_global = external("watch_global_proxy", "void", *["int64"] * 7)
count_row = external("count_bulk_row", "void", *["int64"] * 6)
left_behind = external("watch_left_behind", "void", *["int64"] * 7)
publish = external("publish_landing", "void", *["int64"] * 3)
hear = external("hear_of_landing", "void", *["int64"] * 3)

OBSERVE_AT, SITES_AT = offset(Context, "observe"), offset(Context, "sites")
ADDRESSES_AT, SHARED_AT = offset(Warp, "addresses"), offset(BlockState, "shared")
FACTS_AT, CLUSTERED_AT = offset(Checker, "facts"), offset(Checker, "clustered")
NUMBER_AT, FLAGS_AT = offset(Facts, "number"), offset(Facts, "flags")
ELEMENT_AT = offset(Facts, "element_bytes")
LINES_AT, CELLS_AT, EPOCH_AT = (offset(Shadow, n) for n in ("lines", "cells", "epoch"))
SHIFT_AT = offset(Checker, "shared_shift")
LOW_AT, HIGH_AT = offset(Checker, "low"), offset(Checker, "high")
GLOBAL_LINES_AT, GLOBAL_CELLS_AT = offset(Checker, "lines"), offset(Checker, "cells")
GLOBAL_EPOCH_AT, GLOBAL_SHIFT_AT = offset(Checker, "epoch"), offset(Checker, "global_shift")
UNSET_AT, STRETCHES_AT = offset(Checker, "unset"), offset(Checker, "stretches")
IRREGULAR = 1 << 62
READ, WRITE, REDUCE, READ_ENDS = range(4)  # the end of a read that was looked at when it began
LANES = 32


@inner
def is_watched(context: int, warp: int, what: int) -> bool:
    """Whether a checker is on."""
    on = int(read_u32(context + OBSERVE_AT)) & what != 0
    return bool(on and read_i64(context + CHECKER_AT) != 0
                and read_i64(read_i64(warp + STATE_AT) + SHADOW_AT) != 0)  # fmt: skip


@inner
def facts_of(context: int, site: int) -> int:
    """What the checkers know of the instruction at ``site``."""
    number = (site - read_i64(context + SITES_AT)) // SITE_BYTES
    facts: int = read_i64(read_i64(context + CHECKER_AT) + FACTS_AT) + FACTS_BYTES * number
    return facts


@inner
def describe(here: int, facts: int, flags: int) -> int:
    """One side of an instruction: its number, with other flags; left at ``here``."""
    write_i64(here + NUMBER_AT, read_i64(facts + NUMBER_AT))
    write_i64(here + FLAGS_AT, flags | IS_COPY | IS_BULK)
    write_i64(here + ELEMENT_AT, 4)
    return here


@inner
def complain_unfenced(
    checker: int, shadow: int, index: int, lane: int, facts: int, space: int, lines: int,
    cells: int, epoch: int, shift: int, place: int, nbytes: int, origin: int,
) -> None:  # fmt: skip
    """Of a read of what threads of the block wrote, with no ``fence.proxy.async`` in between."""
    first, last = place >> shift, (place + nbytes - 1) >> shift
    stamp = first_unfenced(checker, shadow, index, lines, cells, epoch, first, last)
    if stamp != 0:
        mine = read_i64(shadow + TAG_AT) | (index * LANES + lane) << THREAD_SHIFT
        mine |= read_i64(shadow + CLOCK_AT + 8 * index) << CLOCK_SHIFT
        mine |= read_i64(facts + NUMBER_AT)
        complain(checker, NO_PROXY_FENCE, space, stamp, mine, origin + place, nbytes, 0, 0, 0, 0, 0)


@routine("void", *["int64"] * 8)
def watch_shared_proxy(
    context: int, warp: int, site: int, lane: int, block: int, address: int, nbytes: int, what: int
) -> None:
    """An access to a block's shared memory for a lane: races, bytes in flight, missing fences."""
    writes = what == WRITE
    checker, memory = read_i64(context + CHECKER_AT), read_i64(block + SHADOW_AT)
    shadow = read_i64(read_i64(warp + STATE_AT) + SHADOW_AT)
    base, cells = read_i64(block + SHARED_AT), read_i64(memory + CELLS_AT)
    if nbytes <= 0 or cells == 0:
        return
    lines, epoch = read_i64(memory + LINES_AT), read_i64(memory + EPOCH_AT)
    shift, flying = read_i64(checker + SHIFT_AT), read_i64(memory + IN_FLIGHT_AT)
    facts, index = facts_of(context, site), int(read_u32(warp + INDEX_AT))
    place = address - base
    if what == READ and memory == shadow:
        complain_unfenced(
            checker,
            shadow,
            index,
            lane,
            facts,
            SHARED,
            lines,
            cells,
            epoch,
            shift,
            place,
            nbytes,
            0,
        )
    if writes:
        number = read_i64(facts + NUMBER_AT)
        watch_overwriting(context, warp, memory, lane, number, place, nbytes)
    at = warp + ADDRESSES_AT + 8 * lane
    kept = read_i64(at)
    write_i64(at, address)
    side = describe(facts_here(), facts, WRITES if writes else READS)
    watch_races(
        checker, block, shadow, warp, side, 1 << lane, nbytes, SHARED, lines, cells, epoch,
        base, shift, flying, writes, IRREGULAR,
    )  # fmt: skip
    write_i64(at, kept)


@inner
def async_read(context: int, warp: int, site: int, address: int, nbytes: int) -> None:
    """The async proxy reads the block's own shared memory, at a host address, for a warp."""
    if is_watched(context, warp, RACES):
        block = read_i64(warp + STATE_AT)
        watch_shared(context, warp, site, 0, block, address, nbytes, READ)


@inner
def async_write(context: int, warp: int, site: int, address: int, nbytes: int) -> None:
    """The async proxy writes the block's own shared memory, at a host address, for a warp."""
    if is_watched(context, warp, RACES):
        block = read_i64(warp + STATE_AT)
        watch_shared(context, warp, site, 0, block, address, nbytes, WRITE)


@routine("void", *["int64"] * 7)
def watch_global_proxy(
    context: int, warp: int, site: int, lane: int, address: int, nbytes: int, what: int
) -> None:
    """A copy's access to global memory, of bytes side by side."""
    writes, reduces = what != READ, what == REDUCE
    checker = read_i64(context + CHECKER_AT)
    low = read_i64(checker + LOW_AT)
    if nbytes <= 0 or address < low or address + nbytes > read_i64(checker + HIGH_AT):
        return
    flags = (WRITES if writes else READS) | (READS | IS_ATOMIC | IS_STRONG if reduces else 0)
    facts = describe(facts_here(), facts_of(context, site), flags)
    block = read_i64(warp + STATE_AT)
    shadow = read_i64(block + SHADOW_AT)
    watching = int(read_u32(context + OBSERVE_AT))
    unset, cells = read_i64(checker + UNSET_AT), read_i64(checker + GLOBAL_CELLS_AT)
    at = warp + ADDRESSES_AT + 8 * lane
    kept = read_i64(at)
    write_i64(at, address)
    if watching & UNINITIALISED and unset != 0:
        watch_uninitialised(
            checker, shadow, warp, facts, 1 << lane, nbytes, GLOBAL, unset,
            read_i64(checker + STRETCHES_AT), low, 0, reduces or not writes, writes, IRREGULAR,
        )  # fmt: skip
    if watching & RACES and cells != 0:
        lines, epoch = read_i64(checker + GLOBAL_LINES_AT), read_i64(checker + GLOBAL_EPOCH_AT)
        shift = read_i64(checker + GLOBAL_SHIFT_AT)
        if not writes:
            complain_unfenced(
                checker, shadow, int(read_u32(warp + INDEX_AT)), lane, facts, GLOBAL, lines, cells,
                epoch, shift, address - low, nbytes, low,
            )  # fmt: skip
        watch_races(
            checker, block, shadow, warp, facts, 1 << lane, nbytes, GLOBAL, lines, cells, epoch,
            low, shift, 0, writes, IRREGULAR,
        )  # fmt: skip
    write_i64(at, kept)


@inner
def watch_row(
    context: int, warp: int, site: int, lane: int, address: int, nbytes: int, what: int
) -> None:
    """Bytes side by side in global memory: counted, and shown to the checkers, as they are on."""
    if int(read_u32(context + OBSERVE_AT)) & COUNTERS:
        count_row(context, warp, site, address, nbytes, int(what != READ))
    if is_watched(context, warp, RACES | UNINITIALISED):
        watch_global(context, warp, site, lane, address, nbytes, what)


@inner
def mark(block: int, address: int, nbytes: int, state: int) -> None:
    """Bytes of a block's shared memory are coming, leaving, or at rest (0)."""
    flying = read_i64(read_i64(block + SHADOW_AT) + IN_FLIGHT_AT)
    if flying != 0:
        place = address - read_i64(block + SHARED_AT)
        for byte in range(nbytes):
            write_u8(flying + place + byte, state)


@inner
def copy_begins(
    context: int, warp: int, site: int, lane: int, block: int, target: int, nbytes: int
) -> None:
    """A copy to a block's shared memory is on its way."""
    if not is_watched(context, warp, RACES):
        return
    watch_shared(context, warp, site, lane, block, target, nbytes, WRITE)
    mark(block, target, nbytes, COMING)


@routine("void", *["int64"] * 3)
def publish_landing(context: int, warp: int, barrier: int) -> None:
    """What a warp had copied is there for all who test an mbarrier."""
    checker, state = read_i64(context + CHECKER_AT), read_i64(warp + STATE_AT)
    alone = read_i64(checker + CLUSTERED_AT) == 0
    shadow, index = read_i64(state + SHADOW_AT), int(read_u32(warp + INDEX_AT))
    fence(shadow, index, alone)
    release(checker, state, shadow, index, alone)
    if not alone:
        write_i64(checker + TIME_AT, read_i64(checker + TIME_AT) + 1)
        write_i64(arrival_place(checker, barrier), read_i64(checker + TIME_AT))


@inner
def copy_lands(
    context: int, warp: int, site: int, lane: int, block: int, target: int, nbytes: int,
    barrier: int,
) -> None:  # fmt: skip
    """It has arrived: those who wait at its mbarrier may read it."""
    landed_in(block, target, nbytes)
    if is_watched(context, warp, RACES):
        watch_shared(context, warp, site, lane, block, target, nbytes, WRITE)
        publish(context, warp, barrier)


@routine("void", *["int64"] * 3)
def hear_of_landing(context: int, warp: int, lanes: int) -> None:
    """Lanes have found the phases complete of the mbarriers in ``Warp.addresses``."""
    checker = read_i64(context + CHECKER_AT)
    shadow = read_i64(read_i64(warp + STATE_AT) + SHADOW_AT)
    acquire(checker, shadow, int(read_u32(warp + INDEX_AT)), True)
    if read_i64(checker + CLUSTERED_AT) != 0:
        acquire_from_mbarriers(checker, shadow, warp, lanes)


@inner
def phases_seen(context: int, warp: int, lanes: int) -> None:
    """As :func:`hear_of_landing`, where races are looked for."""
    if lanes != 0 and is_watched(context, warp, RACES):
        hear(context, warp, lanes)


@routine("void", *["int64"] * 7)
def watch_left_behind(
    context: int, warp: int, site: int, lane: int, exiting: int, target: int, nbytes: int
) -> None:
    """The last threads of a block, some in warp ``exiting``, go while a copy is on its way there.

    ``warp``, ``site`` and ``lane`` say who had issued it.
    """
    checker, block = read_i64(context + CHECKER_AT), read_i64(exiting + STATE_AT)
    shadow = read_i64(read_i64(warp + STATE_AT) + SHADOW_AT)
    number = read_i64(facts_of(context, site) + NUMBER_AT)
    thread = int(read_u32(warp + INDEX_AT)) * LANES + lane
    copy = read_i64(shadow + TAG_AT) | thread << THREAD_SHIFT | number
    thread = int(read_u32(exiting + INDEX_AT)) * LANES
    last = read_i64(read_i64(block + SHADOW_AT) + TAG_AT) | thread << THREAD_SHIFT | number
    place = target - read_i64(block + SHARED_AT)
    complain(checker, LEFT_IN_FLIGHT, SHARED, last, copy, place, nbytes, 0, 0, 0, 0, 0)


@inner
def copy_reads(
    context: int, warp: int, site: int, lane: int, block: int, source: int, nbytes: int
) -> None:
    """A copy out of a block's shared memory is issued; it may read until it is waited for."""
    if is_watched(context, warp, RACES):
        watch_shared(context, warp, site, lane, block, source, nbytes, READ)
        mark(block, source, nbytes, LEAVING)


@inner
def copy_has_read(
    context: int, warp: int, site: int, lane: int, block: int, source: int, nbytes: int
) -> None:
    """It has been waited for: whoever its thread tells so may write there again."""
    if is_watched(context, warp, RACES):
        mark(block, source, nbytes, 0)
        watch_shared(context, warp, site, lane, block, source, nbytes, READ_ENDS)
