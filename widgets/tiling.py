"""How a product is cut into tiles, and what that makes threads read: counted, not estimated.

Bytes are those that threads ask for, as ``smsp__sass_data_bytes_mem_*_op_ld`` counts them: a float
that 32 lanes of a warp read is 32 floats.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

from kernels.gemm import Sizes
from kernels.gemm.sgemm import REGISTER_THREADS, REGISTER_TILE, SIMPLE_BLOCK, TILE

FLOAT = 4  # bytes


@dataclass(frozen=True)
class Tiling:
    """What a block and a thread compute, and how much of k is in shared memory at a time."""

    name: str
    bm: int  # rows of C a block
    bn: int  # and columns
    bk: int  # of k, a step
    threads: int
    shared: bool = True  # whether slices of A and B go through shared memory

    @property
    def sums(self) -> int:
        """Elements of C a thread."""
        return self.bm * self.bn // self.threads

    @property
    def edge(self) -> int:
        """Rows, and columns, of C a thread: its sums lie in a square."""
        return isqrt(self.sums)

    @property
    def shared_bytes(self) -> int:
        """A slice of A's and one of B's."""
        return FLOAT * self.bk * (self.bm + self.bn) if self.shared else 0

    def grid(self, sizes: Sizes) -> tuple[int, int]:
        """Blocks down and across C."""
        return -(-sizes.m // self.bm), -(-sizes.n // self.bn)

    def steps(self, sizes: Sizes) -> int:
        """Steps along k."""
        return -(-sizes.k // self.bk)


NAIVE = Tiling("sgemm_naive", *SIMPLE_BLOCK, 1, SIMPLE_BLOCK[0] * SIMPLE_BLOCK[1], shared=False)
SHARED = Tiling("sgemm_shared_tile", TILE, TILE, TILE, TILE * TILE)
REGISTER = Tiling("sgemm_register_tile", REGISTER_TILE, REGISTER_TILE, 8, REGISTER_THREADS)
TILINGS = {one.name: one for one in (NAIVE, SHARED, REGISTER)}


@dataclass(frozen=True)
class Counts:
    """What has been read and computed."""

    from_global: int = 0  # bytes
    from_shared: int = 0
    multiply_adds: int = 0  # executed, those beyond an edge included

    @property
    def flops(self) -> int:
        """A multiply-add is two."""
        return 2 * self.multiply_adds

    @property
    def flops_a_global_byte(self) -> float:
        """How often a byte that came from global memory is used."""
        return self.flops / self.from_global if self.from_global else 0.0

    @property
    def flops_a_shared_byte(self) -> float:
        """The same of shared memory; 0 where nothing is read from there."""
        return self.flops / self.from_shared if self.from_shared else 0.0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.from_global + other.from_global,
            self.from_shared + other.from_shared,
            self.multiply_adds + other.multiply_adds,
        )


def step_counts(tiling: Tiling, sizes: Sizes, down: int, across: int, step: int) -> Counts:
    """One step of block (``down``, ``across``)."""
    rows = min(tiling.bm, sizes.m - down * tiling.bm)
    cols = min(tiling.bn, sizes.n - across * tiling.bn)
    depth = min(tiling.bk, sizes.k - step * tiling.bk)
    if not tiling.shared:
        return Counts(2 * FLOAT * rows * cols * depth, 0, rows * cols * depth)
    # Beyond an edge there are zeros in shared memory, multiplied like all others.
    done = tiling.bm * tiling.bn * tiling.bk
    return Counts(FLOAT * depth * (rows + cols), 2 * FLOAT * done // tiling.edge, done)


def block_counts(tiling: Tiling, sizes: Sizes, down: int, across: int, steps: int) -> Counts:
    """The first ``steps`` steps of a block."""
    return sum((step_counts(tiling, sizes, down, across, s) for s in range(steps)), Counts())


def product_counts(tiling: Tiling, sizes: Sizes) -> Counts:
    """The whole product."""
    high, wide = tiling.grid(sizes)
    total = Counts()
    for down in {0, high - 1}:
        for across in {0, wide - 1}:
            alike = (high - 1 if down == 0 and high > 1 else 1) * (
                wide - 1 if across == 0 and wide > 1 else 1
            )
            one = block_counts(tiling, sizes, down, across, tiling.steps(sizes))
            total += Counts(*(alike * x for x in (one.from_global, one.from_shared,
                                                  one.multiply_adds)))  # fmt: skip
    return total


def once(sizes: Sizes) -> Counts:
    """What a product cannot do without: A and B read once."""
    read = FLOAT * sizes.k * (sizes.m + sizes.n)
    return Counts(read, 0, sizes.m * sizes.n * sizes.k)
