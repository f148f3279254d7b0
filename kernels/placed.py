"""A kernel's arrays on a device, ready to launch, and what its output should be.

Every topic's catalogue says how to make inputs and what the reference is; this is the same for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from kernels.launches import Launch, Step, launch_of
from kernels.runtime import Device

Array = npt.NDArray[Any]


class Checked(Protocol):
    """What a catalogue says of a kernel, as far as launching and checking it goes."""

    @property
    def step(self) -> Step:
        """step(device, *inputs, output, *numbers)"""
        ...

    @property
    def name(self) -> str:
        """The kernel's."""
        ...

    @property
    def relative_error(self) -> float:
        """Largest allowed; 0: equal bit by bit."""
        ...


@dataclass(frozen=True)
class Placed:
    """An entry's arrays on a device, ready to launch."""

    entry: Checked
    inputs: tuple[Array, ...]  # on the host
    on_device: tuple[Any, ...]
    output: Any
    expected: Array
    numbers: tuple[int, ...]
    before: int = 0xFF  # every byte of the output before a launch; 0 where a kernel adds to it

    def launch(self, device: Device) -> Launch:
        """What the entry's function launches."""
        return launch_of(device, self.entry.step, *self.on_device, self.output, *self.numbers)

    def poison(self) -> None:
        """Make the output what it has to be before a launch."""
        self.output.reshape(-1).view(np.uint8)[...] = self.before

    def wrong(self, device: Device) -> str | None:
        """What is wrong with the output as it is; None when nothing is."""
        got = device.to_host(self.output)
        if self.entry.relative_error == 0.0:
            bad = got.view(np.uint8) != self.expected.view(np.uint8)
            bad = bad.reshape(got.size, -1).any(axis=1) if got.size else np.zeros(0, dtype=bool)
        else:
            error = np.abs(got.astype(np.float64) - self.expected)
            bad = ~(error <= self.entry.relative_error * np.abs(self.expected))
        if not bad.any():
            return None
        first = int(np.flatnonzero(bad)[0])
        return (
            f"{self.entry.name}: {int(bad.sum())} of {got.size} elements are wrong; the first is "
            f"[{first}]: {got.flat[first]}, expected {self.expected.flat[first]}"
        )


def put(
    device: Device,
    entry: Checked,
    inputs: tuple[Array, ...],
    expected: Array,
    numbers: tuple[int, ...],
    *,
    shift_in: int = 0,
    shift_out: int = 0,
    before: int = 0xFF,
) -> Placed:
    """``inputs`` on the device, ``shift_in`` bytes past an aligned address, and a poisoned output.

    The output has the shape of ``expected`` and starts ``shift_out`` bytes past one.
    """
    dtype = np.dtype(np.float32) if entry.relative_error else expected.dtype
    on_device = tuple(_shifted(device, a.shape, a.dtype, shift_in) for a in inputs)
    for there, array in zip(on_device, inputs, strict=True):
        if array.size:
            there[...] = device.asarray(array)
    output = _shifted(device, expected.shape, dtype, shift_out)
    placed = Placed(entry, inputs, on_device, output, expected, numbers, before)
    placed.poison()
    return placed


def _shifted(device: Device, shape: tuple[int, ...], dtype: np.dtype[Any], shift: int) -> Any:
    nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = device.empty(nbytes + shift, np.uint8)
    return raw[shift : shift + nbytes].view(dtype).reshape(shape)
