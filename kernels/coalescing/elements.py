"""Copies by element size, offset and stride (``elements.cu``): what the notebook's sliders move."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernels.coalescing.launches import blocks_for, check_not_negative, check_room, program
from kernels.runtime import Device, KernelFunction

# bytes an element -> what NumPy sees of one: its component's dtype, and how many components
ELEMENTS = {
    1: (np.dtype(np.uint8), 1),
    2: (np.dtype(np.uint16), 1),
    4: (np.dtype(np.float32), 1),
    8: (np.dtype(np.float32), 2),
    16: (np.dtype(np.float32), 4),
}
THREADS = 256


def copy_elements_kernels() -> dict[int, KernelFunction]:
    """Element size in bytes -> kernel ``(in, out, n, offset, stride)``, all compiled at once."""
    return {size: program("elements")[f"copy_elements_{size}"] for size in ELEMENTS}


def copy_elements(
    device: Device,
    x: Any,
    y: Any,
    element_bytes: int,
    offset: int = 0,
    stride: int = 1,
    *,
    threads: int = THREADS,
) -> None:
    """Lane i copies element ``offset + stride * i`` of ``x`` to element i of ``y``.

    ``x``, ``y``: contiguous, on the device, any dtype, a whole number of elements of
    ``element_bytes`` (1, 2, 4, 8 or 16) long and starting at a multiple of it; not overlapping.
    ``offset`` and ``stride`` in elements, not negative. Raises ValueError for another size or an
    ``x`` that is too short, ArgumentError for arrays that do not fit.
    """
    if element_bytes not in ELEMENTS:
        raise ValueError(f"copy_elements: element_bytes is {element_bytes}; 1, 2, 4, 8 or 16")
    dtype, components = ELEMENTS[element_bytes]
    source, target = x.reshape(-1).view(dtype), y.reshape(-1).view(dtype)
    n = target.size // components
    if target.size % components or source.size % components:
        raise ValueError(f"copy_elements: arrays must be whole elements of {element_bytes} bytes")
    check_not_negative("copy_elements", offset=offset, stride=stride)
    needed = (n - 1) * stride + offset + 1 if n else 0
    check_room("copy_elements", f"x (in elements of {element_bytes} bytes)",
               source.size // components, needed)  # fmt: skip
    kernel = program("elements")[f"copy_elements_{element_bytes}"]
    args = (source, target, n, offset, stride)
    device.launch(kernel, blocks_for(n, threads), threads, args)
