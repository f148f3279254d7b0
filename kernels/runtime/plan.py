"""Plans: a sequence of launches as pure data, to be replayed on any device.

A plan's bytes are a JSON header and the blobs it refers to. Reading them runs nothing: what a
hostile plan could do is what a kernel can do on the device it is replayed on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from emulator import Report
from emulator.signature import Parameter
from kernels.runtime.device import Device
from kernels.runtime.errors import PlanError
from kernels.runtime.program import KernelFunction, Program
from kernels.runtime.timing import Timing

Dim3 = tuple[int, int, int]


@dataclass(frozen=True)
class Buffer:
    """Memory of a plan: an input, a constant or something a kernel fills."""

    name: str
    role: str  # "input", "constant" or "temporary"
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int = 0  # bytes past an aligned address at which it starts
    data: bytes = b""  # of a constant

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


@dataclass(frozen=True)
class View:
    """Part of a buffer, as an array."""

    buffer: int
    start: int  # bytes into it
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


@dataclass(frozen=True)
class Number:
    """A scalar argument."""

    dtype: np.dtype[Any]
    data: bytes


@dataclass(frozen=True)
class Code:
    """A program: PTX, machine code by chip, source for messages, each kernel's parameters."""

    name: str
    ptx: str
    cubins: tuple[tuple[str, bytes], ...]
    sources: tuple[tuple[str, str], ...]
    parameters: tuple[tuple[str, tuple[Parameter, ...]], ...]


@dataclass(frozen=True)
class PlannedLaunch:
    """One launch: kernel ``kernel`` of program number ``code``."""

    code: int
    kernel: str
    grid: Dim3
    block: Dim3
    shared_bytes: int
    arguments: tuple[View | Number, ...]
    cluster: Dim3 | None = None
    cooperative: bool = False


class Call(NamedTuple):
    """A launch with its arrays on a device."""

    function: KernelFunction
    grid: Dim3
    block: Dim3
    args: list[Any]
    shared_bytes: int
    cluster: Dim3 | None
    cooperative: bool

    def by(self, run: Callable[..., Any], **options: Any) -> Any:
        """``device.launch``, ``device.profile`` or ``device.prepare`` of it."""
        return run(*self[:5], cluster=self.cluster, cooperative=self.cooperative, **options)


@dataclass(frozen=True)
class Plan:
    """The launches that a ``solve`` made, over named buffers."""

    buffers: tuple[Buffer, ...]
    codes: tuple[Code, ...]
    launches: tuple[PlannedLaunch, ...]
    outputs: tuple[View, ...]

    @property
    def inputs(self) -> tuple[Buffer, ...]:
        """The buffers that ``run`` is given values for, in order."""
        return tuple(b for b in self.buffers if b.role == "input")

    def to_bytes(self) -> bytes:
        """The plan as bytes, for :meth:`from_bytes`."""
        from kernels.runtime.plan_format import encode

        return encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Plan:
        """Read a plan. Raises :class:`PlanError` for anything that is not one."""
        from kernels.runtime.plan_format import decode

        return decode(data)

    @cached_property
    def functions(self) -> tuple[KernelFunction, ...]:
        """The kernel of each launch."""
        programs = [
            Program(code.name, code.ptx, dict(code.cubins), dict(code.sources))
            for code in self.codes
        ]
        found = []
        for launch in self.launches:
            program = programs[launch.code]
            declared = dict(self.codes[launch.code].parameters).get(launch.kernel)
            function = KernelFunction(
                program,
                launch.kernel,
                program.kernels[launch.kernel].parameters if declared is None else declared,
                program.resources.get(launch.kernel),
            )
            found.append(function)
        return tuple(found)

    def load(self, device: Device, inputs: Sequence[npt.ArrayLike]) -> LoadedPlan:
        """The plan's buffers on a device, inputs filled in and the rest poisoned."""
        return LoadedPlan(self, device, inputs)

    def run(self, device: Device, inputs: Sequence[npt.ArrayLike]) -> list[npt.NDArray[Any]]:
        """Replay over fresh buffers; the outputs, on the host."""
        loaded = self.load(device, inputs)
        loaded.launch()
        return loaded.outputs()

    def profile(self, device: Device, inputs: Sequence[npt.ArrayLike]) -> list[Report]:
        """Replay with counters: one report a launch."""
        loaded = self.load(device, inputs)
        return [call.by(device.profile) for call in loaded.calls()]

    def time(
        self,
        device: Device,
        inputs: Sequence[npt.ArrayLike],
        *,
        repeat: int = 20,
        warmup: int = 3,
    ) -> Timing:
        """How long one replay takes: all its launches together."""
        return time_plans(device, [self], [inputs], repeat=repeat, warmup=warmup)[0]


