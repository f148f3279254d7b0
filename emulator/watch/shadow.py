"""What the checkers remember of a launch: shadow memory, the warps' clocks, what was found.

Every granule of memory (the smallest access that the kernel makes of that space: 1 to 16 bytes) has
a *cell* of four 64-bit stamps: the last plain write, the last atomic (or otherwise strong) write,
and two plain reads by different threads. A stamp packs who, when and where::

    block (23 bits) | thread of the block (10) | clock of its warp (16) | memory instruction (14)

and 0 means nobody. Block numbers wrap at 2**23 and clocks stop at 2**16 - 1: more blocks or more
synchronisation than that can hide a race, but never makes one up.
"""

from __future__ import annotations

import ctypes

i64 = ctypes.c_int64


def offset(structure: type[ctypes.Structure], name: str) -> int:
    """Byte offset of a field."""
    return int(getattr(structure, name).offset)


def size(structure: type[ctypes.Structure]) -> int:
    """Bytes of a structure."""
    return ctypes.sizeof(structure)


WARPS = 32
CLOCK_SHIFT, THREAD_SHIFT, BLOCK_SHIFT = 14, 30, 40
SITE_MASK = (1 << CLOCK_SHIFT) - 1
CLOCK_MASK = (1 << (THREAD_SHIFT - CLOCK_SHIFT)) - 1
THREAD_MASK = (1 << (BLOCK_SHIFT - THREAD_SHIFT)) - 1
BLOCK_MASK = (1 << 23) - 1

CELL_BYTES = 32
LINE_BYTES = 128  # of emulator.watch.lines: a head and entries
ENTRIES = 7
WRITE_AT, STRONG_AT, READ_AT, OTHER_READ_AT = 0, 8, 16, 24

# A row of clocks: one a warp, and when the row's owner last heard from other blocks.
HEARD = WARPS
ROW = WARPS + 1
# A warp's rows: what it knows to have happened; what of that its fences have made visible to the
# whole GPU, and to its block; what a fence.proxy.async has made visible to the async proxy.
KNOWN, FENCED, FENCED_BLOCK, PROXIED = 0, ROW, 2 * ROW, 3 * ROW
ROWS = 4 * ROW
BARRIERS = 16

# A block's releases to other blocks, the last few of them.
KEPT_RELEASES = 4

# What a memory instruction is, as ``Facts.flags``.
READS, WRITES, IS_ATOMIC, IS_STRONG, IS_VOLATILE, RELEASES, ACQUIRES = (1 << b for b in range(7))
BLOCK_SCOPE, IS_FLOAT, HAS_DATA, IS_GENERIC, IS_COPY, IS_MBARRIER = (1 << b for b in range(7, 13))
IS_BULK = 1 << 13  # of the async proxy

TWO_LANES, IN_FLIGHT, IN_PRODUCT, BEING_READ = 1, 2, 4, 8
# Bytes of shared memory that copies have yet to write, and to read.
COMING, LEAVING = 1, 2

# Kinds of finding.
WRITE_WRITE, READ_WRITE, WRITE_READ, UNINITIALISED_READ = range(1, 5)
NOT_STARTED, NOT_STAYED = 5, 6  # a block whose shared memory another one touches
NO_PROXY_FENCE = 7
LEFT_IN_FLIGHT = 9
SWIZZLE_DIFFERS = 8

# Bytes of memory that have a value, in maps of what was never written.
SET, UNSET, DOUBTFUL = 0, 1, 2  # doubtful: an unwatched launch may have written it
MIXED = 3  # stretches: look at the bytes
STRETCH_SHIFT = 7
STRETCH_BYTES = 1 << STRETCH_SHIFT


class Facts(ctypes.Structure):
    """What the checkers need to know of one instruction."""

    _fields_ = [
        ("number", i64),  # of the memory instruction in stamps; 0: not one
        ("flags", i64),
        ("element_bytes", i64),
        ("spare", i64),
    ]


class Found(ctypes.Structure):
    """One pair of instructions that a checker complains about: how often, and the first time."""

    _fields_ = [
        ("kind", i64),  # 0: a free entry
        ("earlier", i64),  # number of the memory instruction
        ("later", i64),
        ("space", i64),
        ("count", i64),
        ("harmless", i64),  # writes of the value that was there already
        ("earlier_block", i64),
        ("earlier_thread", i64),
        ("later_block", i64),
        ("later_thread", i64),
        ("address", i64),  # absolute for global memory, else an offset
        ("nbytes", i64),
        ("old", i64),
        ("new", i64),
        ("has_values", i64),
        # TWO_LANES of one instruction; IN_FLIGHT, BEING_READ: a copy not waited for; IN_PRODUCT:
        # a wgmma
        ("at_once", i64),
    ]


class Checker(ctypes.Structure):
    """One launch."""

    _fields_ = [
        ("facts", i64),  # Facts by instruction index
        ("by_number", i64),  # flags and shift by number of memory instruction
        ("found", i64),  # Found, a hash table of ``found_mask + 1``
        ("found_mask", i64),
        ("missed", i64),  # complaints for which the table had no room
        ("low", i64),  # global memory that has shadows
        ("high", i64),
        ("lines", i64),  # of global memory: stamps of 32 cells at once
        ("cells", i64),
        ("spreads", i64),  # lines whose cells are in use
        ("global_shift", i64),  # log2 of a granule's bytes
        ("shared_shift", i64),
        ("unset", i64),  # a byte for every byte of global memory; 0: everything is written
        ("time", i64),  # releases so far
        ("releases", i64),  # by block: ``[count, (time, clock by warp) * KEPT_RELEASES]``
        ("release_bytes", i64),  # of one block
        ("blocks", i64),  # that have releases
        # lines
        ("epoch", i64),  # of this launch's lines; those of others are empty
        ("opened", i64),  # lines touched
        # initcheck
        ("stretches", i64),  # a byte for every STRETCH_BYTES of global memory
        # clusters
        ("clustered", i64),  # 1: blocks may touch one another's shared memory
        ("spoke", i64),  # by block: when it first released anything; 0: not clustered
        ("arrivals", i64),  # by mbarrier: when last released there (emulator.watch.clusters)
    ]


class Shadow(ctypes.Structure):
    """One resident block."""

    _fields_ = [
        ("tag", i64),  # the block's number in stamps
        ("cells", i64),  # of shared memory
        ("shared_unset", i64),  # a byte for every byte
        ("local_unset", i64),
        ("in_flight", i64),  # bytes of shared memory that copies have yet to write; 0: no copies
        ("shared_bytes", i64),
        ("local_bytes", i64),  # of the whole block
        ("parted", i64),  # warps whose lanes have synchronised in groups, as bits
        ("clock", i64 * WARPS),
        ("used", i64 * WARPS),  # 1: accesses have been stamped with this clock
        ("released", i64 * ROW),  # what strong writes have published within the block
        ("rows", i64 * (WARPS * ROWS)),
        ("barriers", i64 * (BARRIERS * ROWS)),
        ("lanes", i64 * (WARPS * 32 * 32)),  # [warp][lane][other lane]: clock known of it
        ("lines", i64),  # of shared memory
        ("epoch", i64),  # of those: which of the slot's blocks this is
        # clusters
        ("visits", i64),  # of other blocks (emulator.watch.clusters); 0: there are none
        # products of a warpgroup
        ("operands", i64),  # that they read (emulator.watch.operands); 0: there are none
        # the async proxy
        ("released_proxied", i64 * ROW),  # of what is published, what fence.proxy.async covers
    ]
