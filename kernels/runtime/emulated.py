"""The software GPU as a device."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

import emulator
from emulator import Arch, Report
from emulator.clusters import cluster_shape, grid_in_blocks
from emulator.tensor_map import UNCONFIRMED, Im2col
from emulator.timeline import Timeline
from kernels.runtime.arguments import ArrayInfo, Bound, MapArgument, alignment_of, bind, pack, three
from kernels.runtime.device import Extent, kernel_of
from kernels.runtime.errors import ArgumentError
from kernels.runtime.program import KernelFunction
from kernels.runtime.tensor_maps import describe
from kernels.runtime.timing import Timing


class DeviceArray(np.ndarray[Any, np.dtype[Any]]):
    """An array in the software GPU's memory: a NumPy array whose bytes kernels read and write."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Write, and let initcheck know: it takes 0xFF bytes of a fresh array for unwritten."""
        super().__setitem__(key, value)
        allocation = _memory().nearest(self.ctypes.data)
        if allocation is not None and allocation.fresh and self.size:
            if allocation.written is None:
                allocation.written = np.zeros(allocation.nbytes, dtype=np.bool_)
            same = np.dtype(("V", self.dtype.itemsize))
            start = self.ctypes.data - allocation.address
            written = np.ndarray(self.shape, same, allocation.written, start, self.strides)
            written[key] = np.void(b"\x01" * self.dtype.itemsize)


@functools.cache
def _memory() -> emulator.DeviceMemory:
    """One memory a process, as one GPU has."""
    return emulator.DeviceMemory()


