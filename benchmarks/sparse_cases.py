"""A warpgroup's products with a sparse A: cases of ``wgmma_cases.cu``, and what they should leave.

Where their metadata lies is how documents are read: no H100 has run them yet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.hopper_case import Case, Placed, place_arrays
from benchmarks.matrix_layout import tight, write
from benchmarks.sparse_layout import kept, metadata
from benchmarks.wgmma_cases import (
    BITS,
    NUMPY,
    SOURCE,
    Rng,
    fragments,
    patterns,
    registers_of,
    whole,
)

COLUMNS = 64


@dataclass(frozen=True)
class SparseProduct:
    """One product: its types, how B lies, and from where A and its metadata come."""

    kernel: str
    d: str
    a: str
    b: str
    selector: int = 0
    a_in_registers: bool = False
    b_along_k: bool = True

    def place(self, device: Any, rng: Rng) -> Placed:
        """Arguments, and the exact result."""
        depth = 512 // BITS[self.a]
        a_layout, end = tight(32, True, 0, 64, 32)
        b_layout, end = tight(128, self.b_along_k, -(-end // 1024) * 1024, COLUMNS, 64)
        warps = [kept(rng, self.a, depth) for _ in range(4)]
        held = whole(rng, (64, depth // 2)).astype(NUMPY[self.a])
        dense = np.zeros((64, depth))
        dense[np.concatenate([mask for mask, _ in warps])] = held.astype(np.float64).reshape(-1)
        b, c = whole(rng, (depth, COLUMNS)), whole(rng, (64, COLUMNS))
        memory = np.full(-(-end // 16) * 16, 0xA5, np.uint8)
        write(memory, patterns(b.T, self.b), BITS[self.b], b_layout)
        first: Any = fragments(held, self.a)
        if not self.a_in_registers:
            write(memory, patterns(held, self.a), BITS[self.a], a_layout)
            first = np.uint64(a_layout.descriptor)
        told = np.concatenate([metadata(codes, self.a, self.selector) for _, codes in warps])
        return place_arrays(
            device, memory.view(np.uint32), np.int32(memory.size), first,
            np.uint64(b_layout.descriptor), np.int32(1), told,
            outputs=[registers_of(c.astype(NUMPY[self.d]))],
            expected=[registers_of((dense @ b + c).astype(NUMPY[self.d]))],
        )  # fmt: skip

    def case(self, name: str) -> Case:
        """The case of that name."""
        return Case(f"sparse wgmma {name}", SOURCE, f"k_{self.kernel}", (1,), (128,), self.place,
                    shared_bytes=12288)  # fmt: skip


_HALVES = SparseProduct("sparse_f16", "f32", "f16", "f16")

CASES: tuple[Case, ...] = (
    _HALVES.case("f16"),
    replace(_HALVES, kernel="sparse_f16_other", selector=1).case("f16, metadata in other lanes"),
    replace(_HALVES, kernel="sparse_f16_kn", b_along_k=False).case("f16, B along N"),
    replace(_HALVES, kernel="sparse_f16_registers", a_in_registers=True).case(
        "f16 from registers"),
    SparseProduct("sparse_s8", "s32", "s8", "s8").case("s8"),
    SparseProduct("sparse_s8_registers", "s32", "s8", "s8", a_in_registers=True).case(
        "s8 from registers"),
)  # fmt: skip
