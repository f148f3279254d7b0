"""Candidates for a faster HGEMM on Hopper: instances of the templates of ``gemm_variants.cu``.

What each is tried for is said where it is listed, in ``gemm_fastest.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from kernels.gemm import launches
from kernels.gemm.hopper import ARCH, FOLDER, OUT_BOX
from kernels.runtime import KernelFunction, cuda_program

SOURCE = Path(__file__).with_name("gemm_variants.cu")
BK = 64  # of a slice
HINTS = ("NONE", "FIRST_OUT", "LAST_OUT")


@dataclass(frozen=True)
class Variant:
    """One instance of ``hgemm_variant``."""

    bn: int = 256  # columns of D a block
    consumers: int = 2  # warpgroups that multiply
    high: int = 1  # times 64 rows of D, of each
    stages: int = 4  # of the ring
    deep: int = 1  # slices a stage
    down: int = 2  # blocks of a cluster below one another, which share columns of B
    across: int = 1  # blocks beside one another, which share rows of A
    group: int = 8  # rows of clusters' tiles walked through together
    snake: bool = False  # every other group from right to left
    back: bool = False  # every other tile from the end of k to its beginning
    lag: int = 0  # stages that the second consumer stays behind
    pingpong: bool = False  # a tile a consumer, in turns
    eager: bool = False  # a stage is waited for and released at once
    boxes: int = 2  # of D, of a warp
    hint_a: str = "NONE"
    hint_b: str = "NONE"
    hint_d: str = "NONE"
    sms: int = 0  # blocks that stay, at most; 0: as many as there are SMs

    @property
    def bm(self) -> int:
        """Rows of D a tile."""
        return 64 * self.high * (1 if self.pingpong else self.consumers)

    @property
    def cluster(self) -> int:
        """Blocks that share."""
        return self.down * self.across

    @property
    def threads(self) -> int:
        """Threads of a block, the producer's among them."""
        return 128 * (self.consumers + 1)

    @property
    def shared_bytes(self) -> int:
        """Dynamic shared memory of a block: the ring, boxes of D, two barriers a stage."""
        ring = self.stages * (self.deep * 2 * BK * (self.bm + self.bn) + 16)
        return ring + 4 * self.consumers * self.boxes * OUT_BOX[0] * OUT_BOX[1]

    @property
    def name(self) -> str:
        """The shape, and what is otherwise than usual."""
        usual, said = Variant(), f"{self.bm}x{self.bn} {self.down}x{self.across}"
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name not in ("bn", "down", "across") and value != getattr(usual, one.name):
                said += f" {one.name}" if value is True else f" {one.name}={value}"
        return said

    @property
    def source(self) -> str:
        """The kernel's text."""
        numbers = (
            self.bn, self.consumers, self.high, self.stages, self.deep, self.down, self.across,
            self.group, int(self.snake), int(self.back), self.lag, int(self.pingpong),
            int(self.eager), self.boxes, self.hint_a, self.hint_b, self.hint_d,
        )  # fmt: skip
        return kernel_source("hgemm_variant", self.cluster, self.threads, numbers)

    def kernel(self) -> KernelFunction:
        """The compiled kernel."""
        return program(self.source)["variant"]

    def blocks(self, m: int, n: int, sm_count: int) -> int:
        """Blocks that share out the tiles of D."""
        tiles = -(-m // (self.down * self.bm)) * -(-n // (self.across * self.bn))
        return self.cluster * min(tiles, (self.sms or sm_count) // self.cluster)

    def launch(self, device: Any, a: Any, b: Any, d: Any) -> tuple[Any, ...]:
        """What ``device.launch`` takes for ``d = a @ b``, all float16."""
        (m, k), n = a.shape, b.shape[1]
        whole = self.bn // 64 % self.down == 0
        maps = tensor_maps(
            device, (a, self.bm // self.across), (b, BK if whole else BK // self.down), d
        )
        blocks = self.blocks(m, n, device.arch.sm_count)
        return self.kernel(), blocks, self.threads, (*maps, m, n, k), self.shared_bytes


@dataclass(frozen=True)
class Split:
    """One instance of ``hgemm_split``: the blocks of a cluster share out k."""

    bn: int = 128  # columns of D a cluster
    consumers: int = 2  # warpgroups that multiply, 64 rows of D each
    stages: int = 4  # slices in shared memory
    split: int = 2  # blocks of a cluster
    group: int = 8  # rows of tiles walked through together

    @property
    def bm(self) -> int:
        """Rows of D a cluster."""
        return 64 * self.consumers

    @property
    def threads(self) -> int:
        """Threads of a block, the producer's among them."""
        return 128 * (self.consumers + 1)

    @property
    def shared_bytes(self) -> int:
        """Dynamic shared memory of a block: the ring, boxes of D, two barriers a stage."""
        boxes = 4 * self.consumers * (self.bn // self.split // 64) * OUT_BOX[0] * OUT_BOX[1]
        return self.stages * (2 * BK * (self.bm + self.bn) + 16) + boxes

    @property
    def name(self) -> str:
        """The shape in short."""
        return f"{self.bm}x{self.bn} k/{self.split} stages={self.stages}"

    @property
    def source(self) -> str:
        """The kernel's text."""
        numbers = (self.bn, self.consumers, self.stages, self.split, self.group)
        return kernel_source("hgemm_split", self.split, self.threads, numbers)

    def kernel(self) -> KernelFunction:
        """The compiled kernel."""
        return program(self.source)["variant"]

    def launch(self, device: Any, a: Any, b: Any, d: Any) -> tuple[Any, ...]:
        """What ``device.launch`` takes for ``d = a @ b``, all float16."""
        (m, k), n = a.shape, b.shape[1]
        maps = tensor_maps(device, (a, self.bm), (b, BK), d)
        blocks = self.split * -(-m // self.bm) * -(-n // self.bn)
        return self.kernel(), blocks, self.threads, (*maps, m, n, k), self.shared_bytes


def tensor_maps(device: Any, a: tuple[Any, int], b: tuple[Any, int], d: Any) -> tuple[Any, ...]:
    """Maps of A and B, each with the rows of its boxes, and of D."""
    return (
        device.tensor_map(a[0], (a[1], BK), swizzle="128B"),
        device.tensor_map(b[0], (b[1], 64), swizzle="128B"),
        device.tensor_map(d, (OUT_BOX[0], 64), swizzle="128B"),
    )


def kernel_source(template: str, cluster: int, threads: int, numbers: tuple[Any, ...]) -> str:
    """The text of a kernel that calls a template."""
    together = f"__cluster_dims__({cluster}, 1, 1) " if cluster > 1 else ""
    return (
        f'extern "C" __global__ void {together}__launch_bounds__({threads}, 1)\n'
        "variant(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,\n"
        "    const __grid_constant__ TensorMap d, int m, int n, int k) {\n"
        f"  {template}<__half, {', '.join(map(str, numbers))}>(a, b, d, m, n, k);\n}}\n"
    )


@cache
def program(source: str) -> Any:
    """The templates with one instance of them."""
    texts = [launches.source("hgemm_wgmma").read_text(), SOURCE.read_text(), source]
    return cuda_program("\n".join(texts), name=SOURCE.name, arch=ARCH, folder=FOLDER)
