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
from kernels.runtime import Device, KernelFunction
from kernels.topk.launches import FOUND, Rows, check, instance

THREADS = 1024  # of a block that selects, as in select.cuh
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
    """The best k of each row, in any order; of equal ones those with the lowest indices.

    ``x`` (rows, n) or (n,): float32, float16, bfloat16, int32 or uint32; ``values`` (rows, k) or
    (k,) of its dtype; ``indices`` like ``values``, int32; on the device, row-major, outputs
    overlapping no other. ``lengths`` (rows,) int32: how much of each row counts, by default all of
    it; where that is less than k, what is left over has index -1. NaN is larger than all numbers,
    -0 equals 0. Raises ValueError for shapes or dtypes that do not fit, ArgumentError for other
    arrays.
    """
    rows = check("topk_filtered", x, values, indices, lengths)
    if not rows.count * rows.k:
        return
    given = () if lengths is None else (lengths,)
    if rows.length <= MOST_ITEMS * THREADS and shape is None:
        items = 1 << (blocks_for(rows.length, THREADS) - 1).bit_length()
        kernel = _kernel("topk_select", rows, largest, lengths, FilterShape(items=items))
        arguments = (x, *given, values, indices, rows.length, rows.k)
        device.launch(kernel, rows.count, THREADS, arguments)
        return
    chosen = shape or shape_for(rows)
    room = chosen.room(rows)
    found = device.asarray(np.zeros((rows.count, FOUND), np.uint64))
    kept = device.empty((rows.count, room), np.uint64)
    device.launch(
        _kernel("topk_pivot", rows, largest, lengths, chosen), (chosen.parts, rows.count), THREADS,
        (x, *given, found, kept, rows.length, rows.k, room, chosen.margin),
    )  # fmt: skip
    device.launch(
        _kernel("topk_filter", rows, largest, lengths, chosen),
        chosen.grid(rows, device.arch.sm_count), chosen.block,
        (x, *given, found, kept, rows.length, room),
    )  # fmt: skip
    device.launch(
        _kernel("topk_finish", rows, largest, lengths, chosen), rows.count, THREADS,
        (x, *given, found, kept, values, indices, rows.length, room, rows.k),
    )  # fmt: skip


def _kernel(
    name: str, rows: Rows, largest: bool, lengths: Any, shape: FilterShape
) -> KernelFunction:
    """An instance for rows like these."""
    key, order = rows.key, str(largest).lower()
    given, passed = ("const int* lengths, ", "lengths") if lengths is not None else ("", "nullptr")
    found, cast = "unsigned long long* found, ", "reinterpret_cast<Found*>(found)"
    kept = "unsigned long long* kept, "
    threads, parameters, call = {
        "topk_pivot": (
            THREADS,
            f"{found}{kept}unsigned n, unsigned k, unsigned room, float margin",
            f"topk_pivot<{order}, {shape.items}>(keys, {passed}, {cast}, kept, n, k, room, margin)",
        ),
        "topk_filter": (
            shape.block,
            f"{found}{kept}unsigned n, unsigned room",
            f"topk_filter<{order}, {shape.block}, {shape.loads}>"
            f"(keys, {passed}, {cast}, kept, n, room)",
        ),
        "topk_finish": (
            THREADS,
            f"{found}const {kept}{key}* values, int* indices, unsigned n, unsigned room, "
            "unsigned k",
            f"topk_finish<{order}>(keys, {passed}, {cast}, kept, values, indices, n, room, k)",
        ),
        "topk_select": (
            THREADS,
            f"{key}* values, int* indices, unsigned n, unsigned k",
            f"topk_select<{order}, {shape.items}>(keys, {passed}, values, indices, n, k)",
        ),
    }[name]
    text = (
        f'extern "C" __global__ void __launch_bounds__({threads}, 1)\n'
        f"{name}(const {key}* keys, {given}{parameters}) {{\n  {call};\n}}\n"
    )
    return instance("filter", name, text)
