"""Reads of shared memory at 4, 8 and 16 bytes a lane, at any places (``patterns.cu``).

Source: the talk's pictures of one warp over 32 banks: without conflict, 2-way conflict, broadcast.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.bank_conflicts.launches import blocks_for, check_shape, program
from kernels.runtime import Device, KernelFunction

PLACES = 1024  # elements that a lane may be given; as in patterns.cu
LOADS = 8  # a round
LANES = 32
WIDTHS = (4, 8, 16)  # bytes a lane
THREADS = 256


def table_elements(width: int) -> int:
    """Elements of ``width`` bytes that the kernel's table holds."""
    return PLACES + (LOADS - 1) * (128 // width)


def read_shared_kernels() -> dict[int, KernelFunction]:
    """Bytes a lane -> kernel ``(table, places, out, n, rounds)``, all compiled at once."""
    return {width: program("patterns")[f"read_shared_{width}"] for width in WIDTHS}


def read_shared(
    device: Device,
    table: Any,
    places: Any,
    out: Any,
    width: int,
    rounds: int = 1,
    *,
    threads: int = THREADS,
) -> None:
    """Lane l of every warp reads ``width`` bytes at element ``places[l]``, 8 * ``rounds`` times.

    ``places`` (32,): int32, from 0 to 1023, in elements. ``table``: uint32, 1024 elements and 7
    rows of 128 bytes more; ``out``: uint32, ``width`` / 4 words a thread. All on the device, not
    overlapping, ``table`` and ``out`` at multiples of ``width``. Load k of round r is of element
    ``(places[l] ^ r % 32) + k * 128 / width``; ``out`` is all of them xor-ed. Every load has the
    conflicts of ``places``. Raises ValueError for another width or for shapes that do not fit.
    """
    if width not in WIDTHS:
        raise ValueError(f"read_shared: width is {width}; 4, 8 or 16 bytes a lane")
    words = width // 4
    check_shape("read_shared", "places", places, (LANES,))
    check_shape("read_shared", "table", table, (table_elements(width) * words,))
    if out.size % words:
        raise ValueError(f"read_shared: out holds {out.size} words; expected {words} a thread")
    n = out.size // words
    kernel = program("patterns")[f"read_shared_{width}"]
    device.launch(kernel, blocks_for(n, threads), threads, (table, places, out, n, rounds))


def strided(stride: int, offset: int = 0) -> npt.NDArray[np.int32]:
    """Lane l at element ``offset + stride * l``, modulo 1024."""
    return ((offset + stride * np.arange(LANES)) % PLACES).astype(np.int32)


def broadcast(groups: int = 1) -> npt.NDArray[np.int32]:
    """The warp in ``groups`` groups of neighbouring lanes, each at one element."""
    return (np.arange(LANES) * groups // LANES).astype(np.int32)


def column(pitch: int = LANES, at: int = 0, *, swizzled: bool = False) -> npt.NDArray[np.int32]:
    """Lane l in row l of a tile, at column ``at``: rows ``pitch`` elements apart, or swizzled."""
    rows = np.arange(LANES)
    return (rows * pitch % PLACES + (rows ^ at if swizzled else at)).astype(np.int32) % PLACES


def permuted(seed: int) -> npt.NDArray[np.int32]:
    """The lanes over 32 neighbouring elements, in an order by chance."""
    return np.random.default_rng(seed).permutation(LANES).astype(np.int32)


def scattered(seed: int) -> npt.NDArray[np.int32]:
    """Each lane anywhere."""
    return np.random.default_rng(seed).integers(0, PLACES, LANES).astype(np.int32)
