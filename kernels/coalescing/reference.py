"""What the kernels compute, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.coalescing.structures import FIELDS

Array = npt.NDArray[Any]


def copy(x: Array, n: int) -> Array:
    """The first ``n`` elements."""
    return x[:n].copy()


def copy_offset(x: Array, n: int, offset: int) -> Array:
    """``n`` elements from ``offset`` on."""
    return x[offset : offset + n].copy()


def copy_stride(x: Array, n: int, stride: int) -> Array:
    """``n`` elements, ``stride`` apart."""
    return _every(x, n, 0, stride)


def copy_elements(x: Array, n: int, element_bytes: int, offset: int, stride: int) -> Array:
    """``n`` elements of ``element_bytes``, ``stride`` apart from ``offset`` on; (bytes,) uint8."""
    elements = x.view(np.uint8).reshape(-1, element_bytes)
    return _every(elements, n, offset, stride).reshape(-1)


def energy(particles: Array) -> Array:
    """Kinetic energies of (n, 8) particles, in float64."""
    field = dict(zip(FIELDS, particles.astype(np.float64).T, strict=True))
    speed_squared = field["vx"] ** 2 + field["vy"] ** 2 + field["vz"] ** 2
    found: Array = 0.5 * field["mass"] * speed_squared
    return found


def _every(x: Array, n: int, offset: int, stride: int) -> Array:
    if stride == 0 or n == 0:
        found: Array = x[np.full(n, offset)]
        return found
    return x[offset : offset + (n - 1) * stride + 1 : stride].copy()
