"""One launch while it runs."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
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
    Cluster,
    Context,
    Site,
    Warp,
)
from emulator.occupancy import Occupancy
from emulator.report import Dim3

if TYPE_CHECKING:
    from emulator.caches import Caches
    from emulator.checks import Watch


@dataclass(eq=False)
class Slot:
    """The state of one resident block."""

    state: BlockState
    storage: np.ndarray  # of its warps; keeps them alive
    shared: Allocation
    local: Allocation | None
    kept: np.ndarray  # what calls of functions on the stack keep
    cluster: Cluster | None = None  # of a launch in clusters
    peers: list[Slot] = field(default_factory=list)  # its blocks by rank, of the first of them

    @property
    def address(self) -> int:
        """What the scheduler runs: the block, or its cluster."""
        return ctypes.addressof(self.cluster if self.cluster is not None else self.state)

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


def residents(slots: Iterable[Slot]) -> list[Slot]:
    """The blocks themselves, where slots stand for whole clusters."""
    return [block for slot in slots for block in (slot.peers or [slot])]


def peers_of(launch: Launch, slot: Slot) -> list[Slot]:
    """The blocks of a block's cluster, by rank."""
    leader = next((s for s in launch.slots if slot in s.peers), slot)
    return leader.peers or [slot]


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
    fits: Occupancy  # what an SM holds
    slots: list[Slot]
    checks: frozenset[str] = frozenset({"memcheck"})
    host_calls: int = 0  # made so far: what they print or allocate is progress
    watch: Watch | None = None  # what racecheck and initcheck remember
    caches: Caches | None = None  # modelled under counters
    cluster: Dim3 = (1, 1, 1)  # blocks
    clustered: bool = False  # its blocks run in clusters, if only of one

    @property
    def cluster_blocks(self) -> int:
        """Blocks that start together."""
        return math.prod(self.cluster)
