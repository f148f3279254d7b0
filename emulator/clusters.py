"""Launches in clusters of blocks: which shapes there are, and which block is where.

(CUDA C++ Programming Guide, "Thread Block Clusters"; PTX ISA, "Cluster Dimension Directives")
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from emulator.errors import LaunchError
from emulator.native.layout import MAX_CLUSTER

if TYPE_CHECKING:
    from emulator.arch import Arch
    from emulator.module import Kernel
    from emulator.report import Dim3

ALONE = (1, 1, 1)
PORTABLE = 8  # blocks that a cluster may have on every chip that has clusters
FIRST_CAPABILITY = (9, 0)
AXES = "xyz"


def grid_in_blocks(kernel: Kernel, grid: Dim3) -> Dim3:
    """A launch's grid in blocks: some kernels are launched by clusters (``.blocksareclusters``)."""
    if not kernel.function.counts_clusters or kernel.required_cluster is None:
        return grid
    x, y, z = (n * wide for n, wide in zip(grid, kernel.required_cluster, strict=True))
    return x, y, z


def cluster_shape(kernel: Kernel, grid: Dim3, cluster: Dim3 | None, arch: Arch) -> Dim3:
    """The cluster of a launch: what was asked for, or what the kernel was compiled for.

    ``grid`` is in blocks.

    Raises :class:`LaunchError` for what no GPU would start.
    """
    required = kernel.required_cluster
    if cluster is None and required is None:
        if kernel.function.explicit_cluster:
            raise LaunchError(
                f"{kernel.name} is compiled to be launched in clusters (.explicitcluster), and the "
                "launch names none: launch it with cluster=(x, y, z)"
            )
        return ALONE
    shape = cluster or required
    assert shape is not None
    if len(shape) != 3:
        raise LaunchError(f"{kernel.name}: cluster {shape} must have three dimensions")
    if required is not None and tuple(shape) != required:
        raise LaunchError(
            f"{kernel.name}: a launch in clusters of {tuple(shape)}; the kernel is compiled for "
            f"clusters of {required} (__cluster_dims__, .reqnctapercluster)"
        )
    if arch.compute_capability < FIRST_CAPABILITY:
        raise LaunchError(f"{kernel.name}: {arch.name} has no clusters; an H100 has")
    for axis, extent, blocks in zip(AXES, shape, grid, strict=True):
        if extent < 1:
            raise LaunchError(f"{kernel.name}: cluster.{axis} is {extent}; it must be at least 1")
        if blocks % extent:
            raise LaunchError(
                f"{kernel.name}: grid.{axis} is {blocks} blocks, no multiple of cluster.{axis}, "
                f"{extent}; a cluster must be whole"
            )
    size = math.prod(shape)
    limit = min(MAX_CLUSTER, kernel.function.max_cluster_rank or MAX_CLUSTER)
    if size > limit:
        why = (
            f"{arch.name} allows {PORTABLE}, or {MAX_CLUSTER} where the size need not be portable"
            if limit == MAX_CLUSTER
            else f"the kernel's .maxclusterrank allows {limit}"
        )
        raise LaunchError(f"{kernel.name}: a cluster of {tuple(shape)} is {size} blocks; {why}")
    return shape[0], shape[1], shape[2]


def blocks_in_order(
    grid: Dim3, cluster: Dim3, clusters: npt.NDArray[np.uint64] | None = None
) -> npt.NDArray[np.uint64]:
    """Linear block indices, cluster after cluster (in the order ``clusters``), by rank in each."""
    counts = [extent // wide for extent, wide in zip(grid, cluster, strict=True)]
    index = np.arange(math.prod(grid), dtype=np.uint64).reshape(
        counts[2], cluster[2], counts[1], cluster[1], counts[0], cluster[0]
    )
    rows = index.transpose(0, 2, 4, 1, 3, 5).reshape(math.prod(counts), math.prod(cluster))
    return np.ascontiguousarray(rows if clusters is None else rows[clusters]).reshape(-1)