class EmulatedDevice:
    """Runs the same programs as a GPU, on the CPU, and counts what the hardware would count."""

    kind = "emulated"
    xp: Any = np

    def __init__(
        self,
        arch: Arch = emulator.H100,
        *,
        timeout_s: float | None = None,
        cores: int | None = None,  # of this machine; None: all that the process may use
    ) -> None:
        self.arch = arch
        self.cores = cores
        self.name = f"software GPU (models {arch.name})"
        self.timeout_s = timeout_s
        self.memory = _memory()

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def empty(self, shape: Extent, dtype: npt.DTypeLike) -> Any:
        """An array of bytes 0xFF: what no kernel writes stays NaN, or -1."""
        extents = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
        kind = np.dtype(dtype)
        if any(extent < 0 for extent in extents):
            raise ArgumentError(f"an array cannot have shape {extents}")
        nbytes = int(np.prod(extents, dtype=np.int64)) * kind.itemsize
        allocation = self.memory.allocate(nbytes)
        allocation.begin_unwritten()
        array = allocation.view().view(kind).reshape(extents).view(DeviceArray)
        # views keep this array alive, so memory is freed with the last of them
        weakref.finalize(array, self.memory.free, allocation)
        return array

    def asarray(self, array: Any) -> Any:
        """A copy of ``array`` in the software GPU's memory."""
        if isinstance(array, np.ndarray) and self._is_here(array):
            return array
        host = np.asarray(array)
        there = self.empty(host.shape, host.dtype)
        np.copyto(there, host)
        if host.size:
            allocation = self.memory.nearest(there.ctypes.data)
            assert allocation is not None
            allocation.fresh = False  # all of it is written
        return there

    def to_host(self, array: Any) -> npt.NDArray[Any]:
        """A plain NumPy copy."""
        return np.array(array, subok=False)

    def _is_here(self, array: npt.NDArray[Any]) -> bool:
        start = array.ctypes.data
        return self.memory.base <= start < self.memory.base + self.memory.capacity

    def _inspect(self, value: Any, who: str) -> ArrayInfo | None:
        if not isinstance(value, np.ndarray) or (
            value.ndim == 0 and not isinstance(value, DeviceArray)
        ):
            if hasattr(value, "__cuda_array_interface__"):
                raise ArgumentError(f"{who} is an array on a GPU; this is the software GPU")
            return None
        if not self._is_here(value):
            raise ArgumentError(
                f"{who} is a NumPy array in host memory; device.asarray() copies it to the device"
            )
        return ArrayInfo(value.shape, value.dtype, value.flags.c_contiguous, value.ctypes.data)

    def alignment(self, array: Any) -> int:
        """The largest power of two up to 256 bytes that ``array`` begins at a multiple of."""
        return alignment_of(array, self._inspect)

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
        """The software GPU's own encoding."""
        told = describe(
            array, self._inspect, box, swizzle, fill, element_strides, im2col, interleave
        )
        return MapArgument(told, told.data, array)

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
        """Run a kernel to its end."""
        self._run(kernel, grid, block, args, shared_bytes, counters=False, cluster=cluster,
                  cooperative=cooperative)  # fmt: skip

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
        """Run a kernel and count what it does; ``checks`` look for races and for more."""
        report = self._run(kernel, grid, block, args, shared_bytes, counters=True, checks=checks,
                           cluster=cluster, cooperative=cooperative)  # fmt: skip
        maps = [one.described for one in args if isinstance(one, MapArgument)]
        if any(told.interleave != "none" for told in maps):
            report = replace(report, notes=(*report.notes, UNCONFIRMED))
        return report

    def time(
        self,
        kernel: Any,
        grid: Extent,
        block: Extent,
        args: Sequence[Any],
        shared_bytes: int = 0,
        *,
        repeat: int = 1,
        warmup: int = 0,
        cluster: Extent | None = None,
        cooperative: bool = False,
    ) -> Timing:
        """The modelled time: the same every time, so one run is enough."""
        report = self.profile(kernel, grid, block, args, shared_bytes, cluster=cluster,
                              cooperative=cooperative)  # fmt: skip
        assert report.time_us is not None
        return Timing.of([report.time_us], "modelled")

    def timeline(
        self,
        kernel: Any,
        grid: Extent,
        block: Extent,
        args: Sequence[Any],
        shared_bytes: int = 0,
        *,
        of: int = 0,
        cluster: Extent | None = None,
        cooperative: bool = False,
    ) -> Timeline:
        """Run a kernel; what the block of linear index ``of`` did when, in modelled cycles."""
        report = self._run(kernel, grid, block, args, shared_bytes, counters=False,
                           cluster=cluster, cooperative=cooperative, timeline=of)  # fmt: skip
        assert report.timeline is not None
        return report.timeline

    def synchronize(self) -> None:
        """Nothing is ever outstanding here."""

    def _run(
        self,
        kernel: Any,
        grid: Extent,
        block: Extent,
        args: Sequence[Any],
        shared_bytes: int,
        *,
        counters: bool,
        checks: Collection[str] = (),
        cluster: Extent | None = None,
        cooperative: bool = False,
        timeline: int | None = None,
    ) -> Report:
        function = kernel_of(kernel, args)
        bound = bind(function, args, self._inspect)
        self._name_arrays(bound)
        resources = function.resources
        return emulator.launch(
            function.code,
            three("grid", grid, function.name),
            three("block", block, function.name),
            pack(function, bound),
            self.memory,
            shared_bytes=shared_bytes,
            counters=counters,
            machine_code=function.machine_code if counters else None,
            checks=checks,
            arch=self.arch,
            registers=resources.registers if resources else None,
            timeout_s=self.timeout_s,
            cores=self.cores,
            argument_names=tuple(p.name for p in function.parameters),
            cluster=None if cluster is None else three("cluster", cluster, function.name),
            cooperative=cooperative,
            timeline=timeline,
        )

    def _name_arrays(self, bound: Sequence[Bound]) -> None:
        """Messages call an array what the kernel's author calls it."""
        for one in bound:
            if one.array is not None:
                allocation = self.memory.nearest(one.array.address)
                if allocation is not None:
                    allocation.name = one.parameter.name


def check_shape(
    function: KernelFunction,
    grid: Extent,
    block: Extent,
    shared_bytes: int,
    arch: Arch,
    cluster: Extent | None = None,
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Grid and block as a GPU takes them; raises LaunchError for what none would."""
    shapes = three("grid", grid, function.name), three("block", block, function.name)
    resources = function.resources
    emulator.check_launch(
        function.code, *shapes, bytes(function.code.parameter_bytes), shared_bytes, arch,
        resources.registers if resources else None,
    )  # fmt: skip
    wanted = None if cluster is None else three("cluster", cluster, function.name)
    cluster_shape(function.code, grid_in_blocks(function.code, shapes[0]), wanted, arch)
    return shapes
