"""Bank conflicts: what a warp pays for shared memory, and transposes that do not pay it.

Each kernel has a function of its name, ``transpose_tiled(device, x, y)``, which launches it on
either device; :func:`profile`, :func:`time` and :func:`launch_of` take that function in place of
calling it.

===================== ================================================= ========================
file                  kernels                                           what changes
===================== ================================================= ========================
``patterns.cu``       read_shared (4, 8 and 16 bytes a lane)            places of a warp's lanes
``transpose.cu``      transpose_naive, _tiled, _padded, _swizzled       where a tile's floats lie
``transpose_best.cu`` transpose_best                                    everything together
``column_sums.cu``    column_sums_tiled, column_sums_padded             where partial sums lie
``histogram.cu``      histogram_global, _shared, _warps, _lanes         who shares counters
===================== ================================================= ========================

Source: the talk's chapter "Shared memory banks": 32 banks, successive words in successive banks.
"""

from kernels.bank_conflicts.catalogue import BY_NAME, ENTRIES, Entry, place
from kernels.bank_conflicts.column_sums import column_sums_padded, column_sums_tiled
from kernels.bank_conflicts.histogram import (
    histogram_global,
    histogram_lanes,
    histogram_shared,
    histogram_warps,
)
from kernels.bank_conflicts.launches import Launch, launch_of, profile, program, time
from kernels.bank_conflicts.patterns import (
    broadcast,
    column,
    permuted,
    read_shared,
    read_shared_kernels,
    scattered,
    strided,
)
from kernels.bank_conflicts.transpose import (
    transpose_best,
    transpose_naive,
    transpose_padded,
    transpose_swizzled,
    transpose_tiled,
)

__all__ = [
    "BY_NAME",
    "ENTRIES",
    "Entry",
    "Launch",
    "broadcast",
    "column",
    "column_sums_padded",
    "column_sums_tiled",
    "histogram_global",
    "histogram_lanes",
    "histogram_shared",
    "histogram_warps",
    "launch_of",
    "permuted",
    "place",
    "profile",
    "program",
    "read_shared",
    "read_shared_kernels",
    "scattered",
    "strided",
    "time",
    "transpose_best",
    "transpose_naive",
    "transpose_padded",
    "transpose_swizzled",
    "transpose_tiled",
]
