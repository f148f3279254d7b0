"""What the kernels compute, in NumPy and float64; and how far a sum in float32 may be off."""

from __future__ import annotations

from math import erf
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

UNIT = 2.0**-24  # the largest relative error of one rounding to float32
TENSOR_UNIT = 2.0**-23  # of one addition on the tensor cores, which cut off rather than round
# Of one rounding to an output's dtype, and of one to its smallest numbers, absolute.
ROUNDING = {
    np.dtype(np.float32): (UNIT, 2.0**-150),
    np.dtype(np.float16): (2.0**-11, 2.0**-25),
    np.dtype(ml_dtypes.bfloat16): (2.0**-8, 2.0**-134),
}


def sgemm(a: Array, b: Array, c: Array, alpha: float = 1.0, beta: float = 0.0) -> Array:
    """``alpha * a @ b + beta * c`` in float64; ``c`` is not looked at where ``beta`` is 0."""
    product: Array = float(np.float32(alpha)) * (a.astype(np.float64) @ b.astype(np.float64))
    if beta != 0.0:
        product += float(np.float32(beta)) * c.astype(np.float64)
    return product


def sgemm_tolerance(a: Array, b: Array, c: Array, alpha: float = 1.0, beta: float = 0.0) -> Array:
    """Largest absolute error of :func:`sgemm` in float32, whatever the order of summation.

    k products and sums round once each, alpha, beta and the last sum once more; an error is at most
    that many times :data:`UNIT` of what would be if no term had a sign.
    """
    magnitude: Array = abs(alpha) * (np.abs(a.astype(np.float64)) @ np.abs(b.astype(np.float64)))
    if beta != 0.0:
        magnitude = magnitude + abs(beta) * np.abs(c.astype(np.float64))
    magnitude *= (a.shape[1] + 3) * UNIT
    magnitude += 2.0**-126
    return magnitude


def gelu(x: Array) -> Array:
    """``0.5 x (1 + erf(x / sqrt 2))``."""
    found: Array = 0.5 * x * (1.0 + np.vectorize(erf, otypes=[np.float64])(x / np.sqrt(2.0)))
    return found


def hgemm(
    a: Array, b: Array, bias: Array | None = None, use_gelu: bool = False,
    residual: Array | None = None,
) -> Array:  # fmt: skip
    """``gelu(a @ b + bias) + residual`` in float64."""
    found: Array = a.astype(np.float64) @ b.astype(np.float64)
    if bias is not None:
        found = found + bias.astype(np.float64)
    if use_gelu:
        found = gelu(found)
    if residual is not None:
        found += residual.astype(np.float64)
    return found


def hgemm_tolerance(
    a: Array, b: Array, expected: Array, dtype: np.dtype[Any], bias: Array | None = None,
    residual: Array | None = None,
) -> Array:  # fmt: skip
    """Largest absolute error of :func:`hgemm`, summed in float32 on the tensor cores.

    Products of 16-bit floats are exact. GELU, whose slope is below 1.13, is computed with an error
    of a few units of its argument.
    """
    magnitude: Array = np.abs(a.astype(np.float64)) @ np.abs(b.astype(np.float64))
    for extra in (bias, residual):
        if extra is not None:
            magnitude = magnitude + np.abs(extra.astype(np.float64))
    relative, smallest = ROUNDING[np.dtype(dtype)]
    sums: Array = 1.13 * (a.shape[1] + 8) * TENSOR_UNIT * magnitude
    sums += relative * (np.abs(expected) + sums) + smallest
    return sums
