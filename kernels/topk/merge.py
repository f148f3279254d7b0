"""A running top-k, for rows that arrive in pieces (``merge.cu``, ``running.cuh``)."""

from __future__ import annotations

from typing import Any

from kernels.runtime import Device
from kernels.topk.launches import LONGEST, check, given, kernel_of
from kernels.topk.queues import WARPS, check_queue, handed_bytes, registers_for


def topk_merge(
    device: Device,
    running_values: Any,
    running_indices: Any,
    piece: Any,
    offset: int,
    *,
    largest: bool = True,
    lengths: Any = None,
) -> None:
    """Take the next piece of each row into the best k of those before it.

    ``piece`` (rows, n) or (n,): float32, float16, bfloat16, int32 or uint32, elements ``offset`` to
    ``offset`` + n of each row; ``running_values`` (rows, k) or (k,) of its dtype, k up to 1024, and
    ``running_indices`` like it, int32, are read and replaced, the best first, of equal ones those
    with the lowest indices. Before the first piece all indices are -1; and so are those left over
    where fewer than k have come. ``lengths`` (rows,) int32: how much of each row of the piece
    counts. A piece may have fewer than k elements, and pieces may come in any order. -0 comes back
    as 0, and any NaN as one. Raises ValueError for shapes or dtypes that do not fit, a larger k,
    and offsets that int32 indices do not reach; ArgumentError for other arrays.
    """
    rows = check("topk_merge", piece, running_values, running_indices, lengths, piece=True)
    check_queue("topk_merge", rows, "keep fewer")
    if offset < 0 or offset + rows.length > LONGEST:
        raise ValueError(
            f"topk_merge: the piece is elements {offset} to {offset + rows.length} of a row; they "
            f"must be between 0 and {LONGEST}"
        )
    if not rows.count * rows.k * rows.length:
        return
    registers = registers_for(rows.k)
    kernel = kernel_of(
        "merge", "topk_merge", rows, largest, lengths, threads=32 * WARPS,
        template=str(registers),
        parameters="KEY* values, int* indices, unsigned n, unsigned k, unsigned offset",
    )  # fmt: skip
    device.launch(
        kernel, rows.count, 32 * WARPS,
        (piece, *given(lengths), running_values, running_indices, rows.length, rows.k, offset),
        handed_bytes(registers),
    )  # fmt: skip
