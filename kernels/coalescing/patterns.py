"""Aligned, offset and strided reads, one float a thread (``patterns.cu``).

Source: the talk's pictures of one warp: 32 floats in 4 sectors, 5 when offset, 8 at stride 2, 32
at a stride of 32 bytes.
"""

from __future__ import annotations

from typing import Any

from kernels.coalescing.launches import blocks_for, check_not_negative, check_room, program
from kernels.runtime import Device

THREADS = 1024


def copy_aligned(device: Device, x: Any, y: Any, *, threads: int = THREADS) -> None:
    """``y[i] = x[i]``: 4 sectors a request.

    ``x`` (at least n,), ``y`` (n,): float32 on the device, not overlapping. ``threads`` a block.
    Raises ValueError when ``x`` is too short, ArgumentError for arrays of another kind.
    """
    n = y.size
    check_room("copy_aligned", "x", x.size, n)
    kernel = program("patterns")["copy_aligned"]
    device.launch(kernel, blocks_for(n, threads), threads, (x, y, n))


def copy_offset(device: Device, x: Any, y: Any, offset: int, *, threads: int = THREADS) -> None:
    """``y[i] = x[i + offset]``: 5 sectors a request unless ``offset`` is a multiple of 8 floats.

    ``x`` (at least n + offset,), ``y`` (n,): float32 on the device, not overlapping. ``offset`` in
    elements, not negative. Raises as :func:`copy_aligned`.
    """
    n = y.size
    check_not_negative("copy_offset", offset=offset)
    check_room("copy_offset", "x", x.size, n + offset if n else 0)
    kernel = program("patterns")["copy_offset"]
    device.launch(kernel, blocks_for(n, threads), threads, (x, y, n, offset))


def copy_stride(device: Device, x: Any, y: Any, stride: int, *, threads: int = THREADS) -> None:
    """``y[i] = x[i * stride]``: 4 * stride sectors a request, 32 from a stride of 8 floats on.

    ``x`` (more than (n - 1) * stride,), ``y`` (n,): float32 on the device, not overlapping.
    ``stride`` in elements, not negative. Raises as :func:`copy_aligned`.
    """
    n = y.size
    check_not_negative("copy_stride", stride=stride)
    check_room("copy_stride", "x", x.size, (n - 1) * stride + 1 if n else 0)
    kernel = program("patterns")["copy_stride"]
    device.launch(kernel, blocks_for(n, threads), threads, (x, y, n, stride))
