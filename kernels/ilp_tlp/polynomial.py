"""A polynomial of degree 15: Horner, Estrin, several x a thread, coefficients by value.

Source: the talk: a dependent FFMA waits 4 clocks, so a scheduler needs several independent ones,
from other warps (TLP) or from the same one (ILP).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kernels.ilp_tlp.launches import (
    blocks_for,
    check_choice,
    check_room,
    check_stamps,
    instance,
    program,
)
from kernels.runtime import Device, KernelFunction

DEGREE = 15
THREADS = 128
ELEMENTS = (1, 2, 4, 8, 16)  # x a thread
BEST_ELEMENTS = 8


def polynomial_horner(
    device: Device, x: Any, coefficients: Any, y: Any, rounds: int = 1, *, threads: int = THREADS
) -> None:
    """``y = p(x)``, ``rounds`` times one after another, by 15 FFMAs in a row.

    ``x`` (at least n,), ``coefficients`` (16,), the constant first, ``y`` (n,): float32 on the
    device, ``y`` overlapping no other. ``p(x) = c[0] + c[1] x + ... + c[15] x^15``; with ``rounds``
    2, ``y = p(p(x))``. Raises ValueError for sizes that do not fit, ArgumentError for arrays of
    another kind.
    """
    _launch(device, "polynomial_horner", x, coefficients, y, rounds, threads)


def polynomial_estrin(
    device: Device, x: Any, coefficients: Any, y: Any, rounds: int = 1, *, threads: int = THREADS
) -> None:
    """:func:`polynomial_horner` as a tree: 18 instructions, at most 5 one after another."""
    _launch(device, "polynomial_estrin", x, coefficients, y, rounds, threads)


def polynomial_elements(
    device: Device,
    x: Any,
    coefficients: Any,
    y: Any,
    rounds: int = 1,
    *,
    elements: int = BEST_ELEMENTS,
    threads: int = THREADS,
    stamps: Any = None,
) -> None:
    """:func:`polynomial_horner` over ``elements`` (1, 2, 4, 8 or 16) x a thread, side by side.

    With ``stamps`` (warps, 2, 2), int64 on the device, each warp writes when it began and ended
    its rounds: the SM's clock and nanoseconds.
    """
    _check("polynomial_elements", x, coefficients, y, rounds)
    _launch_elements(device, False, x, coefficients, y, rounds, elements, threads, stamps)


def polynomial_constants(
    device: Device,
    x: Any,
    coefficients: Any,
    y: Any,
    rounds: int = 1,
    *,
    elements: int = BEST_ELEMENTS,
    threads: int = THREADS,
    stamps: Any = None,
) -> None:
    """:func:`polynomial_elements` with coefficients that are a parameter, by value.

    They come from the host (those of an array on the device are copied there first), and the kernel
    reads them where parameters are, instead of from registers.
    """
    _check("polynomial_constants", x, coefficients, y, rounds)
    values = np.ascontiguousarray(device.to_host(coefficients), dtype=np.float32).tobytes()
    _launch_elements(device, True, x, values, y, rounds, elements, threads, stamps)


def _launch_elements(
    device: Device,
    constants: bool,
    x: Any,
    coefficients: Any,
    y: Any,
    rounds: int,
    elements: int,
    threads: int,
    stamps: Any,
) -> None:
    kernel = polynomial_elements_kernel(elements, stamped=stamps is not None, constants=constants)
    blocks = blocks_for(y.size, threads * elements)
    args: tuple[Any, ...] = (x, coefficients, y, y.size, rounds)
    if stamps is not None:
        check_stamps(kernel.name, stamps, blocks, threads)
        args = (*args, stamps)
    device.launch(kernel, blocks, threads, args)


def polynomial_elements_kernel(
    elements: int, *, stamped: bool = False, constants: bool = False
) -> KernelFunction:
    """The kernel ``(x, coefficients, y, n, rounds)``, and ``stamps`` where it is ``stamped``.

    Coefficients are an array, or 64 bytes by value with ``constants``.
    """
    family = "polynomial_constants" if constants else "polynomial_elements"
    check_choice(family, "elements", elements, ELEMENTS)
    name = f"{family}_{elements}" + "_stamped" * stamped
    kind = "const __grid_constant__ Coefficients" if constants else "const float* __restrict__"
    last, given = (", long long* stamps", "reinterpret_cast<Stamp*>(stamps)")
    return instance(
        "polynomial",
        name,
        f'extern "C" __global__ void __launch_bounds__(1024, 1) {name}(\n'
        f"    const float* __restrict__ x, {kind} coefficients,\n"
        "    float* __restrict__ y, int n,\n"
        f"    int rounds{last if stamped else ''}) {{\n"
        f"  polynomial_of_several<{elements}, {str(stamped).lower()}>(\n"
        f"      x, {'coefficients' if constants else 'loaded(coefficients)'}, y, n, rounds,\n"
        f"      {given if stamped else 'nullptr'});\n}}\n",
    )


def _launch(
    device: Device, name: str, x: Any, coefficients: Any, y: Any, rounds: int, threads: int
) -> None:
    _check(name, x, coefficients, y, rounds)
    args = (x, coefficients, y, y.size, rounds)
    device.launch(program("polynomial")[name], blocks_for(y.size, threads), threads, args)


def _check(name: str, x: Any, coefficients: Any, y: Any, rounds: int) -> None:
    check_room(name, "x", x.size, y.size)
    if tuple(coefficients.shape) != (DEGREE + 1,):
        raise ValueError(
            f"{name}: coefficients must have shape ({DEGREE + 1},), the constant first; it has "
            f"{tuple(coefficients.shape)}"
        )
    if rounds < 0:
        raise ValueError(f"{name}: rounds is {rounds}; it must not be negative")
