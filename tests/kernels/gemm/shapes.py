"""Small shapes of the templates, which compile and run in less time than the best ones."""

from __future__ import annotations

from kernels.gemm import HgemmTile, HopperTile, SgemmTile

SMALL = {
    "sgemm_double_buffered": SgemmTile(32, 64, 8, 32, 32, 8, 4, 3, group=2),
    "hgemm_mma": HgemmTile(32, 64, 64, 16, 32),
    "hgemm_multistage": HgemmTile(32, 64, 32, 32, 32, 3, 2),
    "hgemm_wgmma": HopperTile(consumers=1, bn=64, stages=2, group=2),
    "hgemm_persistent": HopperTile(consumers=1, bn=64, stages=2, group=2),
    "hgemm_cluster": HopperTile(consumers=1, bn=128, stages=2, cluster=2, group=2),
}
THROUGH_REGISTERS = SgemmTile(32, 32, 8, 32, 16, 4, 4, 2, "REGISTERS", 3, unroll=4)


def options(name: str) -> dict[str, SgemmTile | HgemmTile | HopperTile]:
    """What to give a kernel's function."""
    return {"tile": SMALL[name]} if name in SMALL else {}
