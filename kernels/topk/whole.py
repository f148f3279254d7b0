"""All of each row, which takes no selection (``whole.cu``)."""

from __future__ import annotations

from typing import Any

from kernels.launches import blocks_for
from kernels.runtime import Device
from kernels.topk.launches import check, given, kernel_of

BLOCK = 256
LOADS = 4  # on their way, a thread, as in whole.cu
MOST_BLOCKS = 65_535  # along a grid's second axis


def topk_whole(
    device: Device, x: Any, values: Any, indices: Any, *, largest: bool = True, lengths: Any = None
) -> None:
    """All elements of each row, where k is their number: a copy.

    Arguments, results and errors are those of :func:`kernels.topk.topk`; raises ValueError for a
    smaller k too. Elements stay where they are, whatever ``largest`` says.
    """
    rows = check("topk_whole", x, values, indices, lengths)
    if rows.k != rows.length:
        raise ValueError(
            f"topk_whole: k is {rows.k}, but a row has {rows.length} elements, all of which it "
            "takes; use topk"
        )
    if not rows.count * rows.k:
        return
    kernel = kernel_of(
        "whole", "topk_whole", rows, True, lengths, threads=BLOCK,
        parameters="KEY* values, int* indices, unsigned n",
    )  # fmt: skip
    blocks = min(blocks_for(rows.length, BLOCK * LOADS), MOST_BLOCKS)
    device.launch(
        kernel, (rows.count, blocks), BLOCK, (x, *given(lengths), values, indices, rows.length)
    )
