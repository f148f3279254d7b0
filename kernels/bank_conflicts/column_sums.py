"""Sums down columns, with bank conflicts and without (``column_sums.cu``)."""

from __future__ import annotations

from typing import Any

from kernels.bank_conflicts.launches import blocks_for, check_shape, matrix, program, tiles
from kernels.runtime import Device

COLUMNS = 32  # a block's; as in column_sums.cu
STRIP = 256  # rows a block adds up
BLOCK = (32, 32)


def strips(rows: int) -> int:
    """Strips of :data:`STRIP` rows."""
    return blocks_for(rows, STRIP)


def column_sums_tiled(device: Device, x: Any, sums: Any) -> None:
    """``sums[s, c]`` = the sum of ``x[r, c]`` over rows r = 256 s to 256 s + 255.

    ``x`` (rows, cols), ``sums`` (ceil(rows / 256), cols): float32 on the device, not overlapping.
    The partial sums of a column lie in one bank: reading them takes 32 wavefronts. Raises
    ValueError for shapes that do not fit, ArgumentError for arrays of another kind.
    """
    _launch(device, "column_sums_tiled", x, sums)


def column_sums_padded(device: Device, x: Any, sums: Any) -> None:
    """:func:`column_sums_tiled` with rows of partial sums 33 words apart: one wavefront."""
    _launch(device, "column_sums_padded", x, sums)


def _launch(device: Device, name: str, x: Any, sums: Any) -> None:
    rows, cols = matrix(name, "x", x)
    check_shape(name, "sums", sums, (strips(rows), cols))
    blocks = tiles(name, rows, cols, STRIP, COLUMNS)
    device.launch(program("column_sums")[name], blocks, BLOCK, (x, sums, rows, cols))
