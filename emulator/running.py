"""One launch while it runs: its blocks' state, and how many of them fit on the chip."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emulator.arch import Arch
from emulator.memory import Allocation, DeviceMemory
from emulator.module import Kernel
from emulator.native.layout import (
    KEPT_TOP_AT,
    LANES,
    LOCAL_TOP_AT,
    BlockState,
    Context,
    Site,
    Warp,
)
from emulator.report import Dim3

if TYPE_CHECKING:
    from emulator.checks import Watch


@dataclass
class Slot:
    """The state of one resident block."""

    state: BlockState
    storage: np.ndarray  # of its warps; keeps them alive
    shared: Allocation
    local: Allocation | None
    kept: np.ndarray  # what calls of functions on the stack keep

    def warp(self, launch: Launch, index: int) -> Warp:
        return Warp.from_address(self.state.warps + index * launch.context.warp_bytes)

    def private(self, launch: Launch) -> list[np.ndarray]:
        """Local memory, and what calls keep: of a stack, as far up as any thread's is in use."""
        context = launch.context
        local = [] if self.local is None else [self.local.view()]
        if not context.stack_bytes:
            return local
        rows = self.storage.reshape(context.warps, -1)
        tops = [
            int(rows[:, at : at + 4 * LANES].copy().view(np.uint32).max())
            for at in (LOCAL_TOP_AT, KEPT_TOP_AT)
        ]
        static = launch.kernel.local_bytes
        used = [view.reshape(-1, context.local_bytes)[:, : static + tops[0]] for view in local]
        used.append(self.kept.reshape(-1, context.stack_bytes)[:, : tops[1]])
        return [np.ascontiguousarray(part) for part in used]


@dataclass
class Launch:
    """Everything of one launch that faults and reports look at."""

    kernel: Kernel
    grid: Dim3
    block: Dim3
    dynamic_shared_bytes: int
    memory: DeviceMemory
    arch: Arch
    argument_names: tuple[str, ...]
    context: Context
    sites: ctypes.Array[Site]
    block_counts: np.ndarray  # (blocks of the graph, 2): warps, lanes
    slots: list[Slot]
    checks: frozenset[str] = frozenset({"memcheck"})
    host_calls: int = 0  # made so far: what they print or allocate is progress
    watch: Watch | None = None  # what racecheck and initcheck remember


def resident_blocks(launch: Launch, registers: int | None) -> int:
    """Blocks that the chip would hold at once, over all its SMs."""
    return blocks_per_sm(launch, registers)[0] * launch.arch.sm_count


def blocks_per_sm(launch: Launch, registers: int | None) -> tuple[int, str]:
    """Resident blocks an SM, and what limits them."""
    arch, context = launch.arch, launch.context
    warps = context.warps
    limits = {"blocks": arch.max_blocks_per_sm, "threads": arch.max_threads_per_sm // (32 * warps)}
    if context.shared_bytes:
        limits["shared memory"] = arch.max_shared_per_sm // (context.shared_bytes + 1024)
    if registers:
        a_warp = -(-registers // 8) * 8 * 32
        limits["registers"] = arch.registers_per_sm // (a_warp * warps)
    limiter = min(limits, key=lambda name: limits[name])
    return max(limits[limiter], 1), limiter
