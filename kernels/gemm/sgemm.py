"""The SGEMM ladder: ``C = alpha A B + beta C`` in float32.

Source: the talk's GEMM chapter (prologue, main loop, epilogue). The steps between are ours; they
follow what has to be read, and from where, for each multiply-add.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kernels.gemm.launches import (
    Sizes,
    blocks_for,
    first_that_fills,
    grid_of,
    instance,
    product_sizes,
    program,
    rows_aligned,
    tiles_of,
)
from kernels.runtime import Device, KernelFunction

SIMPLE_BLOCK = (32, 8)  # threads of the first two steps
TILE = 32  # of sgemm_shared_tile, as in sgemm.cu
REGISTER_TILE = 128  # rows and columns a block, as in sgemm_register_tile.cu
REGISTER_THREADS = 256


@dataclass(frozen=True)
class SgemmTile:
    """The shape of ``sgemm_double_buffered``: what a block, a warp and a thread compute."""

    bm: int = 128  # rows of C a block
    bn: int = 256  # and columns
    bk: int = 8  # of a slice
    wm: int = 64  # rows of C a warp
    wn: int = 64
    tm: int = 8  # rows of C a thread
    tn: int = 16
    stages: int = 4  # slices in shared memory
    copy_a: str = "WORDS"  # A's slice is transposed by 4-byte copies, or on its way in "REGISTERS"
    group: int = 8  # rows of tiles walked through together
    blocks_per_sm: int = 1  # registers are limited so that as many fit
    unroll: int = 0  # steps of a slice whose code is written out; 0: all

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.bm // self.wm * (self.bn // self.wn) * 32

    @property
    def shared_bytes(self) -> int:
        """Dynamic shared memory of a block."""
        return 4 * self.stages * self.bk * (self.bm + 4 + self.bn)

    @property
    def name(self) -> str:
        """The shape in short."""
        return (
            f"{self.bm}x{self.bn}x{self.bk}_{self.wm}x{self.wn}_{self.tm}x{self.tn}_"
            f"{self.stages}_{self.copy_a.lower()}_{self.group}_{self.blocks_per_sm}"
            + (f"_{self.unroll}" if self.unroll else "")
        )

    def kernel(self, wide: bool) -> KernelFunction:
        """The kernel of this shape; ``wide``: with 16-byte accesses to B and C."""
        name = "sgemm_double_buffered"
        numbers = f"{self.bm}, {self.bn}, {self.bk}, {self.wm}, {self.wn}, {self.tm}, {self.tn}"
        steps = self.unroll or self.bk
        quads = "4" if wide else ""
        a_quads = quads if self.copy_a == "REGISTERS" else ""
        text = (
            f'extern "C" __global__ void __launch_bounds__({self.threads}, {self.blocks_per_sm})\n'
            f"{name}(const float{a_quads}* a, const float{quads}* b, float{quads}* c,\n"
            "    int m, int n, int k, float alpha, float beta) {\n"
            f"  sgemm<{numbers}, {self.stages},\n"
            f"        {self.copy_a}, {self.group}, {steps}, {str(wide).lower()}>(\n"
            "      (const float*)a, (const float*)b, (float*)c, m, n, k, alpha, beta);\n}\n"
        )
        return instance(name, name, text)

    def is_wide(self, device: Device, a: Any, b: Any, c: Any) -> bool:
        """Whether all rows begin at multiples of 16 bytes; A's only where it matters."""
        arrays = (b, c) if self.copy_a == "WORDS" else (a, b, c)
        return all(rows_aligned(device, array) for array in arrays)


# The fastest of benchmarks.gemm_search on an H100 at 1024^3 and above: four small blocks an SM hide
# one another's prologue and epilogue.
BEST = SgemmTile(64, 128, 16, 32, 64, 8, 8, 3, blocks_per_sm=4)
# For smaller products a smaller shape, so that there are enough tiles to fill the chip.
SHAPES = (BEST, SgemmTile(64, 64, 16, 64, 32, 8, 8, 4, blocks_per_sm=4))


def best_tile(sizes: Sizes, sm_count: int) -> SgemmTile:
    """The shape that suits: the largest whose tiles leave few SMs without work."""
    return first_that_fills(SHAPES, sizes, sm_count)


def sgemm_naive(
    device: Device, a: Any, b: Any, c: Any, alpha: float = 1.0, beta: float = 0.0
) -> None:
    """``c = alpha * a @ b + beta * c``; a thread an element, lanes along a column of ``c``.

    ``a`` (m, k), ``b`` (k, n), ``c`` (m, n): float32 on the device, row-major, ``c`` overlapping
    neither. Any sizes, 0 included. Where ``beta`` is 0, ``c`` is not read. Raises ValueError for
    shapes that do not fit together, ArgumentError for arrays of another kind.
    """
    sizes = product_sizes("sgemm_naive", a, b, c)
    down, across = blocks_for(sizes.m, SIMPLE_BLOCK[0]), blocks_for(sizes.n, SIMPLE_BLOCK[1])
    grid = grid_of("sgemm_naive", down, across)
    _launch(device, program("sgemm")["sgemm_naive"], grid, SIMPLE_BLOCK, a, b, c, alpha, beta)


