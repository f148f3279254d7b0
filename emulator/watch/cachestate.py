"""The tables of modelled caches, as compiled code and Python share them."""

from __future__ import annotations

import ctypes

i32, i64 = ctypes.c_int32, ctypes.c_int64
WAYS = 8
SLICES = 80  # of L2, each with its own unit for atomics


class Bucket(ctypes.Structure):
    """Some lines that may be there, and who touched each of them last, and when."""

    _fields_ = [
        # from the top: the warp's number in the grid (its lowest 15 bits), the line (40 bits),
        # dirty sectors (4 bits), valid sectors (4 bits)
        ("tags", i64 * WAYS),
        # from the top: lines that all warps had filled (32 bits), the warp's wave of blocks (its
        # lowest 12 bits), lines that the warp had filled (its lowest 20 bits)
        ("touched", i64 * WAYS),
    ]


class Level(ctypes.Structure):
    """One cache."""

    _fields_ = [
        ("buckets", i64),  # Bucket
        ("mask", i64),  # buckets, a power of two, less one
        ("lines", i64),  # what the cache holds; the table has room for more
        ("together", i64),  # warps that run at the same time and use it
        ("fills", i64),  # lines filled so far
        ("start", i64),  # of them by earlier launches: what was touched before is not there
    ]


class CacheState(ctypes.Structure):
    """The caches of one launch."""

    _fields_ = [
        ("l2", Level),
        ("l1", i64),  # Level by SM
        ("first_line", i64),  # of device memory: lines count from here, wherever the host has it
        ("sm_count", i64),
        ("wave_blocks", i64),  # blocks that the chip runs at the same time
        ("dram_read", i64),  # sectors
        ("dram_written", i64),
        ("dirtied", i64),  # sectors that stores made differ from DRAM
        ("store_lines", i64),  # that stores sent to L2, each access its own
        # by slice of L2: passes of atomics over a sector, each with one lane a word
        ("turns", i64 * SLICES),
    ]


LINE_SHIFT, NUMBER_SHIFT = 8, 48  # in tags
WAVE_SHIFT, FILLS_SHIFT = 20, 32  # in what says when they were touched
BUCKET_BYTES = ctypes.sizeof(Bucket)
LEVEL_BYTES = ctypes.sizeof(Level)
