"""Running a case of the table of planted bugs on the software GPU."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from emulator import Finding
from kernels.runtime import EmulatedDevice, cuda_program
from tests.emulator.planted import Array, Case, Number


def run(case: Case, checks: Collection[str] | None = None) -> tuple[Finding, ...]:
    """Launch a case with its check (all, for those that have none) and return the findings."""
    device = EmulatedDevice(timeout_s=60)
    rng = np.random.default_rng(0)
    args = [_argument(device, argument, rng) for argument in case.arguments]
    program = cuda_program(case.source)
    wanted = checks or case.check or "all"
    report = device.profile(
        program["kernel"], case.grid, case.block, args, case.shared_bytes,
        checks=wanted, cooperative=case.cooperative,
    )  # fmt: skip
    return report.findings


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
