"""What WarpSelect and radix select do with real keys, step by step and counted, in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.topk.reference import ordered

Array = npt.NDArray[Any]
LANES = 32


def uniform(n: int, rng: np.random.Generator) -> Array:
    """Anything from 0 to 1."""
    return rng.random(n, dtype=np.float32)


def normal(n: int, rng: np.random.Generator) -> Array:
    """Round 0; the largest are few."""
    return rng.standard_normal(n, dtype=np.float32)


def adversarial(n: int, rng: np.random.Generator) -> Array:
    """All but the low 12 bits equal: numbers just above 1."""
    low = rng.integers(0, 1 << 12, n, dtype=np.uint32)
    return (low + np.uint32(0x3F800000)).view(np.float32)


def rising(n: int, rng: np.random.Generator) -> Array:
    """Each key is better than all before."""
    return np.sort(uniform(n, rng))


def falling(n: int, rng: np.random.Generator) -> Array:
    """No key is better than any before."""
    return rising(n, rng)[::-1].copy()


Keys = Callable[[int, np.random.Generator], Array]
DISTRIBUTIONS: dict[str, Keys] = {
    "uniform": uniform,
    "normal": normal,
    "adversarial": adversarial,
}
ORDERS: dict[str, Keys] = {**DISTRIBUTIONS, "rising": rising, "falling": falling}


@dataclass(frozen=True)
class QueueStep:
    """A warp after one more key a lane. Keys are named by their rank: 0 is the best of all."""

    arrived: tuple[int, ...]  # a lane each
    passed: tuple[bool, ...]  # better than the worst of the warp queue
    queues: tuple[tuple[int, ...], ...]  # of the threads, before they are merged
    merged: bool
    kept: tuple[int, ...]  # the warp queue, after the merge if there is one, the best first
    inserted: int  # keys that went into a thread queue, so far
    merges: int  # so far


def warp_select(keys: Array, length: int) -> list[QueueStep]:
    """Every step of a warp that keeps the 32 largest of ``keys`` with thread queues of ``length``.

    ``keys`` (32 * steps,). A key that is better than the worst that is kept goes into its thread's
    queue; when one of the queues is full, all are sorted and merged into the warp queue. So are
    those that are left in the end. Source: Johnson, Douze, Jégou, "Billion-scale similarity search
    with GPUs" (2017), section 4.
    """
    rank = np.empty(keys.size, np.int64)
    rank[np.argsort(-ordered(keys), kind="stable")] = np.arange(keys.size)
    kept: list[int] = []
    queues: list[list[int]] = [[] for _ in range(LANES)]
    steps: list[QueueStep] = []
    inserted = merges = 0
    pieces = rank.reshape(-1, LANES).tolist()
    for number, piece in enumerate(pieces):
        worst = kept[-1] if len(kept) == LANES else keys.size
        passed = tuple(one < worst for one in piece)
        for queue, one, passes in zip(queues, piece, passed, strict=True):
            if passes:
                queue.append(one)
        inserted += sum(passed)
        before = tuple(tuple(queue) for queue in queues)
        full = any(len(queue) == length for queue in queues)
        last = number == len(pieces) - 1 and any(queues)
        if full or last:
            kept = sorted([*kept, *(one for queue in queues for one in queue)])[:LANES]
            queues = [[] for _ in range(LANES)]
            merges += 1
        steps.append(
            QueueStep(tuple(piece), passed, before, full or last, tuple(kept), inserted, merges)
        )
    return steps


def likely_insertions(n: int) -> float:
    """How many of n keys in random order are among the best 32 of those up to them."""
    if n <= LANES:
        return float(n)
    return LANES * (1 + float(np.log(n / LANES)))


@dataclass(frozen=True)
class RadixPass:
    """One pass of radix select for the k-th largest."""

    shift: int  # of the digit
    bits: int
    candidates: int  # keys that begin with the prefix, which are counted
    counts: Array  # of each digit among them
    digit: int  # that the k-th has
    above: int  # candidates with a higher digit: all of them are among the best
    wanted: int  # of the digit's candidates, how many are among the best
    together: float  # of a warp of candidates, how many add to the commonest digit's counter

    @property
    def left(self) -> int:
        """Candidates of the next pass."""
        return int(self.counts[self.digit])

    @property
    def in_use(self) -> int:
        """Digits that occur."""
        return int((self.counts > 0).sum())

    @property
    def done(self) -> bool:
        """Whether all that are left are among the best: nothing is left to decide."""
        return self.left == self.wanted


def bits_of(keys: Array) -> Array:
    """uint32 that compare as float32 keys do."""
    return (ordered(keys) + (1 << 31)).astype(np.uint32)


def radix_select(keys: Array, k: int, bits: int, *, early: bool = True) -> list[RadixPass]:
    """Every pass for the k-th largest of float32 ``keys``, with digits of ``bits``.

    ``early``: end as soon as all that are left are among the best.
    """
    candidates = bits_of(keys)
    passes: list[RadixPass] = []
    done = 0
    while done < 32:
        width = min(bits, 32 - done)
        shift = 32 - done - width
        digits = (candidates >> np.uint32(shift) & np.uint32((1 << width) - 1)).astype(np.int64)
        counts = np.bincount(digits, minlength=1 << width)
        above = counts[::-1].cumsum()[::-1] - counts
        digit = int(np.flatnonzero((above < k) & (k <= above + counts))[0])
        k -= int(above[digit])
        passes.append(
            RadixPass(shift, width, candidates.size, counts, digit, int(above[digit]), k,
                      together(digits))
        )  # fmt: skip
        candidates = candidates[digits == digit]
        done += width
        if early and passes[-1].done:
            break
    return passes


def together(digits: Array) -> float:
    """Of each 32 neighbours, how many have the commonest digit; the mean."""
    if digits.size < LANES:
        return float(np.bincount(digits).max()) if digits.size else 0.0
    warps = digits[: digits.size // LANES * LANES].reshape(-1, LANES)
    ordered_digits = np.sort(warps, axis=1)
    longest = np.ones(len(warps), np.int64)
    for length in range(2, LANES + 1):
        run = ordered_digits[:, length - 1 :] == ordered_digits[:, : LANES - length + 1]
        longest[run.any(axis=1)] = length
    return float(longest.mean())
