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
from kernels.topk.launches import ENTRY, Rows, check, instance

THREADS = 1024  # of a block that selects, as in select.cuh
ALONE = 1 << 15  # elements of a row up to which its block needs no filter


@dataclass(frozen=True)
class FilterShape:
    """How the filter goes through rows."""

    block: int = 512
    loads: int = 4  # of 16 bytes in flight, a thread
    blocks_per_sm: int = 4
    sample: int = 16384

    def grid(self, rows: Rows, sm_count: int) -> tuple[int, int]:
        """Blocks a row, and rows: as many as run at once, or fewer where rows are short."""
        packs = rows.length * rows.dtype.itemsize // 16
        most = max(self.blocks_per_sm * sm_count // rows.count, 1)
        return min(max(blocks_for(packs, self.block * self.loads), 1), most), rows.count


LONG = FilterShape()
SHORT = FilterShape(sample=4096)


def room_for(k: int, length: int, sample: int) -> int:
    """Entries that the filter may keep of a row: eight standard deviations more than it should."""
    likely = k * sample / length
    wanted = min(ceil(likely + 6 * sqrt(likely)) + 12, sample)  # as in filter.cu
    return min(ceil((wanted + 8 * sqrt(wanted) + 16) * length / sample), length)


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
    if rows.length <= ALONE and shape is None:
        kernel = _kernel("topk_select", rows, largest, lengths, LONG)
        arguments = (x, *given, values, indices, rows.length, rows.k)
        device.launch(kernel, rows.count, THREADS, arguments)
        return
    chosen = shape or (LONG if rows.length >= 1 << 22 else SHORT)
    room = room_for(rows.k, rows.length, chosen.sample)
    found = device.empty((rows.count, 3), np.uint64)
    kept = device.empty((rows.count, room), np.uint64)
    device.launch(
        _kernel("topk_pivot", rows, largest, lengths, chosen), rows.count, THREADS,
        (x, *given, found, rows.length, rows.k), ENTRY * chosen.sample,
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
    threads, parameters, call = {
        "topk_pivot": (
            THREADS,
            f"{found}unsigned n, unsigned k",
            f"topk_pivot<{order}, {shape.sample}>(keys, {passed}, {cast}, n, k)",
        ),
        "topk_filter": (
            shape.block,
            f"{found}unsigned long long* kept, unsigned n, unsigned room",
            f"topk_filter<{order}, {shape.block}, {shape.loads}>"
            f"(keys, {passed}, {cast}, kept, n, room)",
        ),
        "topk_finish": (
            THREADS,
            f"{found}const unsigned long long* kept, {key}* values, int* indices, unsigned n, "
            "unsigned room, unsigned k",
            f"topk_finish<{order}, true>"
            f"(keys, {passed}, {cast}, kept, values, indices, n, room, k)",
        ),
        "topk_select": (
            THREADS,
            f"{key}* values, int* indices, unsigned n, unsigned k",
            f"topk_finish<{order}, false>"
            f"(keys, {passed}, (const Found*)nullptr, (const Entry*)nullptr, values, indices, n, "
            "0, k)",
        ),
    }[name]
    text = (
        f'extern "C" __global__ void __launch_bounds__({threads})\n'
        f"{name}(const {key}* keys, {given}{parameters}) {{\n  {call};\n}}\n"
    )
    return instance("filter", name, text)
