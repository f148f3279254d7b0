"""Top-k by one pass over the data: a pivot from a sample, a filter, a selection (``filter.cu``).

Source: ours. The idea is that of sampled selection (Alabi et al., "Fast k-selection algorithms for
graphics processing units", 2012): a sample says which elements need not be looked at twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any

import numpy as np

from kernels.launches import blocks_for
from kernels.runtime import Device
from kernels.topk.launches import Rows, check, given, kernel_of, zeros

THREADS = 1024  # of a block that selects, as in select.cuh
STATE = 3  # 64-bit words of what is known of a row, as in filter.cu
MOST_ITEMS = 8  # elements a thread of a row that its block holds in registers


@dataclass(frozen=True)
class FilterShape:
    """How rows are sampled, and how the filter goes through them."""

    items: int = 4  # samples a thread of a block that samples
    parts: int = 1  # such blocks a row
    block: int = 512  # threads of a block of the filter
    loads: int = 4  # of 16 bytes in flight, a thread
    blocks_per_sm: int = 16
    margin: float = 6.0  # standard deviations by which the pivot is better safe than sorry

    @property
    def sample(self) -> int:
        """Elements of a row that are sampled."""
        return self.items * THREADS * self.parts

    def grid(self, rows: Rows, sm_count: int) -> tuple[int, int]:
        """Blocks a row, and rows: as many as run at once, or fewer where rows are short."""
        packs = rows.length * rows.dtype.itemsize // 16
        most = max(self.blocks_per_sm * sm_count // rows.count, 1)
        return min(max(blocks_for(packs, self.block * self.loads), 1), most), rows.count

    def room(self, rows: Rows) -> int:
        """Entries of a row that there is room for: eight standard deviations more than aimed at."""
        likely = rows.k * self.sample / rows.length
        wanted = min(
            ceil(likely + self.margin * (sqrt(likely) + 2)), self.sample
        )  # as in filter.cu
        most = 1.125 * wanted + 8 * sqrt(wanted) + 16
        return min(ceil(most * max(rows.length / self.sample, 1.2 * self.parts)), rows.length)


def shape_for(rows: Rows) -> FilterShape:
    """A shape that suits: a larger sample leaves less to select from, and takes longer itself."""
    if rows.length < 1 << 18:
        return FilterShape(items=2 if rows.count > 8 else 4, block=256, loads=1)
    if rows.length < 1 << 24 or rows.count > 8:
        return FilterShape()
    if rows.length < 1 << 26:
        return FilterShape(parts=16)
    return FilterShape(items=8, parts=32, block=1024, blocks_per_sm=1)


def topk_filtered(
    device: Device,
    x: Any,
    values: Any,
    indices: Any,
    *,
    largest: bool = True,
    lengths: Any = None,
    shape: FilterShape | None = None,
) -> None:
    """A pivot from a sample, one pass that keeps what is no worse, and a selection among that.

    The best come in any order. Arguments, results and errors are those of
    :func:`kernels.topk.topk`; ``shape`` says how rows are sampled and read, by default as suits
    them.
    """
    rows = check("topk_filtered", x, values, indices, lengths)
    if not rows.count * rows.k:
        return
    if rows.length <= MOST_ITEMS * THREADS and shape is None:
        items = 1 << (blocks_for(rows.length, THREADS) - 1).bit_length()
        alone = kernel_of(
            "filter", "topk_select", rows, largest, lengths, threads=THREADS, least=1,
            template=str(items), parameters="KEY* values, int* indices, unsigned n, unsigned k",
        )  # fmt: skip
        arguments = (x, *given(lengths), values, indices, rows.length, rows.k)
        device.launch(alone, rows.count, THREADS, arguments)
        return
    chosen = shape or shape_for(rows)
    room = chosen.room(rows)
    pivot = kernel_of(
        "filter", "topk_pivot", rows, largest, lengths, threads=THREADS, least=1,
        template=str(chosen.items),
        parameters="unsigned long long* state, unsigned long long* kept, unsigned n, unsigned k, "
        "unsigned room, float margin",
    )  # fmt: skip
    sift = kernel_of(
        "filter", "topk_filter", rows, largest, lengths, threads=chosen.block, least=1,
        template=f"{chosen.block}, {chosen.loads}",
        parameters="unsigned long long* state, unsigned long long* kept, unsigned n, unsigned room",
    )  # fmt: skip
    finish = kernel_of(
        "filter", "topk_finish", rows, largest, lengths, threads=THREADS, least=1,
        parameters="unsigned long long* state, const unsigned long long* kept, KEY* values, "
        "int* indices, unsigned n, unsigned room, unsigned k",
    )  # fmt: skip
    state = zeros(device, (rows.count, STATE), np.uint64)
    kept = device.empty((rows.count, room), np.uint64)
    device.launch(
        pivot, (chosen.parts, rows.count), THREADS,
        (x, *given(lengths), state, kept, rows.length, rows.k, room, chosen.margin),
    )  # fmt: skip
    device.launch(
        sift, chosen.grid(rows, device.arch.sm_count), chosen.block,
        (x, *given(lengths), state, kept, rows.length, room),
    )  # fmt: skip
    device.launch(
        finish, rows.count, THREADS,
        (x, *given(lengths), state, kept, values, indices, rows.length, room, rows.k),
    )  # fmt: skip
