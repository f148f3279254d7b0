"""``mbarrier`` instructions, lane by lane; :mod:`emulator.units.word` knows what they do.

Addresses stand in ``Warp.addresses``. ``Warp.data`` holds, for 32 lanes each, a count (32 bits), a
count of bytes (32 bits), and a state (64 bits), given or returned.
"""

from __future__ import annotations

from emulator.native.compiled import accessors, external, inner, routine
from emulator.native.layout import (
    BAD_STATE,
    COUNTERS,
    LANES,
    NOT_OURS,
    Context,
    Site,
    Warp,
    offset,
)
from emulator.units.numbers import word_at
from emulator.units.window import owner_of
from emulator.units.word import (
    add_bytes,
    arrive,
    initialise,
    invalidate,
    live_word,
    misuse,
    note_test,
    phase_of,
)
from emulator.watch.events import PASSES, WAITS, note
from emulator.watch.proxy import phases_seen

read_u32, write_u32 = accessors("uint32")
read_i64, write_i64 = accessors("int64")
finish_for = external("finish_copies_for", "int64", "int64", "int64", "int64")
deliver = external("deliver_post", "int64", "int64", "int64", "int64")
carry_in = external("carry_in", "int64", "int64", "int64", "int64")

ADDRESSES_AT, BLOCK_AT = offset(Warp, "addresses"), offset(Warp, "block")
COUNTS_AT = offset(Warp, "data")
OBSERVE_AT = offset(Context, "observe")
WAITS_AT, EARLY_AT = offset(Site, "bulk_requests"), offset(Site, "bulk_bytes")
BYTES_AT = COUNTS_AT + 4 * LANES
STATES_AT = BYTES_AT + 4 * LANES

# What ``mbarrier_arrive`` does besides.
NO_COMPLETE, DROP, EXPECT_TX = 1, 2, 4


@inner
def address_of(warp: int, lane: int) -> int:
    """A lane's mbarrier."""
    return int(read_i64(warp + ADDRESSES_AT + 8 * lane))


@routine("int64", *["int64"] * 4)
def mbarrier_init(context: int, warp: int, site: int, mask: int) -> int:
    """``mbarrier.init``."""
    for lane in range(LANES):
        if mask >> lane & 1:
            count = int(read_u32(warp + COUNTS_AT + 4 * lane))
            if initialise(context, warp, site, lane, address_of(warp, lane), count) < 0:
                return -1
    return 0


@routine("int64", *["int64"] * 4)
def mbarrier_inval(context: int, warp: int, site: int, mask: int) -> int:
    """``mbarrier.inval``."""
    for lane in range(LANES):
        if mask >> lane & 1 and (invalidate(context, warp, site, lane, address_of(warp, lane)) < 0):
            return -1
    return 0


@routine("int64", *["int64"] * 5)
def mbarrier_arrive(context: int, warp: int, site: int, mask: int, how: int) -> int:
    """``mbarrier.arrive`` and ``arrive_drop``: leaves the state before."""
    for lane in range(LANES):
        if mask >> lane & 1:
            address = address_of(warp, lane)
            if how & EXPECT_TX:
                more = int(read_u32(warp + BYTES_AT + 4 * lane))
                if add_bytes(context, warp, site, lane, address, more) < 0:
                    return -1
            count = int(read_u32(warp + COUNTS_AT + 4 * lane))
            word = arrive(context, warp, site, lane, address, count, how & DROP, how & NO_COMPLETE)
            if word < 0:
                return -1
            write_i64(warp + STATES_AT + 8 * lane, word)
    return 0


@routine("int64", *["int64"] * 5)
def mbarrier_tx(context: int, warp: int, site: int, mask: int, sign: int) -> int:
    """``mbarrier.expect_tx`` (``sign`` 1) and ``complete_tx`` (-1)."""
    for lane in range(LANES):
        if mask >> lane & 1:
            more = sign * int(read_u32(warp + BYTES_AT + 4 * lane))
            if add_bytes(context, warp, site, lane, address_of(warp, lane), more) < 0:
                return -1
    return 0


@routine("int64", *["int64"] * 5)
def mbarrier_test(context: int, warp: int, site: int, mask: int, parity: int) -> int:
    """``test_wait`` and ``try_wait``: leaves the lanes whose phase is complete in the first count.

    With ``parity`` the counts hold parities, otherwise the states hold states. Copies that the
    mbarrier waits for arrive now at the latest: that is what the program waits for.
    """
    ready = 0
    own = read_i64(warp + BLOCK_AT)
    for lane in range(LANES):
        if mask >> lane & 1:
            address = address_of(warp, lane)
            if owner_of(context, own, address) != own:
                return misuse(context, warp, site, lane, address, NOT_OURS, 0)
            word = live_word(context, warp, site, lane, address)
            if word < 0:
                return -1
            if parity:
                phase = int(read_u32(warp + COUNTS_AT + 4 * lane)) & 1
            else:
                state = read_i64(warp + STATES_AT + 8 * lane)
                if state >> 62 != 1:
                    return misuse(context, warp, site, lane, address, BAD_STATE, 0)
                phase = phase_of(state)
            if phase_of(word) == phase:
                if finish_for(context, warp, address) < 0 or deliver(context, own, address) < 0:
                    return -1
                if carry_in(context, own, address) < 0:
                    return -1
                word = live_word(context, warp, site, lane, address)
            passes = phase_of(word) != phase
            ready |= int(passes) << lane
            if not passes:
                note_test(own, address, site, lane, phase)
            note(context, warp, lane, site, PASSES if passes else WAITS, address, phase, 0)
    if word_at(context + OBSERVE_AT) & COUNTERS and mask != 0:
        count = site + (WAITS_AT if ready == mask else EARLY_AT)
        write_i64(count, read_i64(count) + 1)
    phases_seen(context, warp, ready)
    write_u32(warp + COUNTS_AT, ready)
    return 0
