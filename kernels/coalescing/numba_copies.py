"""The talk's strided and coalesced copies in Numba: the same memory requests, from Python."""

# Numba infers the types of its kernels.
# mypy: disable-error-code="attr-defined, no-untyped-def, untyped-decorator"

from __future__ import annotations

from typing import Any

from numba import cuda

from kernels.coalescing.block_copy import THREADS
from kernels.coalescing.launches import blocks_for, check_room
from kernels.runtime import Device

ITEMS = 4  # floats a thread


@cuda.jit
def strided(x, y):
    """Thread t takes floats 4t .. 4t+3."""
    first = cuda.grid(1) * ITEMS
    for k in range(ITEMS):
        if first + k < y.size:
            y[first + k] = x[first + k]


@cuda.jit
def coalesced(x, y):
    """Thread t takes floats t, t + 1024, t + 2048, t + 3072."""
    first = cuda.blockIdx.x * cuda.blockDim.x * ITEMS + cuda.threadIdx.x
    for k in range(ITEMS):
        i = first + k * cuda.blockDim.x
        if i < y.size:
            y[i] = x[i]


def numba_copy_strided(device: Device, x: Any, y: Any, *, threads: int = THREADS) -> None:
    """:func:`~kernels.coalescing.block_copy.copy_strided` in Numba. Any dtype, one axis."""
    _launch(device, "numba_copy_strided", strided, x, y, threads)


def numba_copy_coalesced(device: Device, x: Any, y: Any, *, threads: int = THREADS) -> None:
    """:func:`~kernels.coalescing.block_copy.copy_coalesced` in Numba. Any dtype, one axis."""
    _launch(device, "numba_copy_coalesced", coalesced, x, y, threads)


def _launch(device: Device, name: str, kernel: Any, x: Any, y: Any, threads: int) -> None:
    check_room(name, "x", x.size, y.size)
    device.launch(kernel, blocks_for(y.size, threads * ITEMS), threads, (x, y))
