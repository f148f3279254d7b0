"""An mbarrier's 64 bits, and what each operation makes of them.

::

    63 62  live: 01 from init to inval; memory that is no mbarrier rarely has it
    61     phase's parity
    60..40 tx-count of the phase: bytes expected and not yet arrived, two's complement
    39..20 expected arrivals of each phase
    19..0  arrivals that the phase still waits for

A phase is complete when both counts are zero; the next begins at once, with all arrivals expected.
The state that an arrive returns is the word before it. (Hardware's own layout is not documented;
programs must not look. PTX ISA 9.7.13.15, "Parallel Synchronization and Communication
Instructions: mbarrier".)

A word does not say in which block it was made, and the next block finds what the last one left in
shared memory: a list beside each block's state says where the block has mbarriers, and what a
deadlock's description needs: bytes expected and arrived in the phase, who tested it last.
"""

from __future__ import annotations

from emulator.native.compiled import accessors, inner
from emulator.native.heap import heap
from emulator.native.layout import (
    COMPLETES,
    COUNT_RANGE,
    IN_USE,
    MBARRIER_MISUSE,
    NOT_LIVE,
    NOT_SHARED,
    TOO_MANY,
    TX_RANGE,
    BlockState,
    Context,
    Warp,
    offset,
)
from emulator.units.fault import report
from emulator.units.window import owner_of
from emulator.watch.events import ARRIVES, BARRIER_MADE, EXPECTS, note, note_phase

read_i64, write_i64 = accessors("int64")
resize = heap()

BLOCK_AT, BLOCK_INDEX_AT = offset(Warp, "block"), offset(BlockState, "index")
SHARED_AT, SHARED_BYTES_AT = offset(BlockState, "shared"), offset(Context, "shared_bytes")
LIST_AT = offset(BlockState, "mbarriers")

MOST = (1 << 20) - 1  # arrivals, and bytes either way
LIVE, PHASE_AT, TX_BITS = 1 << 62, 61, 21
TX_AT, EXPECTED_AT = 40, 20

# A list is how many there are, then from RECORD on a record each. Whose it is: 1 + a block's index.
RECORD = 64
OWNER, EXPECTED_BYTES, ARRIVED_BYTES, TESTED_BY, TESTED_PHASE, LAST_EXPECTED = range(8, 56, 8)


@inner
def phase_of(word: int) -> int:
    """The parity of the phase that a word is in."""
    return word >> PHASE_AT & 1


@inner
def tx_of(word: int) -> int:
    """The tx-count."""
    field = word >> TX_AT & (1 << TX_BITS) - 1
    return field - (field >> TX_BITS - 1 << TX_BITS)


@inner
def word_of(phase: int, tx: int, expected: int, pending: int) -> int:
    """A live word; a phase with nothing left to wait for gives way to the next."""
    if pending == 0 and tx == 0:
        phase ^= 1
        pending = expected
    field = tx & (1 << TX_BITS) - 1
    return LIVE | phase << PHASE_AT | field << TX_AT | expected << EXPECTED_AT | pending


@inner
def place_of(block: int, address: int) -> int:
    """Where the block's list has the address; 0: it does not."""
    known = read_i64(block + LIST_AT)
    if known != 0:
        for index in range(read_i64(known)):
            place: int = known + RECORD * (index + 1)
            if read_i64(place) == address:
                return place
    return 0


@inner
def misuse(context: int, warp: int, site: int, lane: int, address: int, what: int, n: int) -> int:
    """Report a misuse of the mbarrier at ``address``; ``n`` is the count it was about."""
    return report(context, warp, site, MBARRIER_MISUSE, lane, what, n & 0xFFFFFFFF, address)


@inner
def live_word(context: int, warp: int, site: int, lane: int, address: int) -> int:
    """The word of an mbarrier that its block has initialised; -1: a fault."""
    block = owner_of(context, read_i64(warp + BLOCK_AT), address)
    place = place_of(block, address) if block != 0 else 0
    word: int = read_i64(address) if block != 0 else 0
    if (
        place == 0
        or read_i64(place + OWNER) != read_i64(block + BLOCK_INDEX_AT) + 1
        or word >> 62 != 1
    ):
        return misuse(context, warp, site, lane, address, NOT_LIVE, 0)
    return word


