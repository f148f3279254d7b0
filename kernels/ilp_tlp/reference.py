"""What the kernels compute, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.ilp_tlp.ffma import OPERAND_CHAINS, WEIGHTS, steps

Array = npt.NDArray[Any]


def copy(x: Array, n: int) -> Array:
    """The first ``n`` elements."""
    return x[:n].copy()


def ffma_chains(factors: Array, blocks: int, warps: int, chains: int, rounds: int) -> Array:
    """The sum of every thread's chains; exact where float32 holds all that comes up."""
    a, b = (float(factor) for factor in factors)
    x = _first(warps, chains)
    for _ in range(steps(chains) * rounds):
        x = x * a + b
    return np.tile(x.sum(axis=1).astype(np.float32), blocks)


def ffma_operands(weights: Array, blocks: int, warps: int, rounds: int) -> Array:
    """The same, with the lane's weights added in turn."""
    x = _first(warps, OPERAND_CHAINS)
    column = np.tile(weights.astype(np.float64), warps)[:, :, None]  # (16, threads, 1)
    a = np.where(column[0] < 0, -1.0, 1.0)
    for step in range(WEIGHTS * rounds):
        x = x * a + column[step % WEIGHTS]
    return np.tile(x.sum(axis=1).astype(np.float32), blocks)


def polynomial(x: Array, coefficients: Array, n: int, rounds: int) -> Array:
    """The polynomial of the polynomial, ``rounds`` times, in float64."""
    at: Array = x[:n].astype(np.float64)
    for _ in range(rounds):
        at = np.polynomial.polynomial.polyval(at, coefficients.astype(np.float64))
    return at


def latency_ffma(factors: Array, steps: int) -> Array:
    """The last x of one chain."""
    a, b, x = (float(factor) for factor in factors)
    for _ in range(steps):
        x = x * a + b
    return np.array([x], dtype=np.float32)


def walk(links: Array, start: int, hops: int) -> Array:
    """Where a walk ends."""
    at = start
    for _ in range(hops):
        at = int(links[at])
    return np.array([at], dtype=np.int32)


def _first(warps: int, chains: int) -> Array:
    return (np.arange(32 * warps)[:, None] + np.arange(chains)[None, :]).astype(np.float64)
