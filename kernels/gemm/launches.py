"""What the launches of the topic share: its programs, and the checks of its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from kernels.launches import Launch, Step, blocks_for, launch_of, profile, time
from kernels.runtime import Device, KernelFunction, Program, cuda_program
from kernels.runtime.program import DEFAULT_ARCH

__all__ = [
    "Launch",
    "Step",
    "blocks_for",
    "grid_of",
    "instance",
    "launch_of",
    "product_sizes",
    "profile",
    "program",
    "time",
]

MAX_EDGE = (1 << 31) - 1024  # sizes are 32-bit, and a tile may reach past the last row or column
MAX_BLOCKS = (1 << 31) - 1  # along a grid's first axis
MAX_BLOCKS_DOWN = 65_535  # along its second


@dataclass(frozen=True)
class Sizes:
    """C (m, n) is made of A (m, k) and B (k, n)."""

    m: int
    n: int
    k: int

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return 2 * self.m * self.n * self.k


@cache
def program(family: str) -> Program:
    """The compiled program of ``family``.cu in this folder."""
    return cuda_program(source(family))


def source(family: str) -> Path:
    """``family``.cu in this folder."""
    return Path(__file__).with_name(f"{family}.cu")


@cache
def instance(family: str, name: str, kernel: str, arch: str = DEFAULT_ARCH) -> KernelFunction:
    """The kernel ``name``, whose text ``kernel`` calls a template of ``family``.cu."""
    path = source(family)
    text = path.read_text() + "\n" + kernel
    return cuda_program(text, name=path.name, arch=arch, folder=path.parent)[name]


def product_sizes(name: str, a: Any, b: Any, c: Any, *, c_name: str = "c") -> Sizes:
    """Sizes of ``c = a @ b``. Raises ValueError when the three shapes do not fit together."""
    for which, array in (("a", a), ("b", b), (c_name, c)):
        if len(array.shape) != 2:
            raise ValueError(
                f"{name}: {which} must have two axes; its shape is {tuple(array.shape)}"
            )
    (m, k), (inner, n) = ((int(x), int(y)) for x, y in (a.shape, b.shape))
    if inner != k:
        raise ValueError(
            f"{name}: a is {m} x {k} and b {inner} x {n}; b must have as many rows as a has columns"
        )
    check_shape(name, c_name, c, (m, n))
    if max(m, n, k) > MAX_EDGE:
        raise ValueError(f"{name}: sizes are {m}, {n} and {k}; {MAX_EDGE} is the longest edge")
    return Sizes(m, n, k)


def check_shape(name: str, array: str, given: Any, wanted: tuple[int, ...]) -> None:
    """Raise ValueError when an array has another shape than ``wanted``."""
    if tuple(given.shape) != wanted:
        raise ValueError(f"{name}: {array} must have shape {wanted}; it has {tuple(given.shape)}")


def check_dtype(
    name: str, array: str, given: Any, wanted: tuple[npt.DTypeLike, ...]
) -> np.dtype[Any]:
    """The dtype of an array. Raises ValueError when it is none of ``wanted``."""
    dtype: np.dtype[Any] = np.dtype(given.dtype)
    allowed = [np.dtype(one) for one in wanted]
    if dtype not in allowed:
        names = " or ".join(str(one) for one in allowed)
        raise ValueError(f"{name}: {array} must be of {names}; its dtype is {dtype}")
    return dtype


def rows_aligned(device: Device, array: Any) -> bool:
    """Whether every row of a matrix begins at a multiple of 16 bytes."""
    row_bytes = array.shape[1] * np.dtype(array.dtype).itemsize
    return row_bytes % 16 == 0 and device.alignment(array) >= 16


class Shape(Protocol):
    """A tile shape, as far as choosing one goes."""

    @property
    def bm(self) -> int:
        """Rows of C a block."""
        ...

    @property
    def bn(self) -> int:
        """And columns."""
        ...


S = TypeVar("S", bound=Shape)


def first_that_fills(shapes: Sequence[S], sizes: Sizes, sm_count: int) -> S:
    """The first of ``shapes``, large ones before small ones, whose tiles keep most SMs at work.

    A large tile reads least for each multiply-add; but where C has fewer tiles than nine tenths of
    the SMs, a smaller one gives work to more of them.
    """
    for shape in shapes:
        tiles = blocks_for(sizes.m, shape.bm) * blocks_for(sizes.n, shape.bn)
        if 10 * tiles >= 9 * sm_count:
            return shape
    return shapes[-1]


def grid_of(name: str, across: int, down: int) -> tuple[int, int]:
    """A grid of two axes. Raises ValueError for more blocks than it can have."""
    if across > MAX_BLOCKS or down > MAX_BLOCKS_DOWN:
        raise ValueError(
            f"{name}: C takes {across} x {down} blocks; a grid has at most {MAX_BLOCKS} x "
            f"{MAX_BLOCKS_DOWN}. Multiply it in parts"
        )
    return across, down


def tiles_of(name: str, sizes: Sizes, rows: int, cols: int) -> int:
    """Tiles of ``rows`` x ``cols`` that cover C, as a grid of one axis."""
    blocks = blocks_for(sizes.m, rows) * blocks_for(sizes.n, cols)
    if blocks > MAX_BLOCKS:
        raise ValueError(f"{name}: C takes {blocks} blocks; a grid has at most {MAX_BLOCKS}")
    return blocks
