"""Recording: what ``solve`` launches, without running it.

``solve`` is called with a device whose arrays are handles: they have a shape and a dtype but no
values, so what is launched cannot depend on the data. That is what makes a plan replayable on other
inputs, on other devices, and in a process that does not trust whoever wrote ``solve``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from emulator import H100, Arch
from kernels.runtime.arguments import ArrayInfo, Bound, alignment_of, bind, three
from kernels.runtime.device import Extent, kernel_of
from kernels.runtime.emulated import check_shape
from kernels.runtime.errors import ArgumentError, RecordingError
from kernels.runtime.plan import Buffer, Code, Number, Plan, PlannedLaunch, View
from kernels.runtime.program import DEFAULT_ARCH, KernelFunction, Program

WHY = (
    "while a plan is recorded, arrays have a shape and a dtype but no values: the launches must "
    "not depend on the data. Compute it in a kernel, or from shapes"
)


@dataclass(frozen=True)
class ArraySpec:
    """An input that ``solve`` will be given: ``offset`` elements past an aligned address."""

    name: str
    shape: tuple[int, ...]
    dtype: npt.DTypeLike
    offset: int = 0


class Handle:
    """An array of a recording: shape and dtype, no values."""

    __array_ufunc__ = None  # NumPy leaves arithmetic with handles to the methods below

    def __init__(
        self, recorder: RecordingDevice, buffer: int, start: int, shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> None:  # fmt: skip
        self._recorder = recorder
        self._buffer = buffer
        self._start = start
        self.shape = shape
        self.dtype = dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return int(self.dtype.itemsize)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.size * self.itemsize

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without axes")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<array of {self.dtype}, shape {self.shape}, being recorded>"

    def reshape(self, *shape: Any) -> Handle:
        """The same elements in another shape."""
        wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
        shaped = np.broadcast_to(np.uint8(0), self.shape).reshape(wanted).shape
        return Handle(self._recorder, self._buffer, self._start, shaped, self.dtype)

    def ravel(self) -> Handle:
        """One axis."""
        return self.reshape(-1)

    def view(self, dtype: npt.DTypeLike) -> Handle:
        """The same bytes as another type."""
        kind = np.dtype(dtype)
        last = self.shape[-1] * self.itemsize if self.shape else self.itemsize
        if last % kind.itemsize:
            raise ArgumentError(f"{last} bytes a row are not a whole number of {kind}")
        shape = (*self.shape[:-1], last // kind.itemsize)
        return Handle(self._recorder, self._buffer, self._start, shape, kind)

    def __getitem__(self, key: Any) -> Handle:
        if not isinstance(key, slice) or key.step not in (None, 1) or not self.shape:
            raise RecordingError(f"only contiguous slices of an array can be taken here: {WHY}")
        first, last, _ = key.indices(self.shape[0])
        row = self.nbytes // self.shape[0] if self.shape[0] else 0
        shape = (max(last - first, 0), *self.shape[1:])
        return Handle(self._recorder, self._buffer, self._start + first * row, shape, self.dtype)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise RecordingError(f"an array's values were asked for; {WHY}")

    __array__ = __bool__ = __iter__ = __int__ = __float__ = __index__ = __setitem__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __neg__ = __matmul__ = _refuse
    __contains__ = item = tolist = sum = min = max = mean = get = copy = astype = _refuse

    def __eq__(self, other: object) -> bool:
        self._refuse()

    def __ne__(self, other: object) -> bool:
        self._refuse()

    __hash__ = object.__hash__


class RecordingDevice:
    """What ``solve`` gets as its device while it is recorded."""

    kind = "recording"

    def __init__(self, arch: Arch = H100) -> None:
        self.arch = arch
        self.name = f"recording for {arch.name}"
        self.buffers: list[Buffer] = []
        self.programs: list[Program] = []
        self.launches: list[PlannedLaunch] = []
        self._parameters: dict[int, dict[str, KernelFunction]] = {}

    @property
    def xp(self) -> Any:
        """Neither NumPy nor CuPy works on handles."""
        raise RecordingError(f"device.xp is not there: {WHY}")

    def _add(self, buffer: Buffer) -> Handle:
        self.buffers.append(buffer)
        return Handle(self, len(self.buffers) - 1, 0, buffer.shape, buffer.dtype)

    def input(self, spec: ArraySpec) -> Handle:
        """A handle for an input."""
        dtype = np.dtype(spec.dtype)
        offset = spec.offset * dtype.itemsize
        return self._add(Buffer(spec.name, "input", tuple(spec.shape), dtype, offset))

    def empty(self, shape: Extent, dtype: npt.DTypeLike) -> Handle:
        """A new array, poisoned when the plan runs."""
        extents = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
        if any(extent < 0 for extent in extents):
            raise ArgumentError(f"an array cannot have shape {extents}")
        whole = tuple(int(extent) for extent in extents)
        return self._add(Buffer(f"array {len(self.buffers)}", "temporary", whole, np.dtype(dtype)))

    def asarray(self, array: Any) -> Handle:
        """A constant of the plan; handles are returned as they are."""
        if isinstance(array, Handle):
            return array
        host = np.ascontiguousarray(array)
        name = f"constant {len(self.buffers)}"
        return self._add(Buffer(name, "constant", host.shape, host.dtype, 0, host.tobytes()))

    def to_host(self, array: Any) -> NoReturn:
        """There is nothing to copy yet."""
        raise RecordingError(f"to_host() was called; {WHY}")

    def time(self, *_: Any, **__: Any) -> NoReturn:
        """Nothing runs while recording."""
        raise RecordingError(f"time() was called; nothing runs while recording: {WHY}")

    def profile(self, *_: Any, **__: Any) -> NoReturn:
        """Nothing runs while recording."""
        raise RecordingError(f"profile() was called; nothing runs while recording: {WHY}")

    def synchronize(self) -> None:
        """Nothing is outstanding."""

    def _inspect(self, value: Any, who: str) -> ArrayInfo | None:
        if isinstance(value, Handle):
            if value._recorder is not self:
                raise ArgumentError(f"{who} is an array of another recording")
            address = self.buffers[value._buffer].offset + value._start
            return ArrayInfo(value.shape, value.dtype, True, address)
        if isinstance(value, np.ndarray) and value.ndim:
            raise ArgumentError(
                f"{who} is a NumPy array in host memory; device.asarray() puts it into the plan"
            )
        return None

    def alignment(self, array: Any) -> int:
        """The largest power of two up to 256 bytes that ``array`` begins at a multiple of."""
        return alignment_of(array, self._inspect)

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
        """Check a launch as a device would, and note it."""
        function = kernel_of(kernel, args)
        bound = bind(function, args, self._inspect)
        shapes = check_shape(function, grid, block, shared_bytes, self.arch, cluster)
        if function.program not in self.programs:
            self.programs.append(function.program)
        code = self.programs.index(function.program)
        self._parameters.setdefault(code, {})[function.name] = function
        arguments = tuple(_argument(one, value) for one, value in zip(bound, args, strict=True))
        together = None if cluster is None else three("cluster", cluster, function.name)
        self.launches.append(
            PlannedLaunch(
                code, function.name, *shapes, shared_bytes, arguments, together, cooperative
            )
        )

    def _machine_code(self, program: Program) -> tuple[tuple[str, bytes], ...]:
        """For the default chip, whose registers reports quote, and for the one recorded for."""
        chips = dict.fromkeys((DEFAULT_ARCH, "sm_{}{}".format(*self.arch.compute_capability)))
        return tuple((chip, program.cubin(chip)) for chip in chips)

    def plan(self, outputs: Any) -> Plan:
        """What was recorded, with what ``solve`` returned as its outputs."""
        returned = outputs if isinstance(outputs, tuple | list) else (outputs,)
        for value in returned:
            if not isinstance(value, Handle) or value._recorder is not self:
                raise RecordingError(
                    "solve() must return the array (or the arrays) that it computed on the device; "
                    f"it returned {value!r}"
                )
        codes = tuple(
            Code(
                program.name,
                program.ptx,
                self._machine_code(program),
                tuple(program.sources.items()),
                tuple(
                    (name, function.parameters)
                    for name, function in self._parameters[number].items()
                ),
            )
            for number, program in enumerate(self.programs)
        )
        views = tuple(View(v._buffer, v._start, v.shape, v.dtype) for v in returned)
        return Plan(tuple(self.buffers), codes, tuple(self.launches), views)


def _argument(bound: Bound, value: Any) -> View | Number:
    if isinstance(value, Handle):
        return View(value._buffer, value._start, value.shape, value.dtype)
    dtype = bound.parameter.dtype or np.dtype(f"V{len(bound.scalar)}")
    return Number(dtype, bound.scalar)


def record(solve: Callable[..., Any], *specs: Any, arch: Arch = H100) -> Plan:
    """Record what ``solve(device, *arguments)`` launches.

    Each of ``specs`` is an :class:`ArraySpec`, for which ``solve`` gets a handle, or a plain value,
    which it gets as it is. ``solve`` returns the array it computed, or a tuple of arrays.

    Raises :class:`RecordingError` when ``solve`` asks for values, and whatever ``solve`` raises.
    """
    device = RecordingDevice(arch)
    arguments = [device.input(spec) if isinstance(spec, ArraySpec) else spec for spec in specs]
    return device.plan(solve(device, *arguments))
