"""Running a case of the table of planted bugs on the software GPU."""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from emulator import Finding, launch
from kernels.runtime import EmulatedDevice, KernelFunction, cuda_program
from tests.emulator.planted import Array, Case, Number


def run(case: Case, checks: Collection[str] | None = None) -> tuple[Finding, ...]:
    """Launch a case with its check (all, for those that have none) and return the findings."""
    device = EmulatedDevice(timeout_s=60)
    rng = np.random.default_rng(0)
    args = [_argument(device, argument, rng) for argument in case.arguments]
    program = cuda_program(case.source)
    wanted = checks or case.check or "all"
    if case.cooperative:
        return _run_together(device, program["kernel"], case, args, wanted)
    report = device.profile(
        program["kernel"], case.grid, case.block, args, case.shared_bytes,
        checks=wanted,
    )  # fmt: skip
    return report.findings


def _run_together(
    device: EmulatedDevice,
    kernel: KernelFunction,
    case: Case,
    args: Sequence[Any],
    checks: Collection[str],
) -> tuple[Finding, ...]:
    """A cooperative launch, which devices do not have."""
    params = bytearray(kernel.code.parameter_bytes)
    for parameter, argument in zip(kernel.code.parameters, args, strict=True):
        is_array = isinstance(argument, np.ndarray)
        packed = struct.pack("<Q", argument.ctypes.data) if is_array else argument.tobytes()
        params[parameter.offset : parameter.offset + len(packed)] = packed
    grid, block = (*case.grid, 1, 1)[:3], (*case.block, 1, 1)[:3]
    return launch(
        kernel.code, grid, block, bytes(params), device.memory,
        shared_bytes=case.shared_bytes, timeout_s=60, checks=checks, cooperative=True,
    ).findings  # fmt: skip


def _argument(device: EmulatedDevice, argument: Array | Number, rng: np.random.Generator) -> object:
    kind = np.dtype(argument.dtype)
    if isinstance(argument, Number):
        return kind.type(argument.value)
    if argument.fill == "empty":
        return device.empty(argument.size, kind)
    values = {
        "random": lambda n: rng.random(n),
        "arange": np.arange,
        "zeros": np.zeros,
    }[argument.fill](argument.size)
    return device.asarray(values.astype(kind))
