"""Every kernel of the topic, for tests and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass

from kernels.launches import Step
from kernels.topk.filtered import topk_filtered
from kernels.topk.queues import MOST_K
from kernels.topk.radix import topk_air, topk_radix8, topk_radix11
from kernels.topk.sort import topk_sort
from kernels.topk.warpselect import topk_block_select, topk_grid_select, topk_warp_select


@dataclass(frozen=True)
class Entry:
    """One step: ``step(device, x, values, indices, *, largest=True, lengths=None)``."""

    step: Step
    file: str  # of its source, in this folder
    buys: str  # what it does otherwise than the one before it
    most_k: int | None = None  # the largest k it takes; None: all elements of a row

    @property
    def name(self) -> str:
        """The step's name, which is its Python function's."""
        return self.step.__name__


ENTRIES: tuple[Entry, ...] = (
    Entry(topk_sort, "sort.cu", "whole rows are sorted"),
    Entry(topk_warp_select, "warpselect.cu", "a warp a row, with queues in registers", MOST_K),
    Entry(topk_block_select, "warpselect.cu", "eight warps a row", MOST_K),
    Entry(topk_grid_select, "warpselect.cu", "many blocks a row; a queue that lanes share", MOST_K),
    Entry(topk_radix8, "radix.cu", "nothing is sorted: the k-th is found digit by digit"),
    Entry(topk_radix11, "radix.cu", "three digits in place of four"),
    Entry(topk_air, "radix.cu", "one launch; few candidates are written down; stops early"),
    Entry(topk_filtered, "filter.cu", "one pass over the data, by a pivot from a sample"),
)
BY_NAME = {entry.name: entry for entry in ENTRIES}
