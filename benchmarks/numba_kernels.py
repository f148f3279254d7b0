"""Kernels that Numba's own simulator can run too: a vector add and a tiled matrix product."""

# Numba infers the types of its kernels.
# mypy: disable-error-code="attr-defined, no-untyped-def, untyped-decorator"

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, float32

TILE = 16


@cuda.jit
def vector_add(x, y, out):
    """One element a thread."""
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[i] + y[i]


@cuda.jit
def matrix_product(a, b, c):
    """A block computes a tile of ``c`` from tiles of ``a`` and ``b`` in shared memory."""
    tile_a = cuda.shared.array((TILE, TILE), float32)
    tile_b = cuda.shared.array((TILE, TILE), float32)
    column, row = cuda.grid(2)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    total = float32(0.0)
    for step in range(a.shape[1] // TILE):
        tile_a[y, x] = a[row, step * TILE + x]
        tile_b[y, x] = b[step * TILE + y, column]
        cuda.syncthreads()
        for k in range(TILE):
            total += tile_a[y, k] * tile_b[k, x]
        cuda.syncthreads()
    c[row, column] = total


def workload(name: str, n: int) -> tuple[Any, Any, Any, tuple[np.ndarray, ...], np.ndarray]:
    """Kernel, grid, block, inputs and expected output of ``name`` at size ``n``."""
    rng = np.random.default_rng(n)
    if name == "vector add":
        x, y = rng.standard_normal((2, n), dtype=np.float32)
        return vector_add, -(-n // 256), 256, (x, y), x + y
    a, b = rng.standard_normal((2, n, n), dtype=np.float32)
    tiles = n // TILE
    product = (a.astype(np.float64) @ b.astype(np.float64)).astype(np.float32)
    return matrix_product, (tiles, tiles), (TILE, TILE), (a, b), product
