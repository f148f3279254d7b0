"""Sort and take k; and put in order what another step has selected (``sort.cu``).

Source: Satish, Harris and Garland, "Designing efficient sorting algorithms for manycore GPUs",
2009 (radix sort); Batcher, "Sorting networks and their applications", 1968.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from kernels.launches import blocks_for
from kernels.runtime import Device
from kernels.topk.launches import check, given, instance, kernel_of

BLOCK = 256  # threads, as in sort.cu
DIGITS = 256
PART = 4096  # entries that are worth a block
BLOCKS_PER_SM = 8
MOST_FEW = 4096  # entries of 8 bytes that a block sorts in shared memory


def topk_sort(
    device: Device, x: Any, values: Any, indices: Any, *, largest: bool = True, lengths: Any = None
) -> None:
    """Sort whole rows, by a radix sort of four passes, and take the first k.

    The best come first. For the rest, arguments, results and errors are those of
    :func:`kernels.topk.topk`.
    """
    rows = check("topk_sort", x, values, indices, lengths)
    if not rows.count * rows.k:
        return
    entries = device.empty((rows.count, rows.length), np.uint64)
    begin = kernel_of(
        "sort", "sort_entries", rows, largest, lengths, threads=BLOCK,
        parameters="unsigned long long* to, unsigned n",
    )  # fmt: skip
    device.launch(
        begin, (blocks_for(rows.length, BLOCK), rows.count), BLOCK,
        (x, *given(lengths), entries, rows.length),
    )  # fmt: skip
    # indices rise to begin with, and equal keys stay in order: only keys have to be sorted
    _take(device, x, _sorted(device, entries, range(32, 64, 8)), values, indices, largest)


def sort_found(device: Device, x: Any, values: Any, indices: Any, *, largest: bool = True) -> None:
    """Put in order, the best first and of equal ones the lower index first, what was selected.

    ``values`` and ``indices`` are a step's results for ``x``, and are sorted where they lie; what
    is left over, with index -1, stays behind the others.
    """
    rows = check("sort_found", x, values, indices)
    if rows.k < 2 or not rows.count:
        return
    if rows.k <= MOST_FEW:
        size = 1 << (rows.k - 1).bit_length()
        few = kernel_of(
            "sort", "sort_few", rows, largest, None, threads=BLOCK,
            parameters="KEY* values, int* indices, unsigned n, unsigned k, unsigned size",
        )  # fmt: skip
        device.launch(
            few, rows.count, BLOCK, (x, values, indices, rows.length, rows.k, size), 8 * size
        )
        return
    entries = device.empty((rows.count, rows.k), np.uint64)
    begin = kernel_of(
        "sort", "sort_found", rows, largest, None, threads=BLOCK,
        parameters="const int* indices, unsigned long long* to, unsigned n, unsigned k",
    )  # fmt: skip
    device.launch(
        begin, (blocks_for(rows.k, BLOCK), rows.count), BLOCK,
        (x, indices, entries, rows.length, rows.k),
    )  # fmt: skip
    of_indices = range(0, rows.length.bit_length(), 8)
    entries = _sorted(device, entries, (*of_indices, *range(32, 64, 8)))
    _take(device, x, entries, values, indices, largest)


def _sorted(device: Device, entries: Any, shifts: Iterable[int]) -> Any:
    """Rows of entries sorted by digits of 8 bits, of which the last counts most."""
    count, n = entries.shape
    most = max(BLOCKS_PER_SM * device.arch.sm_count // count, 1)
    blocks = min(blocks_for(n, PART), most)
    counts = device.empty((count, DIGITS, blocks), np.uint32)
    other = device.empty((count, n), np.uint64)
    grid = (blocks, count)
    for shift in shifts:
        device.launch(_plain("sort_count"), grid, BLOCK, (entries, counts, n, shift))
        device.launch(_plain("sort_scan"), count, 1024, (counts, DIGITS * blocks))
        device.launch(_plain("sort_scatter"), grid, BLOCK, (entries, other, counts, n, shift))
        entries, other = other, entries
    return entries


def _plain(name: str) -> Any:
    return instance("sort", name, "")


def _take(device: Device, x: Any, entries: Any, values: Any, indices: Any, largest: bool) -> None:
    rows = check("sort_take", x, values, indices)
    take = kernel_of(
        "sort", "sort_take", rows, largest, None, threads=BLOCK,
        parameters="const unsigned long long* from, KEY* values, int* indices, unsigned n, "
        "unsigned stride, unsigned k",
    )  # fmt: skip
    device.launch(
        take, (blocks_for(rows.k, BLOCK), rows.count), BLOCK,
        (x, entries, values, indices, rows.length, int(entries.shape[-1]), rows.k),
    )  # fmt: skip
