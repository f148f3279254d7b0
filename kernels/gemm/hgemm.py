"""HGEMM on the tensor cores by ``mma.sync``: ``D = epilogue(A B)``, sums in float32.

Source: the talk's GEMM chapter; the instructions' layouts are the PTX ISA's (mma.m16n8k16,
ldmatrix).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from kernels.gemm.launches import (
    Sizes,
    blocks_for,
    check_dtype,
    check_shape,
    first_that_fills,
    grid_of,
    instance,
    product_sizes,
    rows_aligned,
    tiles_of,
)
from kernels.runtime import Device, KernelFunction

ELEMENTS = {np.dtype(np.float16): "__half", np.dtype(ml_dtypes.bfloat16): "__nv_bfloat16"}
OUTPUTS = {**ELEMENTS, np.dtype(np.float32): "float"}


@dataclass(frozen=True)
class Epilogue:
    """What is done to a sum before it is stored, in this order."""

    bias: bool = False  # + the bias of its column
    gelu: bool = False
    residual: bool = False  # + an element of a matrix like D

    @property
    def bits(self) -> int:
        """As in the sources."""
        return self.bias + 2 * self.gelu + 4 * self.residual

    @property
    def name(self) -> str:
        """What is done, "plain" for nothing."""
        chosen = [name for name in ("bias", "gelu", "residual") if getattr(self, name)]
        return ", ".join(chosen) or "plain"

    def declared(self, out: str) -> str:
        """The parameters of a kernel that it takes; ``out`` is the type of D's elements."""
        bias = "const float* bias, " if self.bias else ""
        return bias + (f"const {out}* residual, " if self.residual else "")

    def passed(self, out: str) -> str:
        """The arguments of a template, which always takes both."""
        bias = "bias" if self.bias else "(const float*)0"
        return f"{bias}, {'residual' if self.residual else f'(const {out}*)0'}"


EPILOGUES = tuple(
    Epilogue(bool(bits & 1), bool(bits & 2), bool(bits & 4)) for bits in range(8)
)  # all of them


@dataclass(frozen=True)
class HgemmTile:
    """The shape of an HGEMM: what a block and a warp compute."""

    bm: int = 128  # rows of D a block
    bn: int = 128  # and columns
    bk: int = 64  # of a slice
    wm: int = 64  # rows of D a warp
    wn: int = 32
    stages: int = 1  # slices in shared memory
    group: int = 8  # rows of tiles walked through together
    blocks_per_sm: int = 1  # registers are limited so that as many fit

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.bm // self.wm * (self.bn // self.wn) * 32

    @property
    def shared_bytes(self) -> int:
        """Shared memory of a block."""
        return 2 * self.stages * self.bk * (self.bm + self.bn)

    @property
    def name(self) -> str:
        """The shape in short."""
        return (
            f"{self.bm}x{self.bn}x{self.bk}_{self.wm}x{self.wn}_{self.stages}_{self.group}_"
            f"{self.blocks_per_sm}"
        )

    def kernel(
        self, family: str, element: str, out: str, epilogue: Epilogue, wide: bool
    ) -> KernelFunction:
        """The kernel of this shape; ``wide``: rows of all arrays begin at multiples of 16 bytes."""
        numbers = [self.bm, self.bn, self.bk, self.wm, self.wn]
        if family == "hgemm_multistage":
            numbers += [self.stages, self.group]
        shape = ", ".join(str(number) for number in numbers)
        text = (
            f'extern "C" __global__ void __launch_bounds__({self.threads}, {self.blocks_per_sm})\n'
            f"{family}(const {element}* a, const {element}* b, {out}* d, {epilogue.declared(out)}\n"
            "    int m, int n, int k) {\n"
            f"  hgemm<{element}, {out}, {shape}, {epilogue.bits}, {str(wide).lower()}>(\n"
            f"      a, b, d, {epilogue.passed(out)}, m, n, k);\n}}\n"
        )
        return instance(family, family, text)


SIMPLE = HgemmTile()
# The fastest of benchmarks.gemm_search on an H100 at 2048^3 and above.
BEST = HgemmTile(128, 256, 64, 64, 64, 4, 8)
# For smaller products smaller shapes, so that there are enough tiles to fill the chip.
SHAPES = (BEST, HgemmTile(128, 128, 64, 64, 32, 3, 8), HgemmTile(64, 64, 64, 32, 32, 4, 8, 3))


