"""Every kernel of the topic with inputs, reference and bytes, for tests and benchmarks to go by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kernels.coalescing import reference
from kernels.coalescing.best import copy_best
from kernels.coalescing.block_copy import (
    copy_coalesced,
    copy_coalesced_no_l1,
    copy_strided,
    copy_strided_no_l1,
)
from kernels.coalescing.elements import copy_elements
from kernels.coalescing.loads_in_flight import copy_ilp1, copy_ilp2, copy_ilp4, copy_ilp8
from kernels.coalescing.numba_copies import numba_copy_coalesced, numba_copy_strided
from kernels.coalescing.patterns import copy_aligned, copy_offset, copy_stride
from kernels.coalescing.reference import Array
from kernels.coalescing.structures import FIELDS, energy_aos, energy_aos_float4, energy_soa
from kernels.coalescing.vectors import copy_float, copy_float2, copy_float4
from kernels.launches import Step
from kernels.placed import Placed, put
from kernels.runtime import Device

Numbers = tuple[int, ...]


@dataclass(frozen=True)
class Entry:
    """One kernel: how to call it and what it must give."""

    step: Step  # step(device, *inputs, output, *numbers)
    file: str  # of its source, in this folder
    numbers: tuple[str, ...]  # names of the numbers it takes after the arrays
    typical: Numbers  # values of them to measure with
    make: Callable[[np.random.Generator, int, Numbers], tuple[Array, ...]]
    reference: Callable[[tuple[Array, ...], int, Numbers], Array]
    needed_bytes: Callable[[int, Numbers], int]  # a copy's reads and writes, each byte once
    relative_error: float = 0.0  # 0: equal bit by bit
    any_alignment: bool = True  # or 16 bytes

    @property
    def name(self) -> str:
        """The kernel's name, which is its Python function's."""
        return self.step.__name__


def place(
    device: Device,
    entry: Entry,
    n: int,
    numbers: Numbers,
    rng: np.random.Generator,
    *,
    shift_in: int = 0,
    shift_out: int = 0,
) -> Placed:
    """Fresh random inputs and a poisoned output for ``n`` elements.

    Inputs start ``shift_in`` bytes past an aligned address and the output ``shift_out``.
    """
    inputs = entry.make(rng, n, numbers)
    expected = entry.reference(inputs, n, numbers)
    return put(device, entry, inputs, expected, numbers, shift_in=shift_in, shift_out=shift_out)


def _floats(rng: np.random.Generator, n: int) -> Array:
    """Every bit random: NaNs and denormals must be copied too."""
    return rng.integers(0, 1 << 32, n, dtype=np.uint32).view(np.float32)


def _copy(step: Step, file: str, *, any_alignment: bool = True) -> Entry:
    return Entry(
        step,
        file,
        (),
        (),
        lambda rng, n, _: (_floats(rng, n),),
        lambda inputs, n, _: reference.copy(inputs[0], n),
        lambda n, _: 8 * n,
        any_alignment=any_alignment,
    )


def _elements(rng: np.random.Generator, n: int, numbers: Numbers) -> tuple[Array, ...]:
    size, offset, stride = numbers
    length = (max(n - 1, 0) * stride + offset + 1) * size
    return (rng.integers(0, 256, length, dtype=np.uint8),)


def _particles(rng: np.random.Generator, n: int) -> Array:
    return rng.standard_normal((n, len(FIELDS)), dtype=np.float32)


def _fields(rng: np.random.Generator, n: int) -> tuple[Array, ...]:
    columns = _particles(rng, n).T
    return tuple(columns[FIELDS.index(name)].copy() for name in ("mass", "vx", "vy", "vz"))


def _energy_of_fields(inputs: tuple[Array, ...]) -> Array:
    particles = np.zeros((inputs[0].size, len(FIELDS)), dtype=np.float32)
    for name, column in zip(("mass", "vx", "vy", "vz"), inputs, strict=True):
        particles[:, FIELDS.index(name)] = column
    return reference.energy(particles)


def _aos(step: Step, *, any_alignment: bool) -> Entry:
    return Entry(
        step,
        "structures.cu",
        (),
        (),
        lambda rng, n, _: (_particles(rng, n),),
        lambda inputs, n, _: reference.energy(inputs[0]),
        lambda n, _: 20 * n,
        # five roundings, each half a unit in the last place; all terms are positive
        relative_error=5 * 2.0**-24,
        any_alignment=any_alignment,
    )


ENTRIES: tuple[Entry, ...] = (
    _copy(copy_aligned, "patterns.cu"),
    Entry(
        copy_offset,
        "patterns.cu",
        ("offset",),
        (5,),
        lambda rng, n, numbers: (_floats(rng, n + numbers[0]),),
        lambda inputs, n, numbers: reference.copy_offset(inputs[0], n, *numbers),
        lambda n, _: 8 * n,
    ),
    Entry(
        copy_stride,
        "patterns.cu",
        ("stride",),
        (2,),
        lambda rng, n, numbers: (_floats(rng, max(n - 1, 0) * numbers[0] + 1),),
        lambda inputs, n, numbers: reference.copy_stride(inputs[0], n, *numbers),
        lambda n, _: 8 * n,
    ),
    _copy(copy_strided, "block_copy.cu"),
    _copy(copy_strided_no_l1, "block_copy.cu"),
    _copy(copy_coalesced, "block_copy.cu"),
    _copy(copy_coalesced_no_l1, "block_copy.cu"),
    _copy(copy_float, "vectors.cu"),
    _copy(copy_float2, "vectors.cu", any_alignment=False),
    _copy(copy_float4, "vectors.cu", any_alignment=False),
    _copy(copy_ilp1, "loads_in_flight.cu"),
    _copy(copy_ilp2, "loads_in_flight.cu"),
    _copy(copy_ilp4, "loads_in_flight.cu"),
    _copy(copy_ilp8, "loads_in_flight.cu"),
    _aos(energy_aos, any_alignment=True),
    _aos(energy_aos_float4, any_alignment=False),
    Entry(
        energy_soa,
        "structures.cu",
        (),
        (),
        lambda rng, n, _: _fields(rng, n),
        lambda inputs, n, _: _energy_of_fields(inputs),
        lambda n, _: 20 * n,
        relative_error=5 * 2.0**-24,
    ),
    Entry(
        copy_elements,
        "elements.cu",
        ("element_bytes", "offset", "stride"),
        (4, 0, 1),
        _elements,
        lambda inputs, n, numbers: reference.copy_elements(inputs[0], n, *numbers),
        lambda n, numbers: 2 * n * numbers[0],
        any_alignment=False,
    ),
    _copy(numba_copy_strided, "numba_copies.py"),
    _copy(numba_copy_coalesced, "numba_copies.py"),
    _copy(copy_best, "best.cu"),
)
BY_NAME = {entry.name: entry for entry in ENTRIES}
