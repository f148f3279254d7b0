"""What the kernels compute, in NumPy: an order of all keys, and the first k in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def ordered(keys: Array) -> Array:
    """Numbers (int64) that compare as keys do: NaN above all, -0 equal to 0."""
    if keys.dtype.kind in "iu":
        return keys.astype(np.int64)
    wide = keys.astype(np.float32)  # exact, for 16-bit keys
    bits = (wide + np.float32(0)).view(np.int32).astype(np.int64)  # -0 + 0 is 0
    found = np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)
    return np.where(np.isnan(wide), np.int64(1) << 40, found)


def topk(keys: Array, k: int, *, largest: bool = True) -> Array:
    """Indices of the best k of a row, the best first; of equal keys the lower index first."""
    order = ordered(keys)
    return np.argsort(-order if largest else order, kind="stable")[:k].astype(np.int32)
