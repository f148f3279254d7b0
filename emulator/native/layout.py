"""The structures that Python and compiled code share.

Compiled code reads fields by byte offset (:func:`field`), so these declarations are the only place
that says where anything lies.
"""

from __future__ import annotations

import ctypes
from typing import Any

from llvmlite import ir

LANES = 32
MAX_BARRIERS = 16
MAX_WARPS = 32  # in a block
MAX_CLUSTER = 16  # blocks
CLUSTER_BARRIER = MAX_BARRIERS  # the number of the barrier of a whole cluster

# What a warp's compiled kernel, and the scheduler above it, return.
# YIELD: in a loop that may wait for other threads. PAUSE: in a long one that does not.
DONE, BARRIER, YIELD, FAULT, STUCK, PAUSE = range(6)

# Program counters are block numbers; these bits say why lanes are not running.
AVOID_BIT = 1 << 28  # let others go first
MEETING_BIT = 1 << 29  # wait for the other lanes of a mask
BARRIER_BIT = 1 << 30
EXITED = 0x7FFFFFFF

# Kinds of fault.
OUT_OF_BOUNDS, MISALIGNED, UNSUPPORTED, TRAP, READ_ONLY = range(1, 6)
MBARRIER_MISUSE, COPY_MISUSE = 20, 21
DIVERGENT = 16  # an instruction of the whole warp, reached by a part of it
CLUSTER_MISUSE = 30
WARPGROUP_MISUSE = 31
STACK_OVERFLOW, NO_FUNCTION, OTHER_FUNCTION, NO_TARGET = range(24, 28)

# What was wrong about an mbarrier (emulator.misuse says it in words).
NOT_LIVE, NOT_SHARED, COUNT_RANGE, TOO_MANY, COMPLETES, TX_RANGE, BAD_STATE, IN_USE, NOT_OURS = (
    range(1, 10)
)
TX_MISMATCH = 10

# What was wrong within a cluster.
ARRIVED_TWICE, NOT_ARRIVED, OTHER_BLOCKS_MBARRIER, STILL_COMING = range(1, 5)

# What was wrong about a product of a warpgroup.
NO_WARPGROUP, UNEVEN_DESCRIPTOR, BEYOND_SHARED = range(1, 4)

# What watches a launch, as bits of ``Context.observe``.
COUNTERS, CACHES, RACES, UNINITIALISED, TIMELINE = (1 << bit for bit in range(5))

# What a memory instruction does, as ``Site.operation``.
LOAD, STORE, ATOMIC, REDUCTION = range(4)

# When the bytes of asynchronous copies move.
LATE, EAGER, SHUFFLED = range(3)

# How an access counts, as ``Site.rule``: as it stands; a load that may serve lane pairs together;
# an atomic; a compare-and-swap; a copy to shared memory that bypasses L1.
ORDINARY, PAIRED, ATOMIC_RULE, SWAP_RULE, BYPASSING = range(5)

# ``Site.counted_bytes`` of an access that is part of another one in machine code.
MERGED = 1 << 32

# Kinds of memory region.
GLOBAL, SHARED, LOCAL, CONSTANT = range(4)

u32, u64 = ctypes.c_uint32, ctypes.c_uint64


