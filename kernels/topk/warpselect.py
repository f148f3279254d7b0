"""Queues of the best so far, in registers: WarpSelect, BlockSelect, GridSelect (``warpselect.cu``).

Source: Johnson, Douze and Jégou, "Billion-scale similarity search with GPUs", 2017 (WarpSelect and
BlockSelect, of Faiss); Zhang, Naruse, Li and Wang, "Parallel Top-K Algorithms on GPU: A
Comprehensive Study and New Methods", SC 2023 (GridSelect).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kernels.launches import blocks_for
from kernels.runtime import Device
from kernels.topk.launches import Rows, check, given, kernel_of
from kernels.topk.queues import WARPS, check_queue, handed_bytes, registers_for

ROWS = 4  # of a block of warp_select
LOADS = 8  # on their way, a lane, as in warpselect.cu
BLOCKS_PER_SM = 2  # of grid_select


def topk_warp_select(
    device: Device, x: Any, values: Any, indices: Any, *, largest: bool = True, lengths: Any = None
) -> None:
    """WarpSelect: a warp a row, with a queue of the best k and a short one a lane before it.

    The best come first; k is 1024 at most, and ValueError is raised for a larger one. For the rest,
    arguments, results and errors are those of :func:`kernels.topk.topk`.
    """
    rows = _check("topk_warp_select", x, values, indices, lengths)
    if not rows.count * rows.k:
        return
    n = registers_for(rows.k)
    kernel = kernel_of(
        "warpselect", "topk_warp_select", rows, largest, lengths, threads=32 * ROWS,
        template=f"{n}, {_thread_queue(n)}",
        parameters="KEY* values, int* indices, unsigned n, unsigned k, unsigned rows",
    )  # fmt: skip
    device.launch(
        kernel, blocks_for(rows.count, ROWS), 32 * ROWS,
        (x, *given(lengths), values, indices, rows.length, rows.k, rows.count),
    )  # fmt: skip


def topk_block_select(
    device: Device, x: Any, values: Any, indices: Any, *, largest: bool = True, lengths: Any = None
) -> None:
    """BlockSelect: eight warps a row, whose queues are merged at the end.

    Arguments, results and errors are those of :func:`topk_warp_select`.
    """
    rows = _check("topk_block_select", x, values, indices, lengths)
    if not rows.count * rows.k:
        return
    n = registers_for(rows.k)
    kernel = kernel_of(
        "warpselect", "topk_block_select", rows, largest, lengths, threads=32 * WARPS,
        template=f"{n}, {_thread_queue(n)}",
        parameters="KEY* values, int* indices, unsigned n, unsigned k",
    )  # fmt: skip
    device.launch(
        kernel, rows.count, 32 * WARPS,
        (x, *given(lengths), values, indices, rows.length, rows.k), handed_bytes(n),
    )  # fmt: skip


def topk_grid_select(
    device: Device, x: Any, values: Any, indices: Any, *, largest: bool = True, lengths: Any = None
) -> None:
    """GridSelect: many blocks a row, and one queue of candidates a warp; a second launch merges.

    Arguments, results and errors are those of :func:`topk_warp_select`.
    """
    rows = _check("topk_grid_select", x, values, indices, lengths)
    if not rows.count * rows.k:
        return
    n = registers_for(rows.k)
    most = max(BLOCKS_PER_SM * device.arch.sm_count // rows.count, 1)
    blocks = min(blocks_for(rows.length, 32 * WARPS * LOADS), most)
    kept = device.empty((rows.count, blocks, 32 * n), np.uint64)
    select = kernel_of(
        "warpselect", "topk_grid_select", rows, largest, lengths, threads=32 * WARPS,
        template=str(n), parameters="unsigned long long* kept, unsigned n, unsigned k",
    )  # fmt: skip
    merge = kernel_of(
        "warpselect", "topk_grid_merge", rows, largest, lengths, threads=32 * WARPS,
        template=str(n),
        parameters="const unsigned long long* kept, KEY* values, int* indices, unsigned n, "
        "unsigned k, unsigned lists",
    )  # fmt: skip
    device.launch(
        select, (rows.count, blocks), 32 * WARPS, (x, *given(lengths), kept, rows.length, rows.k),
        32 * WARPS * 8 + handed_bytes(n),
    )  # fmt: skip
    device.launch(
        merge, rows.count, 32 * WARPS,
        (x, *given(lengths), kept, values, indices, rows.length, rows.k, blocks), handed_bytes(n),
    )  # fmt: skip


def _check(name: str, x: Any, values: Any, indices: Any, lengths: Any) -> Rows:
    rows = check(name, x, values, indices, lengths)
    check_queue(name, rows, "use topk_air or topk_filtered")
    return rows


def _thread_queue(registers: int) -> int:
    """Entries of a lane's own queue: the longer the other, the dearer a merge."""
    return min(registers, 2 if registers <= 2 else 4 if registers <= 8 else 8)
