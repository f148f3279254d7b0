"""Latencies in clocks: a dependent FFMA, and dependent loads (``latency.cu``)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.ilp_tlp.launches import program
from kernels.runtime import Device

STEPS = 128  # FFMAs a round; as in latency.cu
SHARED_LINKS = 1024


def latency_ffma(device: Device, factors: Any, clocks: Any, out: Any, rounds: int) -> None:
    """``x = x * a + b``, 128 * ``rounds`` times one after another, in one thread.

    ``factors`` (3,): float32: a, b and the first x; ``out`` (1,): float32, the last. ``clocks``
    (1,): int64, what all that took. Raises ValueError for other shapes.
    """
    _check("latency_ffma", (factors, (3,)), (clocks, (1,)), (out, (1,)))
    device.launch(program("latency")["latency_ffma"], 1, 1, (factors, clocks, out, rounds))


def latency_global(
    device: Device, links: Any, clocks: Any, out: Any, start: int, hops: int
) -> None:
    """``hops`` times ``at = links[at]`` from ``start`` on, in one thread: dependent loads.

    ``links`` (n,): int32 on the device, each from 0 to n - 1, as from :func:`chain`; ``out`` (1,):
    int32, the last place; ``clocks`` (1,): int64. The clocks of a hop are a load's and those of
    computing its address. Raises ValueError for other shapes or a ``start`` outside.
    """
    _hops("latency_global", links, clocks, out, start, hops)
    device.launch(program("latency")["latency_global"], 1, 1, (links, clocks, out, start, hops))


def latency_shared(
    device: Device, links: Any, clocks: Any, out: Any, start: int, hops: int
) -> None:
    """:func:`latency_global` in shared memory; ``links`` has 1024 elements."""
    _check("latency_shared", (links, (SHARED_LINKS,)))
    _hops("latency_shared", links, clocks, out, start, hops)
    device.launch(program("latency")["latency_shared"], 1, 1, (links, clocks, out, start, hops))


def chain(rng: np.random.Generator, n: int, apart: int = 1) -> npt.NDArray[np.int32]:
    """Links of n elements: one ring through every ``apart``-th of them, in an order by chance.

    Elements that are not on the ring point to its first one.
    """
    if apart < 1 or n < 1:
        raise ValueError(f"chain: {n} elements, {apart} apart; both must be 1 or more")
    places = np.arange(0, n, apart, dtype=np.int32)
    order = np.concatenate([places[:1], rng.permutation(places[1:])])
    links = np.zeros(n, dtype=np.int32)
    links[order] = np.roll(order, -1)
    return links


def _hops(name: str, links: Any, clocks: Any, out: Any, start: int, hops: int) -> None:
    _check(name, (clocks, (1,)), (out, (1,)))
    if not 0 <= start < links.size:
        raise ValueError(f"{name}: start is {start}; links has {links.size} elements")
    if hops < 0:
        raise ValueError(f"{name}: hops is {hops}; it must not be negative")


def _check(name: str, *given: tuple[Any, tuple[int, ...]]) -> None:
    for array, wanted in given:
        if tuple(array.shape) != wanted:
            raise ValueError(f"{name}: expected an array of {wanted}; it has {tuple(array.shape)}")