@inner
def initialise(context: int, warp: int, site: int, lane: int, address: int, count: int) -> int:
    """Make an mbarrier that expects ``count`` arrivals in each phase."""
    block = read_i64(warp + BLOCK_AT)
    shared = address - read_i64(block + SHARED_AT)
    if shared < 0 or shared >= read_i64(context + SHARED_BYTES_AT):
        return misuse(context, warp, site, lane, address, NOT_SHARED, 0)
    if count < 1 or count > MOST:
        return misuse(context, warp, site, lane, address, COUNT_RANGE, count)
    place = place_of(block, address)
    owner = read_i64(block + BLOCK_INDEX_AT) + 1
    if place != 0 and read_i64(place + OWNER) == owner:
        word = read_i64(address)
        untouched = word & MOST == word >> EXPECTED_AT & MOST and tx_of(word) == 0
        if word >> 62 == 1 and not untouched:
            return misuse(context, warp, site, lane, address, IN_USE, 0)
    if place == 0:
        known = read_i64(block + LIST_AT)
        here = read_i64(known) if known != 0 else 0
        if here & (here - 1) == 0:  # full at each power of two
            known = resize(known, RECORD * (2 * here + 2))
            write_i64(block + LIST_AT, known)
        write_i64(known, here + 1)
        place = known + RECORD * (here + 1)
        write_i64(place, address)
    write_i64(place + OWNER, owner)
    for word_at in range(EXPECTED_BYTES, RECORD, 8):
        write_i64(place + word_at, 0)
    write_i64(address, LIVE | count << EXPECTED_AT | count)
    note(context, warp, lane, site, BARRIER_MADE, address, count, 0)
    return 0


@inner
def invalidate(context: int, warp: int, site: int, lane: int, address: int) -> int:
    """End an mbarrier: its memory may serve for something else."""
    if live_word(context, warp, site, lane, address) < 0:
        return -1
    write_i64(place_of(read_i64(warp + BLOCK_AT), address) + OWNER, 0)
    write_i64(address, 0)
    return 0


@inner
def turn(context: int, warp: int, address: int, before: int, word: int) -> None:
    """An mbarrier's next word; with a new phase bytes count from zero."""
    write_i64(address, word)
    if phase_of(before) != phase_of(word):
        record = place_of(owner_of(context, read_i64(warp + BLOCK_AT), address), address)
        write_i64(record + LAST_EXPECTED, read_i64(record + EXPECTED_BYTES))
        write_i64(record + EXPECTED_BYTES, 0)
        write_i64(record + ARRIVED_BYTES, 0)


@inner
def note_test(block: int, address: int, site: int, lane: int, phase: int) -> None:
    """A lane waits for a phase."""
    record = place_of(block, address)
    write_i64(record + TESTED_BY, site << 5 | lane)
    write_i64(record + TESTED_PHASE, phase)


@inner
def arrive(
    context: int, warp: int, site: int, lane: int, address: int, count: int, drop: int, open_: int
) -> int:
    """Count arrivals; the word before. ``drop``: in later phases, too; ``open_``: must not
    complete the phase.
    """
    word = live_word(context, warp, site, lane, address)
    if word < 0:
        return -1
    pending, expected = word & MOST, word >> EXPECTED_AT & MOST
    if count < 1 or count > MOST:
        return misuse(context, warp, site, lane, address, COUNT_RANGE, count)
    if count > pending:
        return misuse(context, warp, site, lane, address, TOO_MANY, count)
    if open_ and count == pending:
        return misuse(context, warp, site, lane, address, COMPLETES, count)
    if drop:
        expected -= min(count, expected)
    turn(
        context,
        warp,
        address,
        word,
        word_of(phase_of(word), tx_of(word), expected, pending - count),
    )
    note(context, warp, lane, site, ARRIVES, address, count, 0)
    note_phase(context, warp, lane, site, address, word)
    return word


@inner
def expect_one_more(context: int, warp: int, site: int, lane: int, address: int) -> int:
    """One more arrival in this phase."""
    word = live_word(context, warp, site, lane, address)
    if word >= 0 and word & MOST == MOST:
        return misuse(context, warp, site, lane, address, COUNT_RANGE, MOST + 1)
    if word >= 0:
        write_i64(address, word + 1)
    return word


@inner
def add_bytes(context: int, warp: int, site: int, lane: int, address: int, nbytes: int) -> int:
    """Bytes that this phase expects (more), or that arrived (less than zero); the word before."""
    word = live_word(context, warp, site, lane, address)
    if word < 0:
        return -1
    tx = tx_of(word) + nbytes
    if tx > MOST or tx < -MOST:
        return misuse(context, warp, site, lane, address, TX_RANGE, nbytes)
    pending, expected = word & MOST, word >> EXPECTED_AT & MOST
    record = place_of(owner_of(context, read_i64(warp + BLOCK_AT), address), address)
    at = record + (EXPECTED_BYTES if nbytes > 0 else ARRIVED_BYTES)
    write_i64(at, read_i64(at) + abs(nbytes))
    turn(context, warp, address, word, word_of(phase_of(word), tx, expected, pending))
    note(context, warp, lane, site, EXPECTS, address, nbytes, 0)
    note_phase(context, warp, lane, site, address, word)
    return word
