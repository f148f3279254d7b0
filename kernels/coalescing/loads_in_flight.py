"""1, 2, 4 and 8 independent loads in flight in each thread (``loads_in_flight.cu``).

Source: the talk's Little's law: bandwidth times latency bytes must be in flight, from many warps
(TLP) or from several loads a thread (ILP). With few warps, as here, it takes the second.
"""

from __future__ import annotations

from typing import Any

from kernels.coalescing.launches import check_room, program
from kernels.runtime import Device

THREADS = 128
BLOCKS_PER_SM = 2


def copy_ilp1(
    device: Device, x: Any, y: Any, *, blocks: int | None = None, threads: int = THREADS
) -> None:
    """``y = x`` by a grid that walks the array, one load in flight a thread.

    ``x`` (at least n,), ``y`` (n,): float32 on the device, not overlapping. ``blocks`` of
    ``threads``: 2 an SM unless given. Raises ValueError when ``x`` is too short, ArgumentError for
    arrays of another kind.
    """
    _launch(device, "copy_ilp1", x, y, blocks, threads)


def copy_ilp2(
    device: Device, x: Any, y: Any, *, blocks: int | None = None, threads: int = THREADS
) -> None:
    """:func:`copy_ilp1` with two loads in flight."""
    _launch(device, "copy_ilp2", x, y, blocks, threads)


def copy_ilp4(
    device: Device, x: Any, y: Any, *, blocks: int | None = None, threads: int = THREADS
) -> None:
    """:func:`copy_ilp1` with four loads in flight."""
    _launch(device, "copy_ilp4", x, y, blocks, threads)


def copy_ilp8(
    device: Device, x: Any, y: Any, *, blocks: int | None = None, threads: int = THREADS
) -> None:
    """:func:`copy_ilp1` with eight loads in flight."""
    _launch(device, "copy_ilp8", x, y, blocks, threads)


def _launch(device: Device, name: str, x: Any, y: Any, blocks: int | None, threads: int) -> None:
    n = y.size
    check_room(name, "x", x.size, n)
    grid = BLOCKS_PER_SM * device.arch.sm_count if blocks is None else blocks
    if not 1 <= grid * threads <= 1 << 24:
        raise ValueError(f"{name}: {grid} blocks of {threads} threads; 1 to {1 << 24} threads")
    device.launch(program("loads_in_flight")[name], grid, threads, (x, y, n))
