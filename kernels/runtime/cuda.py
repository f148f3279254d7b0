"""A real GPU: memory, streams and events through CuPy, launches through the driver."""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from emulator import A100, H100, Arch, Report
from emulator.clusters import PORTABLE
from emulator.tensor_map import NBYTES, Im2col, TensorMap
from kernels.runtime.arguments import ArrayInfo, MapArgument, alignment_of, bind, pack, three
from kernels.runtime.device import Extent, kernel_of
from kernels.runtime.emulated import DeviceArray, EmulatedDevice, check_shape
from kernels.runtime.errors import ArgumentError, DeviceError
from kernels.runtime.program import KernelFunction
from kernels.runtime.tensor_maps import describe
from kernels.runtime.timing import Timing

DYNAMIC_SHARED_FREE = 48 << 10  # beyond it a kernel must opt in


def driver(result: Any) -> Any:
    """The value of a driver call; raises :class:`DeviceError` when it failed."""
    from cuda.bindings import driver as cu

    status, *rest = result
    if status != cu.CUresult.CUDA_SUCCESS:
        _, text = cu.cuGetErrorString(status)
        raise DeviceError(f"{status.name}: {text.decode() if text else 'unknown error'}")
    return rest[0] if len(rest) == 1 else rest


DRIVERS_NAMES = {
    "int8": "UINT8", "float8_e4m3fn": "UINT8", "float8_e5m2": "UINT8", "int16": "UINT16",
}  # fmt: skip


def encode(told: TensorMap) -> bytes:
    """A tensor map as the driver encodes it, which wants axes innermost first."""
    from cuda.bindings import driver as cu

    name = told.dtype.name
    elements = getattr(
        cu.CUtensorMapDataType,
        f"CU_TENSOR_MAP_DATA_TYPE_{DRIVERS_NAMES.get(name, name.upper())}",
    )
    swizzle = getattr(cu.CUtensorMapSwizzle, f"CU_TENSOR_MAP_SWIZZLE_{told.swizzle.upper()}")
    filled = cu.CUtensorMapFloatOOBfill
    fill = {
        "zero": filled.CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
        "nan": filled.CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA,
    }[told.fill]
    array = (
        len(told.shape), told.address, [cu.cuuint64_t(n) for n in reversed(told.shape)],
        [cu.cuuint64_t(n) for n in reversed(told.strides[:-1])] or [cu.cuuint64_t(0)],  # not NULL
    )  # fmt: skip
    steps = [cu.cuuint32_t(n) for n in reversed(told.element_strides)]
    how = (
        getattr(cu.CUtensorMapInterleave, f"CU_TENSOR_MAP_INTERLEAVE_{told.interleave.upper()}"),
        swizzle,
        cu.CUtensorMapL2promotion.CU_TENSOR_MAP_L2_PROMOTION_L2_256B, fill,
    )  # fmt: skip
    if told.im2col is not None:
        corners = [list(reversed(c)) for c in (told.im2col.lower, told.im2col.upper)]
        made = driver(cu.cuTensorMapEncodeIm2col(
            elements, *array, *corners, told.im2col.channels, told.im2col.pixels, steps, *how
        ))  # fmt: skip
    else:
        box = [cu.cuuint32_t(n) for n in reversed(told.box)]
        made = driver(cu.cuTensorMapEncodeTiled(elements, *array, box, steps, *how))
    return ctypes.string_at(int(made.getPtr()), NBYTES)


