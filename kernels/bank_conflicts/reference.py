"""What the kernels compute, in NumPy."""

from __future__ import annotations

import numpy as np

from kernels.bank_conflicts.column_sums import STRIP
from kernels.bank_conflicts.histogram import BINS
from kernels.bank_conflicts.patterns import LOADS
from kernels.placed import Array


def read_shared(table: Array, places: Array, n: int, width: int, rounds: int) -> Array:
    """What ``n`` threads read, xor-ed; ``width`` / 4 words a thread."""
    elements = table.reshape(-1, width // 4)
    found = np.zeros((len(places), width // 4), dtype=np.uint32)
    for turn in range(rounds):
        for k in range(LOADS):
            found ^= elements[(places ^ turn % 32) + k * (128 // width)]
    return np.resize(found, (n, width // 4)).reshape(-1)


def transpose(x: Array) -> Array:
    """Rows as columns."""
    return x.T.copy()


def column_sums(x: Array) -> Array:
    """Sums of 256 rows at a time, in float64; one strip at least."""
    rows, cols = x.shape
    strips = max(1, -(-rows // STRIP))
    padded = np.zeros((strips * STRIP, cols))
    padded[:rows] = x
    found: Array = padded.reshape(strips, STRIP, cols).sum(axis=1)
    return found


def histogram(x: Array) -> Array:
    """How often each byte occurs."""
    return np.bincount(x, minlength=BINS).astype(np.uint32)