def hgemm_mma(
    device: Device,
    a: Any,
    b: Any,
    d: Any,
    *,
    bias: Any = None,
    gelu: bool = False,
    residual: Any = None,
    tile: HgemmTile = SIMPLE,
) -> None:
    """``d = gelu(a @ b + bias) + residual``, by ``mma.sync`` from a swizzled tile.

    ``a`` (m, k), ``b`` (k, n): float16 or bfloat16, both the same; ``d`` (m, n): that, or float32;
    row-major, on the device, ``d`` overlapping no other. ``bias`` (n,) float32 and ``residual``
    (m, n), of ``d``'s dtype, are added where they are given; ``gelu`` applies 0.5 x (1 + erf(x /
    sqrt 2)) in float32. Any sizes, 0 included; full speed when all rows begin at multiples of 16
    bytes. Raises ValueError for shapes or dtypes that do not fit, ArgumentError for other arrays.
    """
    epilogue = Epilogue(bias is not None, gelu, residual is not None)
    sizes, element, out = check_operands("hgemm_mma", a, b, d, bias, residual)
    if not sizes.m * sizes.n:
        return
    wide = is_wide(device, a, b, d, bias, residual)
    kernel = tile.kernel("hgemm_mma", element, out, epilogue, wide)
    grid = grid_of("hgemm_mma", blocks_for(sizes.n, tile.bn), blocks_for(sizes.m, tile.bm))
    device.launch(kernel, grid, tile.threads, _arguments(sizes, a, b, d, bias, residual))


def hgemm_multistage(
    device: Device,
    a: Any,
    b: Any,
    d: Any,
    *,
    bias: Any = None,
    gelu: bool = False,
    residual: Any = None,
    tile: HgemmTile | None = None,
) -> None:
    """:func:`hgemm_mma` fed by ``cp.async`` through a ring of stages.

    ``tile`` is by default one that suits the sizes and the device.
    """
    name = "hgemm_multistage"
    epilogue = Epilogue(bias is not None, gelu, residual is not None)
    sizes, element, out = check_operands(name, a, b, d, bias, residual)
    if not sizes.m * sizes.n:
        return
    chosen = tile or best_tile(sizes, device.arch.sm_count)
    wide = is_wide(device, a, b, d, bias, residual)
    kernel = chosen.kernel(name, element, out, epilogue, wide)
    blocks = tiles_of(name, sizes, chosen.bm, chosen.bn)
    arguments = _arguments(sizes, a, b, d, bias, residual)
    device.launch(kernel, blocks, chosen.threads, arguments, chosen.shared_bytes)


def best_tile(sizes: Sizes, sm_count: int) -> HgemmTile:
    """The shape that suits: the largest whose tiles leave few SMs without work."""
    return first_that_fills(SHAPES, sizes, sm_count)


def is_wide(device: Device, a: Any, b: Any, d: Any, bias: Any, residual: Any) -> bool:
    """Whether all rows begin at multiples of 16 bytes."""
    vector = bias is None or device.alignment(bias) >= 16
    matrices = [array for array in (a, b, d, residual) if array is not None]
    return vector and all(rows_aligned(device, array) for array in matrices)


def check_operands(
    name: str, a: Any, b: Any, d: Any, bias: Any, residual: Any
) -> tuple[Sizes, str, str]:
    """Sizes, and the element types as the sources have them.

    Raises ValueError for shapes or dtypes that do not fit.
    """
    sizes = product_sizes(name, a, b, d, c_name="d")
    element = check_dtype(name, "a", a, tuple(ELEMENTS))
    check_dtype(name, "b", b, (element,))
    out = check_dtype(name, "d", d, (element, np.dtype(np.float32)))
    if bias is not None:
        check_shape(name, "bias", bias, (sizes.n,))
    if residual is not None:
        check_shape(name, "residual", residual, (sizes.m, sizes.n))
    return sizes, ELEMENTS[element], OUTPUTS[out]


def _arguments(sizes: Sizes, a: Any, b: Any, d: Any, bias: Any, residual: Any) -> tuple[Any, ...]:
    return (a, b, d, *optional(bias, residual), sizes.m, sizes.n, sizes.k)


def optional(*arrays: Any) -> tuple[Any, ...]:
    """Those that are there."""
    return tuple(array for array in arrays if array is not None)
