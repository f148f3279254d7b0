"""Top-k by whichever step was fastest on an H100 for rows like these."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from math import log2
from pathlib import Path
from typing import Any

from kernels.runtime import Device
from kernels.topk.catalogue import BY_NAME, Entry
from kernels.topk.launches import Rows, check
from kernels.topk.sort import sort_found
from kernels.topk.whole import topk_whole

TABLE = Path(__file__).with_name("fastest.json")


@dataclass(frozen=True)
class Fastest:
    """One line of the table: the step that took least for so many rows of n floats and k."""

    rows: int
    n: int
    k: int
    step: str

    def far_from(self, rows: Rows) -> float:
        """How far from other rows, in powers of two along each axis."""
        pairs = ((self.rows, rows.count), (self.n, rows.length), (self.k, rows.k))
        return sum((log2(max(mine, 1)) - log2(max(theirs, 1))) ** 2 for mine, theirs in pairs)


@cache
def table() -> tuple[Fastest, ...]:
    """What ``python -m benchmarks.topk_fastest`` made of the recorded times."""
    return tuple(Fastest(**line) for line in json.loads(TABLE.read_text())["fastest"])


def fastest(rows: Rows) -> Entry:
    """The step that was fastest at the nearest recorded point of those it can do."""
    able = [
        line for line in table() if (most := BY_NAME[line.step].most_k) is None or rows.k <= most
    ]
    return BY_NAME[min(able, key=lambda line: line.far_from(rows)).step]


def topk(
    device: Device,
    x: Any,
    values: Any,
    indices: Any,
    *,
    largest: bool = True,
    lengths: Any = None,
    sorted: bool = False,
) -> None:
    """The best k of each row; of equal ones those with the lowest indices.

    They are in any order, or with ``sorted`` the best first and of equal ones the lower index
    first. ``x`` (rows, n) or (n,): float32, float16, bfloat16, int32 or uint32; ``values`` (rows,
    k) or (k,) of its dtype; ``indices`` like ``values``, int32; on the device, row-major, outputs
    overlapping no other. ``lengths`` (rows,) int32: how much of each row counts, by default all of
    it; where that is less than k, what is left over has index -1. NaN is larger than all numbers,
    -0 equals 0. Raises ValueError for shapes or dtypes that do not fit, ArgumentError for other
    arrays.

    The table is of float32; other dtypes take the same steps. Where all elements are wanted there
    is nothing to select, and they are copied.
    """
    rows = check("topk", x, values, indices, lengths)
    step = topk_whole if rows.k == rows.length else fastest(rows).step
    step(device, x, values, indices, largest=largest, lengths=lengths)
    if sorted:
        sort_found(device, x, values, indices, largest=largest)
