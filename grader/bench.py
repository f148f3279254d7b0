"""Where a task is judged: device, seed, solution; inputs and answers from them."""

from __future__ import annotations

import functools
import importlib.util
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from grader.lab import Array, Case, Expected, Task
from grader.sandbox import Limits
from kernels.runtime import Device, EmulatedDevice, Plan, record


@dataclass(frozen=True)
class Bench:
    """Where and how a task is judged."""

    root: Path  # of the course
    solutions: Path  # of the lab
    device: Device
    seed: int
    hidden: bool  # also draw hidden cases
    limits: Limits = field(default_factory=Limits)
    kernel_seconds: float = 30.0  # for all launches of one run, on the software GPU

    @functools.cached_property
    def model(self) -> EmulatedDevice:
        """The software GPU: it counts, and screens what a real one would choke on."""
        if isinstance(self.device, EmulatedDevice):
            return self.device
        return EmulatedDevice()

    def rng(self, *what: str | int) -> np.random.Generator:
        """Random numbers for one purpose, the same whenever seed and purpose are."""
        words = [w if isinstance(w, int) else zlib.crc32(w.encode()) for w in what]
        return np.random.default_rng([self.seed, *words])


def answers(
    task: Task, case: Case, bench: Bench, run: str | int
) -> tuple[tuple[Array, ...], tuple[Expected, ...]]:
    """Inputs of a run, which cannot be written to, and what should come out."""
    inputs = task.make_inputs(case, bench.rng(task.name, case.name, "inputs", run))
    for array in inputs:
        array.setflags(write=False)
    return inputs, task.reference(case, *inputs)


def reference_plan(task: Task, case: Case, bench: Bench) -> Plan:
    """The solution's plan. Solutions are the course's own files, so they are run here."""
    path = bench.solutions / f"{task.name}.py"
    solve = _solution(path, path.stat().st_mtime_ns).solve
    return record(solve, *task.arguments(case), arch=bench.device.arch)


@functools.cache
def _solution(path: Path, _changed: int) -> Any:
    spec = importlib.util.spec_from_file_location(f"coalesce_solution_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