class Context(ctypes.Structure):
    """One launch."""

    _fields_ = [
        ("kernel", u64),  # i32 (Context*, Warp*)
        ("params", u64),
        ("symbols", u64),  # u64 addresses of module variables, by symbol index
        ("sites", u64),  # Site by instruction index
        ("block_counts", u64),  # (warps, lanes) executed, by block number
        ("regions", u64),  # Region, sorted by address
        ("region_count", u64),
        ("grid", u32 * 3),
        ("block", u32 * 3),
        ("threads", u32),  # in a block
        ("warps", u32),
        ("warp_bytes", u64),
        ("local_bytes", u64),  # a lane's
        ("shared_bytes", u64),  # static and dynamic
        ("dynamic_bytes", u64),
        ("clock", u64),
        ("sm_count", u32),
        ("entry", u32),  # number of the kernel's first block
        ("observe", u32),  # bits: what to do besides running
        ("slice", u32),  # back edges a warp may take before it yields
        ("fault_kind", u32),
        ("fault_site", u32),
        ("fault_lane", u32),
        ("fault_bytes", u32),
        ("fault_store", u32),
        ("fault_address", u64),
        ("fault_warp", u64),
        # calls
        ("host_call", u64),  # i32 (Context*, Warp*, i64 lanes, i64 site), 0: stop; in Python
        # asynchronous copies
        ("copies", u32),  # when their bytes move: LATE, EAGER or SHUFFLED
        ("copy_seed", u32),  # of what SHUFFLED draws
        ("copies_forced", u64),  # finished before their time because too many were in flight
        # checkers
        ("checker", u64),  # emulator.watch.shadow.Checker; 0: none
        # scheduling
        ("budget", u32),  # what a block may spend before Python looks at others, in SPINs and so on
        ("unused", u32),
        ("random", u64),  # state of what shuffles warps and slices; 0: nothing does
        ("order", u64),  # u64 block indices in the order in which they start; 0: as they come
        # the stack
        ("calls", u64),  # emulator.lower.stackplan's table
        ("stack_bytes", u64),  # a lane's, for local variables and for what calls keep
        ("clock_readings", u64),  # by how many warp instructions so far
        ("workspace", u64),  # of a cooperative launch: its grid's barrier; 0: not cooperative
        # synccheck
        ("complaints", u64),  # emulator.watch.sync.Complaints; 0: synccheck is off
        # caches
        ("caches", u64),  # emulator.watch.caches.CacheState
        # clusters
        ("cluster", u32 * 3),  # blocks in a cluster
        ("cluster_size", u32),
        ("explicit_cluster", u32),  # 1: the launch has clusters
        ("registers", u32),  # of a thread, where warps give them to one another; 0: not known
        # the timeline of a block
        ("timeline", u64),  # emulator.watch.events.Recording; 0: nobody looks
    ]


class Site(ctypes.Structure):
    """One instruction: the region of memory it last touched, and its counters."""

    _fields_ = [
        ("low", u64),
        ("high", u64),
        ("kind", u64),
        ("requests", u64),
        ("sectors", u64),
        ("bytes", u64),
        ("writable", u64),
        ("operation", u64),
        # a lane's, as machine code has the access (reconcile.py): 0 for as it is here, MERGED for
        # none at all, because another access brings these bytes
        ("counted_bytes", u64),
        ("wavefronts", u64),
        ("ideal_wavefronts", u64),
        # counters: generic addresses may lead one instruction to several spaces
        ("shared_requests", u64),
        ("shared_bytes", u64),
        ("local_requests", u64),
        ("local_sectors", u64),
        ("local_bytes", u64),
        ("executed", u64),  # warps with a lane for which the predicate held, where there is one
        ("executed_lanes", u64),  # those lanes
        ("divergent", u64),  # warps whose lanes parted at this branch
        ("l1_hits", u64),  # sectors
        ("l2_sectors", u64),
        ("l2_hits", u64),
        ("rule", u64),
        ("uncached", u64),  # not kept in L1
        ("remote_requests", u64),  # to other blocks' shared memory
        ("remote_bytes", u64),
        # the tensor memory accelerator
        ("bulk_requests", u64),  # of an mbarrier's site: waits that ended
        ("bulk_bytes", u64),  # in shared memory; of an mbarrier's site: tests too early
        ("bulk_wavefronts", u64 * 4),  # of shared memory, by swizzle mode
    ]


SITE_BYTES = 256
assert ctypes.sizeof(Site) == SITE_BYTES  # a site's number is found by a shift


class Region(ctypes.Structure):
    """A stretch of memory that a kernel may touch."""

    _fields_ = [("low", u64), ("high", u64), ("kind", u64), ("writable", u64)]


class BlockState(ctypes.Structure):
    """One resident thread block."""

    _fields_ = [
        ("index", u64),  # linear, x fastest
        ("ctaid", u32 * 3),
        ("barriers_used", u32),  # bit i: some lane waits at barrier i
        ("warps", u64),
        ("shared", u64),
        ("local", u64),
        ("expected", u32 * MAX_BARRIERS),  # threads a barrier waits for; 0: all that live
        ("arrived", u32 * MAX_BARRIERS),  # threads that arrived without waiting
        # scheduling
        ("reducing", u32),  # bit i: barrier i also reduces predicates
        # mbarriers
        ("mbarriers", u64),  # those alive (emulator.units.mbarrier), on the heap; 0: none yet
        # checkers
        ("shadow", u64),  # emulator.watch.shadow.Shadow; 0: none
        ("turns", u32 * MAX_WARPS),  # the warps in the order in which they get their turns
        # clusters
        ("cluster", u64),  # Cluster; 0: the launch has none
        ("rank", u32),
        ("gone", u32),  # 1: all its threads have exited
        ("registers", u32),  # in the pool that setmaxnreg draws from, of a thread of one warp
        ("padding", u32),
        ("post", u64),  # what st.async sent here (emulator.units.postbox), on the heap; 0: none
        # the tensor memory accelerator
        ("loads", u64),  # bulk copies on their way here (emulator.units.tma), on the heap; 0: none
    ]


