"""Which lane touches what: the patterns that every small kernel is recorded with.

A pattern gives 32 element numbers, -1 for a lane that keeps out. Fixed ones are what courses teach
(rows, strides, broadcasts, conflicts); random ones are drawn from a seed that the case names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.access_kernels import Access, accesses

LANES = 32
WARPS_TOGETHER = 24  # of the one launch whose warps all differ
BLOCK_TOGETHER = 96

Lanes = npt.NDArray[np.int64]
lane = np.arange(LANES)

FIXED: dict[str, Callable[[], Lanes]] = {
    "row": lambda: lane,
    "reversed": lambda: LANES - 1 - lane,
    "shifted by one": lambda: lane + 1,
    "broadcast": lambda: np.full(LANES, 7),
    "pairs": lambda: lane // 2,
    "stride 2": lambda: 2 * lane,
    "stride 3": lambda: 3 * lane,
    "stride 8": lambda: 8 * lane,
    "stride 32": lambda: 32 * lane,
    "stride 33": lambda: 33 * lane,
    "halves alike": lambda: lane % 16,
    "quarters alike": lambda: lane % 8,
    "halves a bank apart": lambda: lane % 16 + 128 * (lane // 16),
    "quarters apart": lambda: lane % 8 * 4 + 64 * (lane // 8),
    "swizzled": lambda: lane ^ (lane >> 2),
    "one lane": lambda: np.where(lane == 13, 5, -1),
    "first five": lambda: np.where(lane < 5, lane, -1),
    "even lanes": lambda: np.where(lane % 2 == 0, lane, -1),
    "upper half": lambda: np.where(lane >= 16, lane, -1),
    "two lanes far apart": lambda: np.where(lane == 3, 0, np.where(lane == 28, 64, -1)),
}
RANDOM = ("anywhere", "near", "few rows", "few columns", "some lanes", "few lanes")
FEW = ("row", "stride 2", "stride 33", "pairs", "even lanes", "first five")


@dataclass(frozen=True)
class Case:
    """One launch: a kernel, a pattern, and the seed of a random one."""

    kernel: str
    pattern: str
    seed: int = 0


def cases() -> tuple[Case, ...]:
    """All launches, in order."""
    found = []
    for access in accesses():
        deep = access.operation in ("ld", "st") and access.space in ("shared", "global")
        for name in FIXED:
            if name in FEW or (deep and access.space == "shared"):
                found.append(Case(access.name, name))
        for number, name in enumerate(RANDOM):
            for again in range(2 if deep and access.space == "shared" else 1):
                found.append(Case(access.name, name, 1 + number + 10 * again))
        found.append(Case(access.name, "all together", 99))
    return tuple(found)


def offsets(access: Access, case: Case) -> npt.NDArray[np.int32]:
    """Byte offsets by thread, -1 for one that keeps out: one warp's, or those of many."""
    if case.pattern == "all together":
        rng = np.random.default_rng(case.seed)
        warps = [_random(access, RANDOM[w % len(RANDOM)], rng) for w in range(WARPS_TOGETHER)]
        elements = np.concatenate(warps)
    elif case.pattern in FIXED:
        elements = FIXED[case.pattern]()
    else:
        elements = _random(access, case.pattern, np.random.default_rng(case.seed))
    if access.operation in ("ldmatrix", "stmatrix"):
        elements = np.abs(elements)  # every lane takes part
    count = access.extent // access.nbytes
    return np.where(elements < 0, -1, elements % count * access.nbytes).astype(np.int32)


def _random(access: Access, name: str, rng: np.random.Generator) -> Lanes:
    count = access.extent // access.nbytes
    a_row = max(128 // access.nbytes, 1)
    anywhere = rng.integers(0, count, LANES)
    if name == "near":
        return rng.integers(0, 2 * LANES, LANES)
    if name == "few rows":
        return rng.integers(0, 3, LANES) * a_row + rng.integers(0, a_row, LANES)
    if name == "few columns":
        return rng.integers(0, count // a_row, LANES) * a_row + rng.integers(0, 4, LANES) % a_row
    if name == "some lanes":
        return np.where(rng.random(LANES) < 0.5, anywhere, -1)
    if name == "few lanes":
        return np.where(rng.random(LANES) < 0.12, rng.integers(0, LANES, LANES), -1)
    return anywhere


def together(case: Case) -> tuple[int, int]:
    """Blocks and threads a block of a launch."""
    if case.pattern != "all together":
        return 1, LANES
    return WARPS_TOGETHER * LANES // BLOCK_TOGETHER, BLOCK_TOGETHER


def data(access: Access) -> npt.NDArray[np.uint8]:
    """What global memory holds before the launch: the same for every case, no NaN as a float."""
    words = np.arange(max(access.extent, 1 << 13) // 4, dtype=np.uint32)
    return ((words * np.uint32(2654435761)) & np.uint32(0x3BFF3BFF)).view(np.uint8)


def out_words(access: Access, case: Case) -> int:
    """32-bit words of ``out``."""
    blocks, threads = together(case)
    return max(blocks * access.extent // 4, blocks * threads * 8, blocks * (1 << 13) // 4)
