"""Replaying plans: on the software GPU with a deadline, on a GPU against the solution."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from grader.lab import Array
from kernels.runtime import Device, EmulatedDevice, LaunchTimeout, Plan, Report, Timing
from kernels.runtime.plan import LoadedPlan

MAX_PTX_BYTES = 4 << 20
MAX_LAUNCHES = 1000
SPARE_BYTES = 64 << 20


@dataclass(frozen=True)
class Replayed:
    """What a run left behind."""

    outputs: list[Array]
    inputs: list[Array]  # as they are after the run
    reports: tuple[Report, ...] = ()
    shared_bytes: int = 0  # shared memory of a block, of the launch that has most
    threads: int = 0  # of the launch that has most


def too_large(plan: Plan, needed_bytes: int) -> str | None:
    """Why a plan is refused before it is run; None when it is not.

    ``needed_bytes`` are those of the task's inputs and outputs.
    """
    nbytes = sum(buffer.nbytes + buffer.offset for buffer in plan.buffers)
    most = SPARE_BYTES + 8 * needed_bytes
    if nbytes > most:
        return f"its arrays take {nbytes:,} bytes; the task allows {most:,}"
    ptx = sum(len(code.ptx) for code in plan.codes)
    if ptx > MAX_PTX_BYTES:
        return f"its kernels are {ptx:,} bytes of PTX; {MAX_PTX_BYTES:,} are allowed"
    if len(plan.launches) > MAX_LAUNCHES:
        return f"it makes {len(plan.launches):,} launches; {MAX_LAUNCHES:,} are allowed"
    return None


def replay(
    plan: Plan,
    device: Device,
    inputs: Sequence[Array],
    *,
    seconds: float,
    counters: bool = False,
    checks: Collection[str] = (),
) -> Replayed:
    """Run a plan once over poisoned buffers.

    Raises what the device raises, and :class:`LaunchTimeout` when all launches together take
    longer than ``seconds`` on the software GPU. ``counters`` and ``checks`` are the software GPU's
    alone; either brings reports.
    """
    loaded = plan.load(device, inputs)
    until = time.monotonic() + seconds
    reports = []
    most_shared = most_threads = 0
    for call in loaded.calls():
        function = call.function
        most_shared = max(most_shared, function.static_shared_bytes + call.shared_bytes)
        most_threads = max(most_threads, math.prod(call.grid) * math.prod(call.block))
        if isinstance(device, EmulatedDevice):
            left = until - time.monotonic()
            if left <= 0:
                raise LaunchTimeout(f"the launches before {function.name} took {seconds:g} s")
            device.timeout_s = max(round(left, 1), 0.1)
        if counters or checks:
            reports.append(call.by(device.profile, checks=checks))
        else:
            call.by(device.launch)
    device.synchronize()
    return Replayed(
        loaded.outputs(), loaded.inputs_now(), tuple(reports), most_shared, most_threads
    )


def race(
    device: Any,
    plans: Sequence[Plan],
    fresh_inputs: Callable[[int, int], Sequence[Array]],
    check: Callable[[int, int, list[Array]], None],
    *,
    rounds: int = 12,
    sets: int = 3,
) -> list[Timing]:
    """Time plans against each other on a GPU, run by run in turn.

    ``fresh_inputs(plan, set)`` are values for a plan; no two plans have the same, and from run to
    run a plan's change, so that nothing computed earlier is of use. Each run has poisoned outputs
    and a flushed L2, and ``check(plan, set, outputs)`` sees what it computed.
    """
    prepared: list[tuple[LoadedPlan, list[Any]]] = []
    values = [[fresh_inputs(i, s) for s in range(sets)] for i in range(len(plans))]
    for i, plan in enumerate(plans):
        loaded = plan.load(device, values[i][0])
        ready = [call.by(device.prepare) for call in loaded.calls()]
        prepared.append((loaded, ready))
    samples: list[list[float]] = [[] for _ in plans]
    stream = device.stream
    for number in range(rounds + 1):
        for i, (loaded, ready) in enumerate(prepared):
            which = number % sets
            loaded.fill(values[i][which])

            def work(_: int, launches: Sequence[Any] = ready) -> None:
                for launch in launches:
                    launch.start(stream)

            with device.range(f"plan {i}"):
                took = device.time_work(work, repeat=1, warmup=0)
            if number:  # the first run of each is a warm-up
                samples[i] += took
            check(i, which, loaded.outputs())
    return [Timing.of(found) for found in samples]