def sgemm_coalesced(
    device: Device, a: Any, b: Any, c: Any, alpha: float = 1.0, beta: float = 0.0
) -> None:
    """:func:`sgemm_naive` with lanes along a row of ``c``: 4 sectors a request instead of 32."""
    sizes = product_sizes("sgemm_coalesced", a, b, c)
    across, down = blocks_for(sizes.n, SIMPLE_BLOCK[0]), blocks_for(sizes.m, SIMPLE_BLOCK[1])
    grid = grid_of("sgemm_coalesced", across, down)
    _launch(device, program("sgemm")["sgemm_coalesced"], grid, SIMPLE_BLOCK, a, b, c, alpha, beta)


def sgemm_shared_tile(
    device: Device, a: Any, b: Any, c: Any, alpha: float = 1.0, beta: float = 0.0
) -> None:
    """:func:`sgemm_coalesced` from tiles of 32 x 32 in shared memory."""
    kernel = program("sgemm")["sgemm_shared_tile"]
    _launch_tiles(device, kernel, TILE, (TILE, TILE), a, b, c, alpha, beta)


def sgemm_register_tile(
    device: Device, a: Any, b: Any, c: Any, alpha: float = 1.0, beta: float = 0.0
) -> None:
    """:func:`sgemm_shared_tile` with 8 x 8 sums a thread: 16 reads for 64 multiply-adds."""
    kernel = program("sgemm_register_tile")["sgemm_register_tile"]
    _launch_tiles(device, kernel, REGISTER_TILE, REGISTER_THREADS, a, b, c, alpha, beta)


def sgemm_vectorised(
    device: Device, a: Any, b: Any, c: Any, alpha: float = 1.0, beta: float = 0.0
) -> None:
    """:func:`sgemm_register_tile` with 16 bytes an access, to global and to shared memory.

    Arrays must begin at multiples of 16 bytes (ArgumentError). Rows that do not, where n or k is
    no multiple of 4, are read 4 bytes at a time.
    """
    kernel = program("sgemm_vectorised")["sgemm_vectorised"]
    _launch_tiles(device, kernel, REGISTER_TILE, REGISTER_THREADS, a, b, c, alpha, beta)


def sgemm_warp_tile(
    device: Device, a: Any, b: Any, c: Any, alpha: float = 1.0, beta: float = 0.0
) -> None:
    """:func:`sgemm_vectorised` with a warp's threads as 8 x 4 over 64 x 32 elements of ``c``."""
    kernel = program("sgemm_vectorised")["sgemm_warp_tile"]
    _launch_tiles(device, kernel, REGISTER_TILE, REGISTER_THREADS, a, b, c, alpha, beta)


def sgemm_double_buffered(
    device: Device,
    a: Any,
    b: Any,
    c: Any,
    alpha: float = 1.0,
    beta: float = 0.0,
    *,
    tile: SgemmTile | None = None,
) -> None:
    """:func:`sgemm_warp_tile` fed by ``cp.async`` through a ring of stages.

    Full speed when rows of ``b`` and ``c`` begin at multiples of 16 bytes; otherwise accesses are
    of 4 bytes. ``tile`` is by default one that suits the sizes and the device, of those that a
    search on an H100 found best (``python -m benchmarks.gemm_search``).
    """
    name = "sgemm_double_buffered"
    sizes = product_sizes(name, a, b, c)
    if not sizes.m * sizes.n:
        return
    chosen = tile or best_tile(sizes, device.arch.sm_count)
    kernel = chosen.kernel(chosen.is_wide(device, a, b, c))
    blocks = tiles_of(name, sizes, chosen.bm, chosen.bn)
    _launch(device, kernel, blocks, chosen.threads, a, b, c, alpha, beta, chosen.shared_bytes)


def _launch_tiles(
    device: Device, kernel: KernelFunction, tile: int, block: Any, a: Any, b: Any, c: Any,
    alpha: float, beta: float,
) -> None:  # fmt: skip
    sizes = product_sizes(kernel.name, a, b, c)
    grid = grid_of(kernel.name, blocks_for(sizes.n, tile), blocks_for(sizes.m, tile))
    _launch(device, kernel, grid, block, a, b, c, alpha, beta)


def _launch(
    device: Device, kernel: KernelFunction, grid: Any, block: Any, a: Any, b: Any, c: Any,
    alpha: float, beta: float, shared_bytes: int = 0,
) -> None:  # fmt: skip
    (m, k), n = a.shape, b.shape[1]
    device.launch(kernel, grid, block, (a, b, c, m, n, k, alpha, beta), shared_bytes)
