"""Sparse matrices as ``mma.sp`` takes them: what rows keep, and the metadata that says so.

``wgmma.mma_async.sp`` is taken to want the same of each warp's 16 rows. (PTX ISA, "Sparse matrix
storage", "Asynchronous warpgroup-level multiply-and-accumulate instructions: sparse")
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
WIDTHS = {"tf32": 2, "s4": 8, "u4": 8}  # elements of which half are kept; 4 of the other types
NARROW = ("e4m3", "e5m2", "s8", "u8", "s4", "u4")


def kept(random: np.random.Generator, kind: str, k: int) -> tuple[Array, Array]:
    """A random pattern: which elements of 16 x k are kept, and each chunk's four bits."""
    width = WIDTHS.get(kind, 4)
    mask = np.zeros((16, k), dtype=bool)
    codes = np.zeros((16, k // width), dtype=np.uint64)
    for row in range(16):
        for chunk in range(k // width):
            if width == 2:
                place = random.integers(2)
                mask[row, 2 * chunk + place] = True
                codes[row, chunk] = (0b0100, 0b1110)[place]
                continue
            first, second = sorted(random.choice(4, 2, replace=False))
            size = width // 4
            for place in (first, second):
                mask[row, width * chunk + size * place : width * chunk + size * (place + 1)] = True
            codes[row, chunk] = first | second << 2
    return mask, codes


def metadata(codes: Array, kind: str, selector: int) -> Array:
    """The metadata register over the warp; lanes that the selector leaves out hold garbage.

    ISA, "Sparse matrix storage": which lanes of four contribute. Within them: one lane has rows g
    (low half) and g + 8; of a pair, for 16-bit types and tf32, the second lane has the second half
    of the columns, for narrower types row g + 8; of four lanes, 0 and 2 have row g, 1 and 3 row
    g + 8, the latter two the second half of the columns.
    """
    rows = [sum(int(code) << 4 * i for i, code in enumerate(line)) for line in codes]
    register = np.full(32, 0xDEADBEEF, dtype=np.uint32)
    bits_a_row = 4 * codes.shape[1]
    for group in range(8):
        low, high = rows[group], rows[group + 8]
        if kind not in NARROW:
            for part in range(bits_a_row // 16):
                lane = 4 * group + selector * (bits_a_row // 16) + part
                halves = low >> 16 * part & 0xFFFF, high >> 16 * part & 0xFFFF
                register[lane] = halves[0] | halves[1] << 16
        elif bits_a_row == 32:
            register[4 * group + 2 * selector : 4 * group + 2 * selector + 2] = low, high
        else:
            mask = 0xFFFFFFFF
            register[4 * group : 4 * group + 4] = low & mask, high & mask, low >> 32, high >> 32
    return register
