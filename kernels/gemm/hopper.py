"""HGEMM by Hopper's own instructions: ``D = epilogue(A B)``, sums in float32.

Source: the talk's GEMM chapter; the instructions are the PTX ISA's (cp.async.bulk.tensor, mbarrier,
wgmma), the roles of the warpgroups are CUTLASS's warp-specialised kernels'. Needs sm_90a.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

from kernels.gemm.hgemm import Epilogue, check_operands, hgemm_multistage, is_wide, optional
from kernels.gemm.launches import (
    Sizes,
    blocks_for,
    first_that_fills,
    instance,
    product_sizes,
    tiles_of,
)
from kernels.runtime import Device, KernelFunction

ARCH = "sm_90a"
FOLDER = Path(__file__).parent  # of hopper.cuh
BK = 64  # of a slice, as in hgemm_wgmma.cu
OUT_BOX = (16, 128)  # rows, and bytes of each, that a warp stores together
OUT_BOXES = 2  # of a warp


@dataclass(frozen=True)
class HopperTile:
    """The shape of ``hgemm_wgmma.cu``: what a block computes, and how many share B's columns."""

    consumers: int = 2  # warpgroups that multiply, 64 rows of D each
    bn: int = 256  # columns of D a block
    stages: int = 4  # slices in shared memory
    cluster: int = 1  # blocks below one another that share columns of B
    group: int = 8  # rows of clusters' tiles walked through together

    blocks_per_sm = 1

    @property
    def bm(self) -> int:
        """Rows of D a block."""
        return 64 * self.consumers

    @property
    def threads(self) -> int:
        """Threads of a block: consumers, and the warpgroup that asks for tiles."""
        return 128 * (self.consumers + 1)

    @property
    def shared_bytes(self) -> int:
        """Dynamic shared memory of a block: stages, boxes of D, two barriers a stage."""
        boxes = 4 * self.consumers * OUT_BOXES * OUT_BOX[0] * OUT_BOX[1]
        return self.stages * (2 * BK * (self.bm + self.bn) + 16) + boxes

    @property
    def name(self) -> str:
        """The shape in short."""
        return f"{self.bm}x{self.bn}x{BK}_{self.stages}_{self.cluster}_{self.group}"

    def kernel(self, element: str, out: str, epilogue: Epilogue) -> KernelFunction:
        """The kernel of this shape."""
        shape = (self.bn, self.consumers, self.stages, self.cluster, self.group, epilogue.bits)
        together = f"__cluster_dims__({self.cluster}, 1, 1) " if self.cluster > 1 else ""
        text = (
            f'extern "C" __global__ void {together}__launch_bounds__({self.threads}, 1)\n'
            "hgemm_wgmma(const __grid_constant__ TensorMap a,\n"
            "    const __grid_constant__ TensorMap b, const __grid_constant__ TensorMap d,\n"
            f"    {epilogue.declared(out)}int m, int n, int k) {{\n"
            f"  hgemm<{element}, {out}, {', '.join(map(str, shape))}>(\n"
            f"      a, b, d, {epilogue.passed(out)}, m, n, k);\n}}\n"
        )
        return instance("hgemm_wgmma", "hgemm_wgmma", text, arch=ARCH)


# The fastest on an H100 of a search over shapes: from 4096^3 on, below, and where 128 x 256 has too
# few tiles to go round.
LARGE = HopperTile(cluster=2)
SINGLE = HopperTile()
SMALL = HopperTile(consumers=1, bn=128, stages=6)
SHAPES = (LARGE, SMALL)


class Extras(TypedDict, total=False):
    """What :func:`kernels.gemm.hgemm_mma` does to a sum when it is asked to."""

    bias: Any
    gelu: bool
    residual: Any


def hgemm_wgmma(
    device: Device, a: Any, b: Any, d: Any, *, tile: HopperTile = SINGLE, **extras: Unpack[Extras]
) -> None:
    """:func:`kernels.gemm.hgemm_mma` by TMA and ``wgmma``, a tile a block.

    Arguments are the same, ``bias``, ``gelu`` and ``residual`` among them. Where TMA cannot go,
    which is where rows do not begin at multiples of 16 bytes or k is 0, this is
    :func:`kernels.gemm.hgemm_multistage`. Raises what that raises.
    """
    _launch("hgemm_wgmma", device, a, b, d, tile, persistent=False, **extras)


def hgemm_persistent(
    device: Device, a: Any, b: Any, d: Any, *, tile: HopperTile = SINGLE, **extras: Unpack[Extras]
) -> None:
    """:func:`hgemm_wgmma` with a block an SM that stays: it stores one tile and loads the next."""
    _launch("hgemm_persistent", device, a, b, d, tile, persistent=True, **extras)


def hgemm_cluster(
    device: Device,
    a: Any,
    b: Any,
    d: Any,
    *,
    tile: HopperTile | None = None,
    **extras: Unpack[Extras],
) -> None:
    """:func:`hgemm_persistent` whose blocks share columns of B in pairs, by multicast.

    ``tile`` is by default one that suits the sizes and the device.
    """
    if tile is None:
        sizes = product_sizes("hgemm_cluster", a, b, d, c_name="d")
        tile = best_tile(sizes, device.arch.sm_count)
    _launch("hgemm_cluster", device, a, b, d, tile, persistent=True, **extras)


def best_tile(sizes: Sizes, sm_count: int) -> HopperTile:
    """The shape that suits: large where its tiles keep most SMs at work.

    With one tile a block there is no next one to load meanwhile, and meeting costs a cluster more
    than sharing saves.
    """
    shape = first_that_fills(SHAPES, sizes, sm_count)
    tiles = blocks_for(sizes.m, shape.bm) * blocks_for(sizes.n, shape.bn)
    return replace(shape, cluster=1) if tiles <= sm_count else shape


def _launch(
    name: str,
    device: Device,
    a: Any,
    b: Any,
    d: Any,
    tile: HopperTile,
    *,
    persistent: bool,
    bias: Any = None,
    gelu: bool = False,
    residual: Any = None,
) -> None:
    sizes, element, out = check_operands(name, a, b, d, bias, residual)
    if not sizes.k or not is_wide(device, a, b, d, bias, residual):
        hgemm_multistage(device, a, b, d, bias=bias, gelu=gelu, residual=residual)
        return
    if not sizes.m * sizes.n:
        return
    kernel = tile.kernel(element, out, Epilogue(bias is not None, gelu, residual is not None))
    clusters = tiles_of(name, sizes, tile.cluster * tile.bm, tile.bn)
    if persistent:
        clusters = min(clusters, device.arch.sm_count // tile.cluster)
    columns = OUT_BOX[1] // d.dtype.itemsize
    maps = (
        device.tensor_map(a, (tile.bm, BK), swizzle="128B"),
        device.tensor_map(b, (BK, 64), swizzle="128B"),
        device.tensor_map(d, (OUT_BOX[0], columns), swizzle="128B"),
    )
    arguments = (*maps, *optional(bias, residual), sizes.m, sizes.n, sizes.k)
    device.launch(kernel, clusters * tile.cluster, tile.threads, arguments, tile.shared_bytes)
