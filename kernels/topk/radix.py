"""Radix select, a launch a digit, and AIR Top-K, which makes one launch of it (``radix.cu``).

Source: Alabi et al., "Fast k-selection algorithms for graphics processing units", ACM JEA 2012;
Zhang, Naruse, Li and Wang, "Parallel Top-K Algorithms on GPU: A Comprehensive Study and New
Methods", SC 2023.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kernels.launches import blocks_for
from kernels.runtime import Device
from kernels.topk.launches import Rows, check, given, kernel_of, zeros

THREADS = 1024  # of a block, as in select.cuh
LOADS = 8  # on their way, a thread
STATE = 6  # 64-bit words of a row's progress, as in radix.cu
FEW = 16  # at most a part of so many is written down, as in radix.cu
AIR_BITS = 11


def topk_radix8(
    device: Device, x: Any, values: Any, indices: Any, *, largest: bool = True, lengths: Any = None
) -> None:
    """Radix select by digits of 8 bits: a launch for each, and one for the filter.

    The best come in any order. Arguments, results and errors are those of
    :func:`kernels.topk.topk`.
    """
    _radix(device, "topk_radix8", 8, x, values, indices, largest, lengths)


def topk_radix11(
    device: Device, x: Any, values: Any, indices: Any, *, largest: bool = True, lengths: Any = None
) -> None:
    """Radix select by digits of 11 bits, of which a key has three in place of four.

    Arguments, results and errors are those of :func:`topk_radix8`.
    """
    _radix(device, "topk_radix11", 11, x, values, indices, largest, lengths)


def topk_air(
    device: Device, x: Any, values: Any, indices: Any, *, largest: bool = True, lengths: Any = None
) -> None:
    """AIR Top-K: all digits in one launch, by blocks that wait for each other.

    Many rows have a block each, which waits for nobody. Arguments, results and errors are those of
    :func:`topk_radix8`.
    """
    rows = check("topk_air", x, values, indices, lengths)
    if not rows.count * rows.k:
        return
    # a block an SM, so that all of them are there at once
    blocks = max(min(_blocks(rows), device.arch.sm_count // rows.count), 1)
    kernel = kernel_of(
        "radix", "topk_air", rows, largest, lengths, threads=THREADS, template=str(AIR_BITS),
        parameters="unsigned long long* state, unsigned* bins, unsigned long long* buffers, "
        "KEY* values, int* indices, unsigned n, unsigned k, int bits",
    )  # fmt: skip
    state = zeros(device, (rows.count, STATE), np.uint64)
    bins = zeros(device, (rows.count if blocks > 1 else 1, 1 << AIR_BITS), np.uint32)
    buffers = device.empty((rows.count, 2, max(rows.length // FEW, 1)), np.uint64)
    device.launch(
        kernel, (rows.count, blocks), THREADS,
        (x, *given(lengths), state, bins, buffers, values, indices,
         rows.length, rows.k, _index_bits(rows)),
        cooperative=blocks > 1,
    )  # fmt: skip


def shifts(bits: int, index_bits: int) -> tuple[int, ...]:
    """Where the digits of an entry begin, from the first: those of the rank, then of the index.

    The last digit of either begins where it ends, so that it may have bits of the one before.
    """
    rank = (max(32 + at, 32) for at in range(32 - bits, -bits, -bits))
    index = (max(at, 0) for at in range(index_bits - bits, -bits, -bits))
    return (*rank, *index)


def _radix(
    device: Device, name: str, bits: int, x: Any, values: Any, indices: Any, largest: bool,
    lengths: Any,
) -> None:  # fmt: skip
    rows = check(name, x, values, indices, lengths)
    if not rows.count * rows.k:
        return
    state = zeros(device, (rows.count, STATE), np.uint64)
    bins = zeros(device, (rows.count, 1 << bits), np.uint32)
    grid = rows.count, min(_blocks(rows), max(2 * device.arch.sm_count // rows.count, 1))
    digit = kernel_of(
        "radix", "topk_radix_pass", rows, largest, lengths, threads=THREADS, template=str(bits),
        parameters="unsigned long long* state, unsigned* bins, unsigned n, unsigned k, int shift",
    )  # fmt: skip
    take = kernel_of(
        "radix", "topk_radix_filter", rows, largest, lengths, threads=THREADS,
        parameters="unsigned long long* state, KEY* values, int* indices, unsigned n, unsigned k",
    )  # fmt: skip
    sizes = rows.length, rows.k
    for shift in shifts(bits, _index_bits(rows)):
        arguments = x, *given(lengths), state, bins, *sizes, shift
        device.launch(digit, grid, THREADS, arguments)
    arguments = x, *given(lengths), state, values, indices, *sizes
    device.launch(take, grid, THREADS, arguments)


def _index_bits(rows: Rows) -> int:
    """Bits in which indices differ."""
    return max((rows.length - 1).bit_length(), 1)


def _blocks(rows: Rows) -> int:
    """Blocks that have something to do in a row."""
    return blocks_for(rows.length, THREADS * LOADS)