class CudaDevice:
    """The first GPU that the driver shows."""

    kind = "cuda"

    def __init__(self) -> None:
        import cupy

        self.xp: Any = cupy
        self.runtime = cupy.cuda.runtime
        cupy.cuda.Device(0).use()
        cupy.zeros(1)  # makes the context
        properties = self.runtime.getDeviceProperties(0)
        self.name = properties["name"].decode()
        self.compute_capability = (int(properties["major"]), int(properties["minor"]))
        self.sm = "sm_{}{}".format(*self.compute_capability)
        self.l2_bytes = int(properties["l2CacheSize"])
        self.driver_version = int(self.runtime.driverGetVersion())
        self.arch = _arch(self.name, properties)
        self._loaded: dict[tuple[int, str], Any] = {}
        self._flush: Any = None

    def __repr__(self) -> str:
        return f"<{self.name}, {self.sm}>"

    def empty(self, shape: Extent, dtype: npt.DTypeLike) -> Any:
        """An array on the GPU; its contents are whatever was there."""
        return self.xp.empty(shape, dtype)

    def asarray(self, array: Any) -> Any:
        """A copy of ``array`` on the GPU."""
        if isinstance(array, self.xp.ndarray):
            return array
        return self.xp.asarray(np.asarray(array))

    def to_host(self, array: Any) -> npt.NDArray[Any]:
        """A NumPy copy; waits for what was launched."""
        if isinstance(array, self.xp.ndarray):
            return np.asarray(self.xp.asnumpy(array))
        return np.array(array)

    def synchronize(self) -> None:
        """Wait until everything launched has finished."""
        self.runtime.deviceSynchronize()

    def _inspect(self, value: Any, who: str) -> ArrayInfo | None:
        if isinstance(value, self.xp.ndarray):
            if value.device.id != 0:
                raise ArgumentError(f"{who} is on GPU {value.device.id}; kernels run on GPU 0")
            return ArrayInfo(value.shape, value.dtype, value.flags.c_contiguous, value.data.ptr)
        if isinstance(value, DeviceArray):
            raise ArgumentError(f"{who} is in the software GPU's memory; this is {self.name}")
        if isinstance(value, np.ndarray) and value.ndim:
            raise ArgumentError(
                f"{who} is a NumPy array in host memory; device.asarray() copies it to the device"
            )
        return None

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
        """The driver's encoding."""
        told = describe(
            array, self._inspect, box, swizzle, fill, element_strides, im2col, interleave
        )
        return MapArgument(told, encode(told), array)

    def _function(self, function: KernelFunction) -> Any:
        """The kernel loaded into the context."""
        from cuda.bindings import driver as cu

        key = (id(function.program), function.name)
        if key not in self._loaded:
            image = function.program.cubin(self.sm)
            module = driver(cu.cuModuleLoadData(image))
            loaded = driver(cu.cuModuleGetFunction(module, function.name.encode()))
            self._loaded[key] = (loaded, module, function.program)  # the program's id stays taken
        return self._loaded[key][0]

    def prepare(
        self,
        kernel: Any,
        grid: Extent,
        block: Extent,
        args: Sequence[Any],
        shared_bytes: int = 0,
        *,
        cluster: Extent | None = None,
        cooperative: bool = False,
    ) -> PreparedLaunch:
        """Check a launch and load its kernel, so that starting it costs microseconds."""
        from cuda.bindings import driver as cu

        function = kernel_of(kernel, args)
        bound = bind(function, args, self._inspect)
        shapes = check_shape(function, grid, block, shared_bytes, self.arch, cluster)
        loaded = self._function(function)
        if shared_bytes + function.static_shared_bytes > DYNAMIC_SHARED_FREE:
            attribute = cu.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            driver(cu.cuFuncSetAttribute(loaded, attribute, shared_bytes))
        together = None if cluster is None else three("cluster", cluster, function.name)
        size = math.prod(together or function.code.required_cluster or (1,))
        if size > PORTABLE:
            attribute = cu.CUfunction_attribute.CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED
            driver(cu.cuFuncSetAttribute(loaded, attribute, 1))
        return PreparedLaunch(
            function, loaded, *shapes, shared_bytes, pack(function, bound), tuple(args),
            launch_attributes(together, cooperative),
        )  # fmt: skip

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
        """Start a kernel on the current stream; it runs while Python goes on."""
        ready = self.prepare(
            kernel, grid, block, args, shared_bytes, cluster=cluster, cooperative=cooperative
        )
        ready.start(self.stream)

    @property
    def stream(self) -> int:
        """The current stream's handle."""
        return int(self.xp.cuda.get_current_stream().ptr)

    def flush_l2(self) -> None:
        """Leave nothing of earlier work in L2, persisting lines included."""
        from cuda.bindings import driver as cu

        driver(cu.cuCtxResetPersistingL2Cache())
        if self._flush is None:
            self._flush = self.xp.empty(2 * max(self.l2_bytes, 32 << 20), dtype=np.uint8)
        self._flush.fill(0)

    def stay_busy(self) -> None:
        """Some 150 us of work, so that the CPU has queued what follows before the GPU gets to it.

        Otherwise a library that takes long to launch a short kernel would be timed for that.
        """
        for _ in range(4):
            self._flush.fill(0)

    def time_work(self, work: Any, *, repeat: int, warmup: int, fresh: Any = None) -> list[float]:
        """Microseconds of ``repeat`` runs of ``work(i)``, each with a flushed L2.

        ``fresh(i)``, untimed, comes before each run: new inputs, poisoned outputs.
        """
        event = self.xp.cuda.Event
        samples = []
        for number in range(warmup + repeat):
            if fresh is not None:
                fresh(number)
            self.flush_l2()
            self.stay_busy()
            start, end = event(), event()
            start.record()
            work(number)
            end.record()
            end.synchronize()
            if number >= warmup:
                samples.append(float(self.xp.cuda.get_elapsed_time(start, end)) * 1e3)
        return samples

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
        """Time a launch by events, L2 flushed before each."""
        ready = self.prepare(
            kernel, grid, block, args, shared_bytes, cluster=cluster, cooperative=cooperative
        )
        stream = self.stream
        with self.range(f"time {ready.function.name}"):
            samples = self.time_work(lambda _: ready.start(stream), repeat=repeat, warmup=warmup)
        return Timing.of(samples)

    @contextmanager
    def range(self, label: str) -> Iterator[None]:
        """A named range that profilers show."""
        self.xp.cuda.nvtx.RangePush(label)
        try:
            yield
        finally:
            self.xp.cuda.nvtx.RangePop()

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
        """Measured time; counters and checks from the software GPU over copies of the arguments.

        A copy counts as written whole: initcheck looks at shared and local memory only.
        """
        from dataclasses import replace

        model = _model()
        host = [self.to_host(a) if isinstance(a, self.xp.ndarray) else a for a in args]
        copies = [model.asarray(a) if isinstance(a, np.ndarray) and a.ndim else a for a in host]
        together: dict[str, Any] = {"cluster": cluster, "cooperative": cooperative}
        report = model.profile(kernel, grid, block, copies, shared_bytes, checks=checks, **together)
        what = "counters and checks" if checks else "counters"
        with self.range(f"profile {report.kernel}"):
            timing = self.time(kernel, grid, block, args, shared_bytes, **together)
        return replace(
            report,
            device=self.name,
            time_us=timing.median_us,
            time_kind="measured",
            notes=(
                *report.notes,
                f"Time measured on {self.name}; {what} from the software GPU, which ran the same "
                "PTX on copies of the arguments.",
            ),
        )


