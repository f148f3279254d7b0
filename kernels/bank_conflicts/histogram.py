"""Histograms of bytes: where the counters are decides who has to wait (``histogram.cu``)."""

from __future__ import annotations

from typing import Any

from kernels.bank_conflicts.launches import blocks_for, check_shape, program
from kernels.runtime import Device

BINS = 256
THREADS = 256  # as in histogram.cu
BLOCKS_PER_SM = 6
BYTES_A_THREAD = 64  # at least, where that leaves enough blocks


def histogram_global(device: Device, x: Any, counts: Any, *, blocks: int | None = None) -> None:
    """``counts[v] +=`` the number of bytes of ``x`` that are v, an atomic addition a byte.

    ``x``: uint8, any length; ``counts`` (256,): uint32, set before, usually to zero. Both on the
    device. ``blocks`` of 256 threads; by default as many as fill the device, or fewer for a short
    ``x``. Raises ValueError for another shape of ``counts``, ArgumentError for arrays of another
    kind.
    """
    _launch(device, "histogram_global", x, counts, blocks)


def histogram_shared(device: Device, x: Any, counts: Any, *, blocks: int | None = None) -> None:
    """:func:`histogram_global` with a histogram in shared memory for each block."""
    _launch(device, "histogram_shared", x, counts, blocks)


def histogram_warps(device: Device, x: Any, counts: Any, *, blocks: int | None = None) -> None:
    """:func:`histogram_shared` with a histogram for each of the block's warps."""
    _launch(device, "histogram_warps", x, counts, blocks)


def histogram_lanes(device: Device, x: Any, counts: Any, *, blocks: int | None = None) -> None:
    """:func:`histogram_shared` with a histogram for each lane, all of it in the lane's own bank.

    An addition takes one wavefront, whatever the bytes are.
    """
    _launch(device, "histogram_lanes", x, counts, blocks)


def _launch(device: Device, name: str, x: Any, counts: Any, blocks: int | None) -> None:
    check_shape(name, "counts", counts, (BINS,))
    n = x.size
    if blocks is None:
        most = BLOCKS_PER_SM * device.arch.sm_count
        blocks = min(most, blocks_for(n, THREADS * BYTES_A_THREAD))
    if not 1 <= blocks <= 1 << 20:
        raise ValueError(f"{name}: {blocks} blocks; 1 to {1 << 20}")
    device.launch(program("histogram")[name], blocks, THREADS, (x, counts, n))
