"""Parallel top-k: the best k of each row, with their indices.

:func:`topk` takes the step that was fastest for rows like those given.
Each step has a function of its name, ``topk_air(device, x, values, indices)``, which makes its
launches on either device. ``largest=False`` asks for the smallest, ``lengths`` says how much of
each row counts. Queues hold k up to 1024; the others take any. :func:`topk_merge` is for rows that
arrive in pieces; ``whole.cu`` copies rows all of whose elements are wanted.

================= ================= ===========================================================
file              step              what changes
================= ================= ===========================================================
``sort.cu``       topk_sort         whole rows are sorted
``warpselect.cu`` topk_warp_select  a warp a row: queues in registers, bitonic networks
``warpselect.cu`` topk_block_select eight warps a row, whose queues are merged
``warpselect.cu`` topk_grid_select  many blocks a row; a queue that the lanes of a warp share
``radix.cu``      topk_radix8       nothing is sorted: the k-th is found digit by digit
``radix.cu``      topk_radix11      three digits in place of four
``radix.cu``      topk_air          one launch; few candidates are written down; stops early
``filter.cu``     topk_filtered     one pass over the data, by a pivot from a sample
================= ================= ===========================================================

NaN is larger than all numbers, -0 equals 0, and of equal keys those with the lowest indices are
taken: ``keys.cuh`` makes of a key and its index one number that compares so.

Source: the talk's chapter "Parallel top-k".
"""

from kernels.topk.catalogue import BY_NAME, ENTRIES, Entry
from kernels.topk.dispatch import topk
from kernels.topk.filtered import FilterShape, topk_filtered
from kernels.topk.merge import topk_merge
from kernels.topk.radix import topk_air, topk_radix8, topk_radix11
from kernels.topk.sort import sort_found, topk_sort
from kernels.topk.warpselect import topk_block_select, topk_grid_select, topk_warp_select
from kernels.topk.whole import topk_whole

__all__ = [
    "BY_NAME",
    "ENTRIES",
    "Entry",
    "FilterShape",
    "sort_found",
    "topk",
    "topk_air",
    "topk_block_select",
    "topk_filtered",
    "topk_grid_select",
    "topk_merge",
    "topk_radix8",
    "topk_radix11",
    "topk_sort",
    "topk_warp_select",
    "topk_whole",
]
