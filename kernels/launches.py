"""One launch as a value, so that it can be run, timed or profiled alike.

Every kernel of a topic has a Python function ``step(device, ...)`` that launches it. The functions
here call it with a device that only takes note:

>>> copy_offset(device, x, y, 5)                    # runs it
>>> profile(device, copy_offset, x, y, 5).counters  # runs it and counts
>>> time(device, copy_offset, x, y, 5).median_us
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from emulator.timeline import Timeline
from kernels.runtime import Device, DeviceError, Report, Timing
from kernels.runtime.emulated import EmulatedDevice

Step = Callable[..., None]


@dataclass(frozen=True)
class Launch:
    """What ``device.launch`` was given."""

    kernel: Any  # a KernelFunction, or a Numba kernel
    grid: Any
    block: Any
    args: tuple[Any, ...]
    shared_bytes: int = 0
    cluster: Any = None
    cooperative: bool = False

    @property
    def together(self) -> dict[str, Any]:
        """The launch's options."""
        return {"cluster": self.cluster, "cooperative": self.cooperative}

    @property
    def blocks(self) -> int:
        """Blocks of the grid."""
        return int(np.prod(self.grid, dtype=np.int64))

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return int(np.prod(self.block, dtype=np.int64))


class _Noting:
    """A device that notes launches and runs none; for the rest, the device behind it."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self.launches: list[Launch] = []

    def launch(
        self, kernel: Any, grid: Any, block: Any, args: Any, shared_bytes: int = 0, **together: Any
    ) -> None:
        self.launches.append(Launch(kernel, grid, block, tuple(args), shared_bytes, **together))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)


def launch_of(device: Device, step: Step, *arguments: Any, **options: Any) -> Launch:
    """The one launch that ``step(device, *arguments)`` makes, without running it."""
    launches = launches_of(device, step, *arguments, **options)
    if len(launches) != 1:
        name = getattr(step, "__name__", repr(step))
        raise ValueError(f"{name} makes {len(launches)} launches; expected one")
    return launches[0]


def launches_of(device: Device, step: Step, *arguments: Any, **options: Any) -> list[Launch]:
    """All launches that ``step(device, *arguments)`` makes, in order, without running them."""
    noting = _Noting(device)
    step(noting, *arguments, **options)
    return noting.launches


def profile(device: Device, step: Step, *arguments: Any, **options: Any) -> Report:
    """Run ``step(device, *arguments)`` once and say what it cost."""
    one = launch_of(device, step, *arguments, **options)
    return device.profile(
        one.kernel, one.grid, one.block, one.args, one.shared_bytes, **one.together
    )


def timeline(
    device: Device, step: Step, *arguments: Any, block: int = 0, **options: Any
) -> Timeline:
    """Run ``step(device, *arguments)`` once; what one of its blocks did when, in modelled cycles.

    ``block`` is a linear index, x fastest. Only the software GPU can tell: raises
    :class:`DeviceError` on another device.
    """
    if not isinstance(device, EmulatedDevice):
        raise DeviceError(
            f"{device.name} does not say what a block does when; open_device('emulated') does"
        )
    one = launch_of(device, step, *arguments, **options)
    return device.timeline(
        one.kernel, one.grid, one.block, one.args, one.shared_bytes, of=block, **one.together
    )


def time(
    device: Device,
    step: Step,
    *arguments: Any,
    repeat: int = 20,
    warmup: int = 3,
    **options: Any,
) -> Timing:
    """How long the launch of ``step(device, *arguments)`` takes: measured, or modelled."""
    one = launch_of(device, step, *arguments, **options)
    return device.time(
        one.kernel, one.grid, one.block, one.args, one.shared_bytes, repeat=repeat, warmup=warmup,
        **one.together,
    )  # fmt: skip


def blocks_for(n: int, per_block: int) -> int:
    """Blocks that cover ``n`` elements; one for none, since no grid is empty."""
    return max(1, -(-n // per_block))
