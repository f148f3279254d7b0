"""Devices: the same calls on a GPU and on the software GPU."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from emulator import Arch, Report
from emulator.tensor_map import Im2col
from kernels.runtime.arguments import MapArgument
from kernels.runtime.errors import DeviceError
from kernels.runtime.program import KernelFunction
from kernels.runtime.timing import Timing

Extent = int | Sequence[int]


class Device(Protocol):
    """What runs kernels. Arrays are ``xp``'s: CuPy's on a GPU, NumPy's on the software one."""

    kind: str  # "cuda" or "emulated"
    name: str
    arch: Arch
    xp: Any

    def empty(self, shape: Extent, dtype: npt.DTypeLike) -> Any:
        """An array on the device, filled with 0xFF bytes on the software GPU."""
        ...

    def asarray(self, array: Any) -> Any:
        """A copy of a host array on the device; arrays of the device are returned as they are."""
        ...

    def to_host(self, array: Any) -> npt.NDArray[Any]:
        """A NumPy copy of a device array."""
        ...

    def alignment(self, array: Any) -> int:
        """The largest power of two up to 256 bytes that ``array`` begins at a multiple of."""
        ...

    def tensor_map(
        self,
        array: Any,
        box: Sequence[int] = (),
        *,
        swizzle: str = "none",
        fill: str = "zero",
        element_strides: Sequence[int] | None = None,
        im2col: Im2col | None = None,
        interleave: str = "none",
    ) -> MapArgument:
        """What TMA needs to copy boxes of ``array``: an argument for a 128-byte
        ``const __grid_constant__`` parameter, aligned to 64.

        ``array`` has up to five axes, begins at a multiple of 16 bytes, and has strides that are
        multiples of 16; ``box`` has as many, up to 256 each, outermost first. ``swizzle`` "none",
        "32B", "64B" or "128B" is how rows of a box, of at most so many bytes, lie in shared memory;
        ``fill`` "zero" or "nan" is what there is outside of the array. With ``element_strides`` a
        box has every so-manieth element. ``im2col`` takes the place of ``box``.

        With ``interleave`` "16B" or "32B" the array is (images, slices, [depth,] [height,] width,
        channels of a slice), its last axis being 16 or 32 bytes that are copied together: a box has
        no number for it, and 1 for the slices. "32B" goes with swizzle "32B", and addresses and
        strides that are multiples of 32.

        Raises LaunchError for what the CUDA driver would not encode. (CUDA driver API, "Tensor Map
        Object Management")
        """
        ...

    def launch(
        self,
        kernel: Any,
        grid: Extent,
        block: Extent,
        args: Sequence[Any],
        shared_bytes: int = 0,
        *,
        cluster: Extent | None = None,
        cooperative: bool = False,
    ) -> None:
        """Run a kernel: ``program["name"]``, or a Numba kernel.

        ``grid`` and ``block`` are whole numbers or up to three of them. ``args`` are device arrays
        and numbers, checked against the kernel's parameters. ``shared_bytes`` is dynamic shared
        memory. ``cluster`` is the shape, in blocks, of thread block clusters (None: as the kernel
        was compiled); ``cooperative`` launches have all blocks on the chip at once.
        """
        ...

    def time(
        self,
        kernel: Any,
        grid: Extent,
        block: Extent,
        args: Sequence[Any],
        shared_bytes: int = 0,
        *,
        repeat: int = 20,
        warmup: int = 3,
        cluster: Extent | None = None,
        cooperative: bool = False,
    ) -> Timing:
        """How long a launch takes, with nothing of it in L2: measured, or modelled."""
        ...

    def profile(
        self,
        kernel: Any,
        grid: Extent,
        block: Extent,
        args: Sequence[Any],
        shared_bytes: int = 0,
        *,
        checks: Collection[str] = (),
        cluster: Extent | None = None,
        cooperative: bool = False,
    ) -> Report:
        """Run a kernel once and say what it cost, in total and by source line.

        ``checks`` turns on compute-sanitizer's tools: any of "racecheck", "initcheck", "synccheck",
        or "all" (memcheck always runs on the software GPU). What they find is in the report's
        ``findings``.
        """
        ...

    def synchronize(self) -> None:
        """Wait until everything launched has finished."""
        ...


def open_device(kind: str | None = None) -> Device:
    """The device to run on.

    ``None`` takes a GPU when there is a usable one and the software GPU otherwise; "cuda" and
    "emulated" choose. The environment variable ``COALESCE_DEVICE`` stands in for ``None``.
    Raises :class:`DeviceError` when the GPU that was asked for cannot be used.
    """
    from kernels.runtime.emulated import EmulatedDevice

    chosen = kind or os.environ.get("COALESCE_DEVICE") or None
    if chosen == "emulated":
        return EmulatedDevice()
    if chosen not in (None, "cuda"):
        raise DeviceError(f"no device {chosen!r}: there are 'cuda' and 'emulated'")
    missing = why_no_cuda()
    if missing is None:
        from kernels.runtime.cuda import CudaDevice

        return CudaDevice()
    if chosen == "cuda":
        raise DeviceError(f"no GPU can be used here: {missing}. open_device('emulated') needs none")
    return EmulatedDevice()


def why_no_cuda() -> str | None:
    """What is missing for a GPU to be used; None when nothing is."""
    try:
        import cupy
    except ImportError as error:
        return f"CuPy is not installed ({error}); on a machine with a driver, `make setup` does it"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"the CUDA driver says: {error}"
    return None if count else "the CUDA driver sees no GPU"


def kernel_of(kernel: Any, args: Sequence[Any]) -> KernelFunction:
    """The kernel to launch, compiling it when it is a Numba one."""
    if isinstance(kernel, KernelFunction):
        return kernel
    from kernels.runtime.numba_kernels import numba_kernel

    return numba_kernel(kernel, args)


def host_copy(array: Any) -> npt.NDArray[Any]:
    """A NumPy array of what ``asarray`` was given."""
    return np.ascontiguousarray(array)
