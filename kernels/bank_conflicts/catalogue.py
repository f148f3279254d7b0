"""Every kernel of the topic with inputs, reference and bytes, for tests and benchmarks to go by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kernels.bank_conflicts import reference
from kernels.bank_conflicts.column_sums import column_sums_padded, column_sums_tiled, strips
from kernels.bank_conflicts.histogram import (
    BINS,
    histogram_global,
    histogram_lanes,
    histogram_shared,
    histogram_warps,
)
from kernels.bank_conflicts.patterns import read_shared, strided, table_elements
from kernels.bank_conflicts.transpose import (
    transpose_best,
    transpose_naive,
    transpose_padded,
    transpose_swizzled,
    transpose_tiled,
)
from kernels.launches import Step
from kernels.placed import Array, Placed, put
from kernels.runtime import Device

Numbers = tuple[int, ...]
Sizes = tuple[int, ...]
Maker = Callable[[np.random.Generator, Sizes, Numbers], tuple[Array, ...]]


@dataclass(frozen=True)
class Entry:
    """One kernel: how to call it and what it must give."""

    step: Step  # step(device, *inputs, output, *numbers)
    file: str  # of its source, in this folder
    sizes: tuple[str, ...]  # names of what an array's shape is made of: ("rows", "cols")
    large: Sizes  # values of them to measure with
    make: Maker
    reference: Callable[[tuple[Array, ...], Sizes, Numbers], Array]
    needed_bytes: Callable[[Sizes], int]  # of global memory, each byte once
    numbers: tuple[str, ...] = ()  # names of the numbers it takes after the arrays
    typical: Numbers = ()  # values of them to measure with
    relative_error: float = 0.0  # 0: equal bit by bit
    alignment: int = 4  # of its arrays, in bytes
    adds: bool = False  # to what its output holds, which must be zero before

    @property
    def name(self) -> str:
        """The kernel's name, which is its Python function's."""
        return self.step.__name__


def place(
    device: Device,
    entry: Entry,
    sizes: Sizes,
    numbers: Numbers | None = None,
    rng: np.random.Generator | None = None,
    *,
    inputs: tuple[Array, ...] | None = None,
    shift_in: int = 0,
    shift_out: int = 0,
) -> Placed:
    """``inputs``, by default fresh random ones, and an output, on the device.

    Inputs start ``shift_in`` bytes past an aligned address and the output ``shift_out``.
    """
    chosen = entry.typical if numbers is None else numbers
    if inputs is None:
        inputs = entry.make(rng or np.random.default_rng(), sizes, chosen)
    expected = entry.reference(inputs, sizes, chosen)
    return put(
        device, entry, inputs, expected, chosen, shift_in=shift_in, shift_out=shift_out,
        before=0 if entry.adds else 0xFF,
    )  # fmt: skip


def _bits(rng: np.random.Generator, shape: Sizes) -> Array:
    """Every bit random: NaNs and denormals must arrive too."""
    return rng.integers(0, 1 << 32, shape, dtype=np.uint32).view(np.float32)


def _table(rng: np.random.Generator, width: int) -> Array:
    return rng.integers(0, 1 << 32, table_elements(width) * width // 4, dtype=np.uint32)


def _transpose(step: Step, file: str = "transpose.cu") -> Entry:
    return Entry(
        step,
        file,
        ("rows", "cols"),
        (8192, 8192),
        lambda rng, sizes, _: (_bits(rng, sizes),),
        lambda inputs, *_: reference.transpose(inputs[0]),
        lambda sizes: 8 * sizes[0] * sizes[1],
    )


def _column_sums(step: Step) -> Entry:
    return Entry(
        step,
        "column_sums.cu",
        ("rows", "cols"),
        (16_384, 4096),
        lambda rng, sizes, _: (rng.random(sizes, dtype=np.float32),),
        lambda inputs, *_: reference.column_sums(inputs[0]),
        lambda sizes: 4 * (sizes[0] + strips(sizes[0])) * sizes[1],
        # all terms are positive; 8 additions in a thread, 5 across lanes
        relative_error=13 * 2.0**-24,
    )


def _histogram(step: Step) -> Entry:
    return Entry(
        step,
        "histogram.cu",
        ("n",),
        (1 << 28,),
        lambda rng, sizes, _: (rng.integers(0, 256, sizes, dtype=np.uint8),),
        lambda inputs, *_: reference.histogram(inputs[0]),
        lambda sizes: sizes[0] + 4 * BINS,
        adds=True,
    )


ENTRIES: tuple[Entry, ...] = (
    Entry(
        read_shared,
        "patterns.cu",
        ("n",),
        (132 * 8 * 256,),
        lambda rng, _, numbers: (_table(rng, numbers[0]), strided(1)),
        lambda inputs, sizes, numbers: reference.read_shared(
            inputs[0], inputs[1], sizes[0], *numbers
        ),
        lambda _: 0,  # of shared memory alone
        ("width", "rounds"),
        (4, 128),
        alignment=16,
    ),
    _transpose(transpose_naive),
    _transpose(transpose_tiled),
    _transpose(transpose_padded),
    _transpose(transpose_swizzled),
    _transpose(transpose_best, "transpose_best.cu"),
    _column_sums(column_sums_tiled),
    _column_sums(column_sums_padded),
    _histogram(histogram_global),
    _histogram(histogram_shared),
    _histogram(histogram_warps),
    _histogram(histogram_lanes),
)
BY_NAME = {entry.name: entry for entry in ENTRIES}
