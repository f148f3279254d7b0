"""Every kernel of the topic with inputs, reference and work, for tests and benchmarks to go by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kernels.ilp_tlp import reference
from kernels.ilp_tlp.dram import copy_in_flight
from kernels.ilp_tlp.ffma import (
    OPERAND_CHAINS,
    WEIGHTS,
    ffma_chains,
    ffma_registers,
    ffma_shared,
    ffmas,
)
from kernels.ilp_tlp.latency import (
    SHARED_LINKS,
    STEPS,
    chain,
    latency_ffma,
    latency_global,
    latency_shared,
)
from kernels.ilp_tlp.polynomial import (
    DEGREE,
    polynomial_constants,
    polynomial_elements,
    polynomial_estrin,
    polynomial_horner,
)
from kernels.launches import Step
from kernels.placed import Array, Placed, put
from kernels.runtime import Device

Numbers = tuple[int, ...]
Sizes = tuple[int, ...]
Maker = Callable[[np.random.Generator, Sizes, Numbers], tuple[Array, ...]]
WARPS = 4  # a block, unless a caller says otherwise


@dataclass(frozen=True)
class Entry:
    """One kernel: how to call it and what it must give."""

    step: Step  # step(device, *inputs, output, *numbers)
    file: str  # of its source, in this folder
    sizes: tuple[str, ...]  # names of what arrays' shapes are made of
    large: Sizes  # values of them to measure with
    make: Maker
    reference: Callable[[tuple[Array, ...], Sizes, Numbers], Array]
    needed_bytes: Callable[[Sizes], int]  # of global memory, each byte once
    flops: Callable[[Sizes, Numbers], int]  # a fused multiply-add is two
    numbers: tuple[str, ...] = ()  # names of the numbers it takes after the arrays
    typical: Numbers = ()  # values of them to measure with
    relative_error: float = 0.0  # 0: equal bit by bit
    alignment: int = 4  # of its arrays, in bytes

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
    """``inputs``, by default fresh random ones, and a poisoned output, on the device.

    Inputs start ``shift_in`` bytes past an aligned address and the output ``shift_out``.
    """
    chosen = entry.typical if numbers is None else numbers
    if inputs is None:
        inputs = entry.make(rng or np.random.default_rng(), sizes, chosen)
    expected = entry.reference(inputs, sizes, chosen)
    return put(device, entry, inputs, expected, chosen, shift_in=shift_in, shift_out=shift_out)


def stamps(blocks: int, warps: int = WARPS) -> Array:
    """Room for what every warp writes: begin and end, as clock and as nanoseconds."""
    return np.zeros((blocks * warps, 2, 2), dtype=np.int64)


def gentle(rng: np.random.Generator) -> Array:
    """Coefficients of a p that leads from [0, 1] to [0, 1] and keeps relative errors as they are.

    All are positive, and x p'(x) is at most p(x).
    """
    k = np.arange(2, DEGREE + 1)
    rest = 0.05 * rng.random(k.size) / (k.size * (k - 1))
    return np.concatenate([[0.05, 0.9], rest]).astype(np.float32)


def _bits(rng: np.random.Generator, n: int) -> Array:
    """Every bit random: NaNs and denormals must be copied too."""
    return rng.integers(0, 1 << 32, n, dtype=np.uint32).view(np.float32)


def _weights(rng: np.random.Generator) -> Array:
    """Small whole numbers, which float32 adds up exactly."""
    return rng.integers(-3, 4, (WEIGHTS, 32)).astype(np.float32)


def _operands(step: Step, numbers: tuple[str, ...], typical: Numbers) -> Entry:
    return Entry(
        step,
        "ffma.cu",
        ("blocks",),
        (132,),
        lambda rng, sizes, _: (_weights(rng), stamps(sizes[0])),
        lambda inputs, sizes, numbers: reference.ffma_operands(
            inputs[0], sizes[0], WARPS, numbers[-1]
        ),
        lambda _: 0,
        lambda sizes, numbers: 2 * sizes[0] * WARPS * 32 * WEIGHTS * OPERAND_CHAINS * numbers[-1],
        numbers,
        typical,
    )


def _polynomial(step: Step) -> Entry:
    return Entry(
        step,
        "polynomial.cu",
        ("n",),
        (132 * 16 * 128 * 8,),
        lambda rng, sizes, _: (rng.random(sizes, dtype=np.float32), gentle(rng)),
        lambda inputs, sizes, numbers: reference.polynomial(
            inputs[0], inputs[1], sizes[0], numbers[0]
        ),
        lambda sizes: 8 * sizes[0],
        lambda sizes, numbers: 2 * DEGREE * sizes[0] * numbers[0],
        ("rounds",),
        (1,),
        # each round rounds at most 18 times; in up to 8 rounds
        relative_error=8 * 18 * 2.0**-24,
    )


def _walk(step: Step, n: int) -> Entry:
    return Entry(
        step,
        "latency.cu",
        (),
        (),
        lambda rng, *_: (chain(rng, n), np.zeros(1, dtype=np.int64)),
        lambda inputs, _, numbers: reference.walk(inputs[0], *numbers),
        lambda _: 0,
        lambda *_: 0,
        ("start", "hops"),
        (0, 4096),
    )


ENTRIES: tuple[Entry, ...] = (
    Entry(
        copy_in_flight,
        "dram.cu",
        ("n",),
        (1 << 26,),
        lambda rng, sizes, _: (_bits(rng, sizes[0]),),
        lambda inputs, sizes, _: reference.copy(inputs[0], sizes[0]),
        lambda sizes: 8 * sizes[0],
        lambda *_: 0,
        ("loads", "width"),
        (8, 16),
        alignment=16,
    ),
    Entry(
        ffma_chains,
        "ffma.cu",
        ("blocks",),
        (1,),
        lambda rng, sizes, _: (
            np.array([rng.choice([-1, 1]), rng.integers(0, 8)], dtype=np.float32),
            stamps(sizes[0]),
        ),
        lambda inputs, sizes, numbers: reference.ffma_chains(inputs[0], sizes[0], WARPS, *numbers),
        lambda _: 0,
        lambda sizes, numbers: 2 * sizes[0] * WARPS * 32 * ffmas(*numbers),
        ("chains", "rounds"),
        (4, 1),
    ),
    _operands(ffma_registers, ("rounds",), (1,)),
    _operands(ffma_shared, ("uses", "rounds"), (1, 1)),
    Entry(
        latency_ffma,
        "latency.cu",
        (),
        (),
        lambda rng, *_: (
            np.array([rng.choice([-1, 1]), *rng.integers(0, 8, 2)], dtype=np.float32),
            np.zeros(1, dtype=np.int64),
        ),
        lambda inputs, _, numbers: reference.latency_ffma(inputs[0], STEPS * numbers[0]),
        lambda _: 0,
        lambda _, numbers: 2 * STEPS * numbers[0],
        ("rounds",),
        (64,),
    ),
    _walk(latency_global, 1 << 12),
    _walk(latency_shared, SHARED_LINKS),
    _polynomial(polynomial_horner),
    _polynomial(polynomial_estrin),
    _polynomial(polynomial_elements),
    _polynomial(polynomial_constants),
)
BY_NAME = {entry.name: entry for entry in ENTRIES}
