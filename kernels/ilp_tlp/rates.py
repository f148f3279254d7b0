"""Rates of arithmetic by the SM's own clock: from stamps on a GPU, modelled without one.

A launch, its warps' start and its end take microseconds, and a GPU changes its clock while it
works. Both are kept out of a rate that counts clocks from the first warp's begin to the last one's
end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels.ilp_tlp.launches import WARP, Step, launch_of, profile, time
from kernels.runtime import Device

ARITHMETIC = ("issue", "fp32", "dependence", "l1")  # bounds that have nothing to do with DRAM


@dataclass(frozen=True)
class Stamped:
    """What the stamps of all warps say of a run."""

    clocks: float  # from a block's first begin to its last end, the median of all blocks
    ns: float  # from the first begin of all warps to the last end, by the timer
    clock_hz: float

    @classmethod
    def of(cls, marks: Any, warps: int) -> Stamped:
        """From (warps of all blocks, begin and end, clock and nanoseconds), int64."""
        blocks = marks.reshape(-1, warps, 2, 2)
        begin, end = blocks[:, :, 0], blocks[:, :, 1]
        clocks = end[..., 0].max(axis=1) - begin[..., 0].min(axis=1)  # each block is on one SM
        spent = (end - begin).reshape(-1, 2).astype(np.float64).sum(axis=0)
        return cls(
            float(np.median(clocks)),
            float(end[..., 1].max() - begin[..., 1].min()),
            float(spent[0] / max(spent[1], 1.0) * 1e9),
        )


def clocks_of(device: Device, marks: Any, step: Step, *arguments: Any, **options: Any) -> float:
    """Clocks that a block takes over its arithmetic.

    ``marks`` is the stamps array among ``arguments`` or ``options``. Runs twice on a GPU, the first
    to warm up, and reads the stamps; on the software GPU, whose clock says nothing of a real one,
    the time is modelled.
    """
    if device.kind == "emulated":
        return modelled_us(device, step, *arguments, **options) * device.arch.clock_hz / 1e6
    for _ in range(2):
        step(device, *arguments, **options)
    warps = launch_of(device, step, *arguments, **options).threads // WARP
    return Stamped.of(device.to_host(marks), warps).clocks


def arithmetic_us(device: Device, step: Step, *arguments: Any, **options: Any) -> float:
    """Microseconds of a launch that does arithmetic for long: measured, or modelled.

    Modelled, it is the time of arithmetic alone, so that a short run says what a long one would.
    """
    if device.kind == "emulated":
        return modelled_us(device, step, *arguments, **options)
    return time(device, step, *arguments, **options).median_us


def modelled_us(device: Device, step: Step, *arguments: Any, **options: Any) -> float:
    """The largest of the modelled bounds that have nothing to do with DRAM, in microseconds."""
    report = profile(device, step, *arguments, **options)
    return max(report.bounds.get(name, 0.0) for name in ARITHMETIC)
