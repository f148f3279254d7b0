"""``float``, ``float2`` and ``float4`` (``vectors.cu``).

Source: the talk, on an A100-40GB: 400 blocks of 1024 threads, 8192 floats a block, L1 on.
"""

from __future__ import annotations

from typing import Any

from kernels.coalescing.launches import blocks_for, check_room, program
from kernels.runtime import Device

THREADS = 1024
FLOATS = 8  # a thread
TALK_BLOCKS = 400
TALK_FLOATS = TALK_BLOCKS * THREADS * FLOATS  # 3,276,800


def copy_float(device: Device, x: Any, y: Any, *, threads: int = THREADS) -> None:
    """``y = x``, 4 bytes a lane: 4 sectors a request.

    ``x`` (at least n,), ``y`` (n,): float32 on the device, not overlapping. A block of
    ``threads`` copies 8 * ``threads`` floats. Raises ValueError when ``x`` is too short,
    ArgumentError for arrays of another kind.
    """
    _launch(device, "copy_float", x, y, threads)


def copy_float2(device: Device, x: Any, y: Any, *, threads: int = THREADS) -> None:
    """``y = x``, 8 bytes a lane: 8 sectors a request, half the requests.

    As :func:`copy_float`; both arrays must start at a multiple of 8 bytes (ArgumentError). Any n:
    a float that fills no vector is copied by itself.
    """
    _launch(device, "copy_float2", x, y, threads)


def copy_float4(device: Device, x: Any, y: Any, *, threads: int = THREADS) -> None:
    """``y = x``, 16 bytes a lane: 16 sectors a request, a quarter of the requests.

    As :func:`copy_float2`, with 16 bytes for 8.
    """
    _launch(device, "copy_float4", x, y, threads)


def _launch(device: Device, name: str, x: Any, y: Any, threads: int) -> None:
    n = y.size
    check_room(name, "x", x.size, n)
    device.launch(program("vectors")[name], blocks_for(n, threads * FLOATS), threads, (x, y, n))
