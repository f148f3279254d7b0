"""Parallel top-k: the best k of each row, with their indices.

Each step has a function of its name, ``topk_air(device, x, values, indices)``, which makes its
launches on either device. ``largest=False`` asks for the smallest, ``lengths`` says how much of
each row counts.

============== ==================== ===========================================================
file           step                 what changes
============== ==================== ===========================================================
``radix.cu``   topk_radix8          nothing is sorted: the k-th is found digit by digit
``radix.cu``   topk_radix11         three digits in place of four
``radix.cu``   topk_air             one launch; few candidates are written down; stops early
``filter.cu``  topk_filtered        one pass over the data, by a pivot from a sample
============== ==================== ===========================================================

NaN is larger than all numbers, -0 equals 0, and of equal keys those with the lowest indices are
taken: ``keys.cuh`` makes of a key and its index one number that compares so.

Source: the talk's chapter "Parallel top-k".
"""

from kernels.topk.catalogue import BY_NAME, ENTRIES, Entry
from kernels.topk.filtered import FilterShape, topk_filtered
from kernels.topk.radix import topk_air, topk_radix8, topk_radix11

__all__ = [
    "BY_NAME",
    "ENTRIES",
    "Entry",
    "FilterShape",
    "topk_air",
    "topk_filtered",
    "topk_radix8",
    "topk_radix11",
]