class Cluster(ctypes.Structure):
    """One resident cluster of blocks."""

    _fields_ = [
        ("size", u32),
        ("arrivals", u32),  # lanes that came to the cluster's barrier since it was last complete
        ("blocks", u64 * MAX_CLUSTER),  # BlockState, by rank
        # checkers
        ("released", u64),  # when the last thread arrived at the barrier in its phase
        ("complete", u64),  # that of the phase before
    ]


class Warp(ctypes.Structure):
    """One warp: where its lanes are, scratch for memory accesses; its registers follow."""

    _fields_ = [
        ("block", u64),
        ("index", u32),
        ("avoid", u32),  # lanes that should let others go first
        ("status", u32),
        ("padding", u32 * 3),
        ("local", u64),
        ("slots", u64),  # the running kernel's, so that LLVM leaves them in memory
        ("padding2", u64 * 2),
        ("pcs", u32 * LANES),
        ("barrier", u32 * LANES),
        ("tid_x", u32 * LANES),
        ("tid_y", u32 * LANES),
        ("tid_z", u32 * LANES),
        ("addresses", u64 * LANES),
        ("data", ctypes.c_uint8 * (LANES * 32)),  # [component][lane]
        # scheduling
        ("members", u32 * LANES),  # the lanes that a lane waits to meet
        ("said", u32 * LANES),  # to a barrier's reduction: its kind, and the lane's predicate
        ("answer_at", u32 * LANES),  # where in the frame the reduction's result goes
        # asynchronous copies
        ("copies", u64),  # those in flight (emulator.units.copies), on the heap; 0: none yet
        # the stack
        ("kept", u64),  # address of what calls keep: stack_bytes a lane
        # caches
        ("cached_as", u64),  # 1 + the index of the block that these are of; 0: none yet
        ("l1_level", u64),  # its SM's emulator.watch.cachestate.Level
        ("l1_fills", u64),  # lines
        ("l2_fills", u64),
        ("wave", u64),  # of blocks that run at the same time: the block's
        # clusters
        ("cluster_arrived", u32),  # lanes that came to the cluster's barrier in its phase
        ("cluster_owing", u32),  # lanes that arrived and have not waited since
        ("registers", u32),  # of a thread (emulator.units.registers); 0: not known
        ("padding3", u32),
        # products of a warpgroup, in groups (emulator.units.warpgroup)
        ("products_committed", u32),
        ("products_done", u32),  # complete, and waited for
        ("product_fences", u32),
        ("padding4", u32),
        # the tensor memory accelerator
        ("stores", u64),  # bulk copies out of shared memory (emulator.units.tma), on the heap
        ("box", u32 * (LANES * 8)),  # each lane's coordinates and offsets of a box
    ]


WARP_HEADER_BYTES = (ctypes.sizeof(Warp) + 63) // 64 * 64

# A frame with a stack starts with two u32 a lane: bytes of local memory in use above the static
# ones, and bytes that calls keep.
LOCAL_TOP_AT = WARP_HEADER_BYTES
KEPT_TOP_AT = LOCAL_TOP_AT + 4 * LANES
STACK_STATE_BYTES = 8 * LANES

i1, i8, i16 = ir.IntType(1), ir.IntType(8), ir.IntType(16)
i32, i64 = ir.IntType(32), ir.IntType(64)
pointer = ir.PointerType()
mask_type = ir.VectorType(i1, LANES)


def offset(structure: type[ctypes.Structure], name: str) -> int:
    """Byte offset of a field."""
    return int(getattr(structure, name).offset)


def field(
    builder: ir.IRBuilder, base: ir.Value, structure: type[ctypes.Structure], name: str
) -> ir.Value:
    """Pointer to a field of the structure at ``base``."""
    return at(builder, base, offset(structure, name))


def at(builder: ir.IRBuilder, base: ir.Value, byte: int | ir.Value) -> ir.Value:
    """Pointer ``byte`` bytes past ``base``."""
    index = ir.Constant(i64, byte) if isinstance(byte, int) else byte
    return builder.gep(base, [index], source_etype=i8)


def load(builder: ir.IRBuilder, where: ir.Value, kind: Any, align: int | None = None) -> ir.Value:
    """A load of ``kind``."""
    return builder.load(where, typ=kind, align=align)
