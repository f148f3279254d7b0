"""The tables of modelled caches, as compiled code and Python share them."""

from __future__ import annotations

import ctypes

i32, i64 = ctypes.c_int32, ctypes.c_int64
WAYS = 8


class Bucket(ctypes.Structure):
    """Some lines that may be there, and who touched each of them last, and when."""

    _fields_ = [
        ("tags", i64 * WAYS),  # launch, line, dirty sectors (4 bits), valid sectors (4 bits)
        ("all", i32 * WAYS),  # lines that all warps had filled
        ("own", i32 * WAYS),  # lines that the warp had filled
        ("who", i64 * WAYS),  # a warp, as Warp.cached_as has it
    ]


class Level(ctypes.Structure):
    """One cache."""

    _fields_ = [
        ("buckets", i64),  # Bucket
        ("mask", i64),  # buckets, a power of two, less one
        ("lines", i64),  # what the cache holds; the table has room for more
        ("fills", i64),  # lines filled so far
    ]


class CacheState(ctypes.Structure):
    """The caches of one launch."""

    _fields_ = [
        ("l2", Level),
        ("l1", i64),  # Level by SM
        ("launch", i64),  # in tags, above the line, so that those of earlier launches never match
        ("sm_count", i64),
        ("together_sm", i64),  # warps that an SM runs at the same time
        ("together", i64),  # warps that the chip runs at the same time
        ("wave_blocks", i64),  # blocks that the chip runs at the same time
        ("dram_read", i64),  # sectors
        ("dram_written", i64),
        ("dirtied", i64),  # sectors that stores made differ from DRAM
    ]


LAUNCH_SHIFT = 48
BUCKET_BYTES = ctypes.sizeof(Bucket)
LEVEL_BYTES = ctypes.sizeof(Level)
