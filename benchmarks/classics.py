"""Textbook kernels with their arrays and what they must compute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.runtime import Program, cuda_program

Array = npt.NDArray[Any]
SOURCE = Path(__file__).with_name("classics.cu")


@dataclass(frozen=True)
class Classic:
    """One launch: ``inputs`` then one output, ``numbers`` first; results are exact unless told."""

    name: str
    n: int
    grid: tuple[int, ...]
    block: tuple[int, ...]
    numbers: tuple[Any, ...]
    inputs: tuple[Array, ...]
    output: Array  # as it is before the launch: poisoned, unless the kernel adds to it
    reference: Callable[[], Array]
    tolerance: float = 0.0  # relative to the largest value, where float sums round


def program() -> Program:
    """All kernels, compiled."""
    return cuda_program(SOURCE)


def classics(scale: int = 1) -> tuple[Classic, ...]:
    """Every kernel. ``scale`` multiplies the sides of matrices, its square the vectors."""
    rng = np.random.default_rng(7)
    n, side = (1 << 18) * scale * scale, 256 * scale
    blocks, tiles = n // 256, side // 32
    x, y = (rng.standard_normal(n, dtype=np.float32) for _ in range(2))
    matrix, other = (rng.standard_normal((side, side), dtype=np.float32) for _ in range(2))
    whole = rng.integers(-1000, 1000, n, dtype=np.int32)
    letters = (rng.standard_normal(n) * 30 + 128).clip(0, 255).astype(np.uint8)
    order = rng.permutation(n).astype(np.int32)
    a = np.float32(1.5)
    sides = np.int32(side)
    count = np.int32(n)
    few = 132 * 4

    def poison(shape: Any, kind: Any) -> Array:
        return np.full(shape, 0xFF, dtype=np.uint8).repeat(np.dtype(kind).itemsize).view(kind)

    def saxpy() -> Array:
        return (a.astype(np.float64) * x + y).astype(np.float32)  # a fused product rounds once

    def product() -> Array:
        return matrix.astype(np.float64) @ other

    def stencil() -> Array:
        padded = np.zeros((side, side))
        m = matrix.astype(np.float64)
        inner = m[1:-1, 1:-1] + m[1:-1, :-2] + m[1:-1, 2:] + m[:-2, 1:-1] + m[2:, 1:-1]
        padded[1:-1, 1:-1] = 0.2 * inner
        return padded

    def convolution() -> Array:
        weights = 1 / np.arange(1.0, 10)
        around = np.concatenate([np.zeros(4), x, np.zeros(4)])
        return np.stack([around[k : k + n] * weights[k] for k in range(9)]).sum(0)

    def dots() -> Array:
        warps = few * 8
        products = (x.astype(np.float64) * y).reshape(-1)
        padded = np.zeros(-(-n // (warps * 32)) * warps * 32)
        padded[:n] = products
        return padded.reshape(-1, warps, 32).sum((0, 2))

    def collatz() -> Array:
        out = whole.astype(np.int64)
        for k in range(15):
            odd, half = 3 * out + 1, np.fix(out / 2).astype(np.int64)
            out = np.where((whole & 15) > k, np.where(out & 1, odd, half), out)
        return out.astype(np.int32)

    zeros = np.zeros(256, dtype=np.uint32)
    vectors = (side // 32, side // 32), (32, 8)
    squares = poison(side * side, np.float32)
    counts = lambda: np.bincount(letters, minlength=256).astype(np.uint32)  # noqa: E731
    rows = lambda v: v.reshape(blocks, 256)  # noqa: E731
    return (
        Classic("saxpy", n, (blocks,), (256,), (count, a), (x,), y.copy(), saxpy),
        Classic("saxpy_grid_stride", n, (few,), (256,), (count, a), (x,), y.copy(), saxpy),
        *(
            Classic(name, n, *vectors, (sides,), (matrix,), squares, lambda: matrix.T)
            for name in ("transpose_naive", "transpose_tiled", "transpose_padded")
        ),
        *(
            Classic(name, n, (side // 16, side // 16), (16, 16), (sides,), (matrix, other),
                    squares, product, 1e-5)
            for name in ("matmul_naive", "matmul_tiled")
        ),
        Classic("reduce_shared", n, (blocks,), (256,), (count,), (whole,),
                poison(blocks, np.int32), lambda: rows(whole).sum(1, dtype=np.int32)),
        Classic("reduce_shuffle", n, (blocks,), (256,), (count,), (x,),
                poison(blocks, np.float32), lambda: rows(x).sum(1, dtype=np.float64), 1e-6),
        Classic("histogram_global", n, (blocks,), (256,), (count,), (letters,), zeros, counts),
        Classic("histogram_shared", n, (few,), (256,), (count,), (letters,), zeros, counts),
        Classic("scan_block", n, (blocks,), (256,), (count,), (whole,), poison(n, np.int32),
                lambda: rows(whole).cumsum(1, dtype=np.int32)),
        Classic("stencil", n, (tiles, side // 8), (32, 8), (sides,), (matrix,),
                np.zeros(side * side, np.float32), stencil, 1e-6),
        Classic("convolve_constant", n, (blocks,), (256,), (count,), (x,),
                poison(n, np.float32), convolution, 1e-6),
        Classic("dot_double", n, (few,), (256,), (count,),
                (x.astype(np.float64), y.astype(np.float64)), poison(few * 8, np.float64),
                dots, 1e-14),
        Classic("divergent", n, (blocks,), (256,), (count,), (whole,), poison(n, np.int32),
                collatz),
        Classic("gather", n, (blocks,), (256,), (count,), (order, x), poison(n, np.float32),
                lambda: x[order]),
        Classic("relu_vectors", n, (blocks // 4,), (256,), (count,), (x,), poison(n, np.float32),
                lambda: np.maximum(x, 0)),
    )  # fmt: skip


@dataclass(frozen=True)
class Placed:
    """A classic with its arrays on a device."""

    classic: Classic
    inputs: tuple[Any, ...]
    output: Any

    @classmethod
    def on(cls, device: Any, classic: Classic) -> Placed:
        """Fresh arrays."""
        inputs = tuple(device.asarray(array) for array in classic.inputs)
        return cls(classic, inputs, device.asarray(classic.output))

    def call(self, kernels: Program) -> tuple[Any, ...]:
        """What ``device.launch`` and ``device.profile`` take."""
        one = self.classic
        arguments = [*one.numbers, *self.inputs, self.output]
        return kernels[one.name], one.grid, one.block, arguments

    def wrong(self, device: Any) -> str | None:
        """What is wrong with the output of one launch; None when nothing is."""
        got = device.to_host(self.output).reshape(-1).astype(np.float64)
        wanted = np.asarray(self.classic.reference(), dtype=np.float64).reshape(-1)
        bound = self.classic.tolerance * np.abs(wanted).max()
        bad = ~(np.abs(got - wanted) <= bound)  # NaN is wrong
        if not bad.any():
            return None
        where = int(np.flatnonzero(bad)[0])
        return f"{self.classic.name}[{where}] is {got[where]!r}, not {wanted[where]!r}"