class PreparedLaunch:
    """A launch that has been checked. Starting it again reads the arrays as they are then."""

    def __init__(
        self,
        function: KernelFunction,
        loaded: Any,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        shared_bytes: int,
        params: bytes,
        keep: tuple[Any, ...],
        attributes: list[Any],
    ) -> None:
        self.function = function
        self._loaded = loaded
        self._shape = (*grid, *block, shared_bytes)
        self._attributes = attributes
        self._keep = keep  # the arrays whose addresses are in the block
        # A pointer to each value, not the block as it stands: the machine's own offsets may differ
        # from PTX's, as they do for tensor maps, which are aligned to 64 bytes.
        self._params = np.frombuffer(bytearray(params) or bytearray(8), dtype=np.uint8)
        start = self._params.ctypes.data
        offsets = [start + parameter.offset for parameter in function.code.parameters]
        self._pointers = np.array(offsets or [0], dtype=np.uint64)

    def start(self, stream: int) -> None:
        """Launch on ``stream``."""
        from cuda.bindings import driver as cu

        pointers = self._pointers.ctypes.data
        if not self._attributes:
            driver(cu.cuLaunchKernel(self._loaded, *self._shape, stream, pointers, 0))
            return
        config = launch_config(self._shape, stream, self._attributes)
        driver(cu.cuLaunchKernelEx(config, self._loaded, pointers, 0))


def launch_attributes(cluster: tuple[int, int, int] | None, cooperative: bool) -> list[Any]:
    """What a launch is besides its grid, as ``cuLaunchKernelEx`` takes it."""
    from cuda.bindings import driver as cu

    found = []
    if cluster is not None:
        attribute = cu.CUlaunchAttribute()
        attribute.id = cu.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
        shape = attribute.value.clusterDim
        shape.x, shape.y, shape.z = cluster
        found.append(attribute)
    if cooperative:
        attribute = cu.CUlaunchAttribute()
        attribute.id = cu.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_COOPERATIVE
        attribute.value.cooperative = 1
        found.append(attribute)
    return found


def launch_config(shape: tuple[int, ...], stream: int, attributes: list[Any]) -> Any:
    """A ``CUlaunchConfig`` of grid, block and dynamic shared bytes."""
    from cuda.bindings import driver as cu

    config = cu.CUlaunchConfig()
    config.gridDimX, config.gridDimY, config.gridDimZ = shape[:3]
    config.blockDimX, config.blockDimY, config.blockDimZ = shape[3:6]
    config.sharedMemBytes = shape[6]
    config.hStream = stream
    config.attrs = attributes
    config.numAttrs = len(attributes)
    return config


@functools.cache
def _model() -> EmulatedDevice:
    return EmulatedDevice()


def _arch(name: str, properties: Any) -> Arch:
    """The chip's table: a known one's, with what this device says of itself."""
    from dataclasses import replace

    known = A100 if "A100" in name else H100
    memory_hz = 1e3 * properties.get("memoryClockRate", 0)
    bus_bytes = properties.get("memoryBusWidth", 0) / 8
    return replace(
        known,
        name=name,
        compute_capability=(int(properties["major"]), int(properties["minor"])),
        sm_count=int(properties["multiProcessorCount"]),
        clock_hz=1e3 * properties.get("clockRate", known.clock_hz / 1e3),
        dram_bytes_per_s=2 * memory_hz * bus_bytes or known.dram_bytes_per_s,
        l2_bytes=int(properties["l2CacheSize"]),
        max_shared_per_block=int(
            properties.get("sharedMemPerBlockOptin", known.max_shared_per_block)
        ),
    )