class LoadedPlan:
    """A plan whose buffers are on a device."""

    def __init__(self, plan: Plan, device: Device, inputs: Sequence[npt.ArrayLike]) -> None:
        self.plan = plan
        self.device = device
        self.memory: list[Any] = []
        for buffer in plan.buffers:
            raw = device.empty(buffer.nbytes + buffer.offset, np.uint8)
            self.memory.append(raw[buffer.offset :])
        self.fill(inputs)

    def fill(self, inputs: Sequence[npt.ArrayLike]) -> None:
        """Set the inputs and constants; poison everything else."""
        expected = self.plan.inputs
        if len(inputs) != len(expected):
            raise PlanError(f"the plan takes {len(expected)} inputs; {len(inputs)} were given")
        given = iter(inputs)
        for buffer, memory in zip(self.plan.buffers, self.memory, strict=True):
            if buffer.role == "temporary":
                memory.fill(0xFF)
                continue
            if buffer.role == "input":
                value = np.asarray(next(given))
                if value.shape != buffer.shape or value.dtype != buffer.dtype:
                    raise PlanError(
                        f"input {buffer.name!r} must be {buffer.dtype} of shape {buffer.shape}; "
                        f"it is {value.dtype} of shape {value.shape}"
                    )
                data = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
            else:
                data = np.frombuffer(buffer.data, dtype=np.uint8)
            if data.size:
                memory[...] = self.device.asarray(data)

    def array(self, view: View) -> Any:
        """A view of a buffer on the device."""
        part = self.memory[view.buffer][view.start : view.start + view.nbytes]
        return part.view(view.dtype).reshape(view.shape)

    def calls(self) -> list[Call]:
        """The arguments of every launch."""
        return [
            Call(
                function,
                launch.grid,
                launch.block,
                [
                    self.array(a) if isinstance(a, View) else np.frombuffer(a.data, a.dtype)[0]
                    for a in launch.arguments
                ],
                launch.shared_bytes,
                launch.cluster,
                launch.cooperative,
            )
            for function, launch in zip(self.plan.functions, self.plan.launches, strict=True)
        ]

    def launch(self) -> None:
        """Run every launch in order."""
        for call in self.calls():
            call.by(self.device.launch)

    def outputs(self) -> list[npt.NDArray[Any]]:
        """What was computed, on the host."""
        return [self.device.to_host(self.array(view)) for view in self.plan.outputs]

    def inputs_now(self) -> list[npt.NDArray[Any]]:
        """The input buffers as they are on the device: a kernel may have written to them."""
        return [
            self.device.to_host(memory).view(buffer.dtype).reshape(buffer.shape)
            for buffer, memory in zip(self.plan.buffers, self.memory, strict=True)
            if buffer.role == "input"
        ]


def time_plans(
    device: Device,
    plans: Sequence[Plan],
    inputs: Sequence[Sequence[npt.ArrayLike]],
    *,
    repeat: int = 20,
    warmup: int = 3,
    check: Any = None,
) -> list[Timing]:
    """Time plans against each other: their runs alternate, so that a drift meets all alike.

    ``inputs[i]`` are plan ``i``'s. Each run has a flushed L2 and poisoned outputs; after it,
    untimed, ``check(i, outputs)`` sees what it computed. On the software GPU the time is modelled,
    and one run says it.
    """
    loaded = [plan.load(device, given) for plan, given in zip(plans, inputs, strict=True)]
    if device.kind == "emulated":
        timings = []
        for number, one in enumerate(loaded):
            reports = [call.by(device.profile) for call in one.calls()]
            if check is not None:
                check(number, one.outputs())
            timings.append(Timing.of([sum(r.time_us or 0.0 for r in reports)], "modelled"))
        return timings
    return _measure(device, loaded, inputs, repeat, warmup, check)


def _measure(
    device: Any,
    loaded: Sequence[LoadedPlan],
    inputs: Sequence[Sequence[npt.ArrayLike]],
    repeat: int,
    warmup: int,
    check: Any,
) -> list[Timing]:
    prepared = [[call.by(device.prepare) for call in p.calls()] for p in loaded]
    samples: list[list[float]] = [[] for _ in loaded]
    stream = device.stream
    for number in range(warmup + repeat):
        for i, one in enumerate(loaded):
            one.fill(inputs[i])

            def work(_: int, launches: Any = prepared[i]) -> None:
                for ready in launches:
                    ready.start(stream)

            with device.range(f"plan {i}"):
                took = device.time_work(work, repeat=1, warmup=0)
            if number >= warmup:
                samples[i] += took
            if check is not None:
                check(i, one.outputs())
    return [Timing.of(found) for found in samples]
