"""One kernel of Hopper's instructions, to be run on an H100 and on the software GPU alike."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.runtime import Program, cuda_program

ARCH = "sm_90a"
FOLDER = Path(__file__).parent
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Placed:
    """A case's arguments on a device."""

    arguments: Sequence[Any]  # device arrays, numbers, tensor maps
    outputs: Sequence[Any]  # those of the arrays that are compared
    expected: Sequence[Array] | None = None  # computed by other means, on the host


@dataclass(frozen=True)
class Case:
    """One launch.

    ``place(device, rng)`` puts the arguments on a device; it draws from ``rng`` only, so that every
    device gets the same. With ``tolerance`` 0 outputs are the same bit for bit; otherwise elements
    differ by at most ``tolerance`` times the largest magnitude of the array, as sums in another
    order do.
    """

    name: str
    source: str  # a .cu file beside this one, or text
    kernel: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    place: Callable[[Any, np.random.Generator], Placed]
    shared_bytes: int = 0
    cluster: tuple[int, ...] | None = None
    tolerance: float = 0.0
    options: tuple[str, ...] = ()  # for NVRTC
    counters: tuple[str, ...] = ()  # ncu's, in which the software GPU is held to an H100

    def program(self) -> Program:
        """The case's program, compiled."""
        is_file = "\n" not in self.source
        return cuda_program(
            FOLDER / self.source if is_file else self.source,
            name=None if is_file else f"{self.name.replace(' ', '_')}.cu",
            arch=ARCH, options=self.options, folder=FOLDER,
        )  # fmt: skip

    def on(self, device: Any) -> Placed:
        """The case's arguments, always the same."""
        return self.place(device, self.rng())

    def rng(self) -> np.random.Generator:
        """What its arguments are drawn from."""
        seed = int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:4], "little")
        return np.random.default_rng(seed)

    def run(self, device: Any, program: Program, placed: Placed, how: str = "launch") -> Any:
        """Launch or profile."""
        return getattr(device, how)(
            program[self.kernel], self.grid, self.block, placed.arguments, self.shared_bytes,
            cluster=self.cluster,
        )  # fmt: skip

    def differs(self, ours: Array, theirs: Array) -> str:
        """How two devices' outputs differ, in words; "" where they agree."""
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            return f"{ours.dtype}{ours.shape} beside {theirs.dtype}{theirs.shape}"
        if not self.tolerance:
            unequal = np.flatnonzero(_bits(ours) != _bits(theirs))
            if not unequal.size:
                return ""
            at = unequal[0]
            pair = ours.reshape(-1)[at], theirs.reshape(-1)[at]
            return f"{unequal.size} of {ours.size} elements, first at {at}: {pair[0]}, {pair[1]}"
        a, b = ours.astype(np.float64), theirs.astype(np.float64)
        if not (np.isfinite(a) == np.isfinite(b)).all():
            return "infinite or NaN in different places"
        finite = np.isfinite(a)
        worst = float(np.max(np.abs(a - b)[finite], initial=0.0))
        allowed = self.tolerance * float(np.max(np.abs(b)[finite], initial=0.0))
        return "" if worst <= allowed else f"by {worst:g}, more than {allowed:g}"


def _bits(array: Array) -> Array:
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(f"V{flat.dtype.itemsize}").view(f"u{flat.dtype.itemsize}")


def place_arrays(
    device: Any,
    *inputs: Any,
    outputs: Sequence[Array],
    expected: Sequence[Array] | None = None,
) -> Placed:
    """Arguments that are inputs (arrays and NumPy numbers), then outputs as they start."""
    given = [device.asarray(a) if np.ndim(a) else a for a in inputs]
    made = [device.asarray(a) for a in outputs]
    return Placed([*given, *made], made, expected)


__all__ = ["ARCH", "Array", "Case", "Placed", "place_arrays"]
