"""The transpose ladder (``transpose.cu``, ``transpose_best.cu``).

Source: the talk's worked example of bank conflicts: naive, through a tile, padded. The swizzle and
the transpose that is as fast as a copy are ours.
"""

from __future__ import annotations

from typing import Any

from kernels.bank_conflicts.launches import check_shape, matrix, program, tiles
from kernels.runtime import Device

TILE = 32
BLOCK = (32, 8)  # threads; as in transpose.cu
BEST_TILE = 64
QUAD, SECTOR = 4, 8  # floats
BEST_THREADS = {"transpose_best": 128, "transpose_best_any": 256}  # as in transpose_best.cu


def transpose_naive(device: Device, x: Any, y: Any) -> None:
    """``y[c, r] = x[r, c]``; stores touch 32 sectors a request.

    ``x`` (rows, cols), ``y`` (cols, rows): float32 on the device, not overlapping, any size.
    Raises ValueError for shapes that do not fit, ArgumentError for arrays of another kind.
    """
    _launch(device, "transpose_naive", x, y)


def transpose_tiled(device: Device, x: Any, y: Any) -> None:
    """:func:`transpose_naive` through a tile in shared memory: loads of it take 32 wavefronts."""
    _launch(device, "transpose_tiled", x, y)


def transpose_padded(device: Device, x: Any, y: Any) -> None:
    """:func:`transpose_tiled` with rows 33 words apart: no conflicts, 128 bytes more."""
    _launch(device, "transpose_padded", x, y)


def transpose_swizzled(device: Device, x: Any, y: Any) -> None:
    """:func:`transpose_tiled` with column c of row r at ``c ^ r``: no conflicts, no padding."""
    _launch(device, "transpose_swizzled", x, y)


def transpose_best(device: Device, x: Any, y: Any) -> None:
    """:func:`transpose_naive`'s result, as fast as a copy.

    16 bytes an access where rows of ``x`` begin at multiples of 16 bytes and those of ``y``, which
    are written, at multiples of 32: when ``cols`` is a multiple of 4 and ``rows`` one of 8.
    Otherwise 4 bytes, by the kernel ``transpose_best_any``.
    How near it comes to a copy is recorded by ``python -m benchmarks.bank_conflicts_h100``.
    """
    rows, cols = _shapes("transpose_best", x, y)
    whole = rows % SECTOR == 0 and cols % QUAD == 0
    aligned = device.alignment(x) >= 4 * QUAD and device.alignment(y) >= 4 * SECTOR
    kernel = "transpose_best" if whole and aligned else "transpose_best_any"
    more = 0 if kernel == "transpose_best" else SECTOR - 1  # its tiles begin before the matrix
    blocks = tiles("transpose_best", rows + more if rows else 0, cols, BEST_TILE, BEST_TILE)
    args = (x, y, rows, cols)
    device.launch(program("transpose_best")[kernel], blocks, BEST_THREADS[kernel], args)


def _shapes(name: str, x: Any, y: Any) -> tuple[int, int]:
    rows, cols = matrix(name, "x", x)
    check_shape(name, "y", y, (cols, rows))
    return rows, cols


def _launch(device: Device, name: str, x: Any, y: Any) -> None:
    rows, cols = _shapes(name, x, y)
    blocks = tiles(name, rows, cols, TILE, TILE)
    device.launch(program("transpose")[name], blocks, BLOCK, (x, y, rows, cols))
