"""Running the blocks of a launch: slots on the chip, and what stops them."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence

import numpy as np

from emulator.clusters import blocks_in_order
from emulator.cores import Crew, blocks_are_alone
from emulator.deadlock import Stillness, raise_deadlock, where_threads_are
from emulator.errors import LaunchError, LaunchTimeout
from emulator.faults import raise_fault
from emulator.hostcalls import HostCalls
from emulator.memory import ALIGNMENT, Allocation
from emulator.native import jit
from emulator.native.clusters import ENTRIES as CLUSTER_ENTRIES
from emulator.native.layout import (
    CONSTANT,
    DONE,
    FAULT,
    LOCAL,
    PAUSE,
    SHARED,
    SITE_BYTES,
    STUCK,
    YIELD,
    BlockState,
    Cluster,
    Site,
    Warp,
)
from emulator.native.scheduler import BUDGET
from emulator.running import Launch, Slot

CHUNK_SECONDS = 0.02  # how long native code runs before Python may look at the clock or at Ctrl-C
PATIENCE = 64  # how often a block that does not seem to wait goes on before others start
MOST_SHUFFLED = 1 << 24  # blocks; more than that start in order even with a seed
ORDERLY_AFTER = 256  # rounds without an end, after which a seeded run is orderly: does it go round?
FEW = 8  # waiting blocks; each of more than that gets one round at a time
WORTH_SECONDS = 0.01  # of work, on either side, for which several cores are worth their threads
WORKSPACE_BYTES = 1024
SHARED_ALIGNMENT = 1024  # of generic addresses: what the swizzles of TMA and wgmma ask for
SITE_BOUNDS = slice(Site.low.offset // 8, Site.high.offset // 8 + 1)


class Runner:
    """Deals blocks to slots. One slot runs block after block; a block that yields makes room."""

    def __init__(
        self,
        launch: Launch,
        params: bytes,
        counters: bool,
        temporary: list[Allocation],
        seed: int | None = None,
        cores: int = 1,
        cooperative: bool = False,
    ) -> None:
        self.launch = launch
        self.context = launch.context
        self.temporary = temporary
        memory, kernel = launch.memory, launch.kernel
        variables = kernel.module.variables_in(memory)
        table = [variables[v.name].address for v in kernel.module.global_variables]
        self.symbols = (ctypes.c_uint64 * max(len(table), 1))(*table)
        self.calls = np.array(kernel.plan.words, dtype=np.int64)
        self.context.calls = self.calls.ctypes.data
        self.context.symbols = ctypes.addressof(self.symbols)
        block = self._allocate(max(len(params), 16), "the kernel's parameters", writable=False)
        block.view()[: len(params)] = np.frombuffer(params, dtype=np.uint8)
        self.context.params = block.address
        self.kinds: dict[int, int] = {block.address: CONSTANT}
        self.regions_version = -1
        self.regions = memory.regions()
        self.started = 0.0
        self.timeout_s: float | None = None
        self.progress = "no blocks had finished"
        self.stillness = Stillness(launch)
        self._start_in_order(None)
        self.random = self._shuffle(seed) if seed is not None else None
        self.context.budget = BUDGET if seed is None else 0
        stack = self.context.stack_bytes * 32 * self.context.warps
        room = memory.capacity // 4 // max(stack, 1)
        self.max_resident = max(min(launch.fits.blocks_per_sm * launch.arch.sm_count, room), 1)
        self.max_resident = max(self.max_resident // launch.cluster_blocks, 1)  # clusters
        self.cores = cores
        if cooperative:
            self._make_workspace()
        self.host_calls = HostCalls(launch, self._refresh_regions, self._stop_when_late)
        self.context.host_call = self.host_calls.address
        machine = jit.machine()
        entries = CLUSTER_ENTRIES if launch.clustered else jit.SCHEDULER_ENTRIES
        if launch.clustered:
            jit.require("units.cluster", "units.window", "units.postbox")
        self.run_blocks = jit.RunBlocks(machine.routines[entries[0]])
        self.step_block = jit.StepBlock(machine.routines[entries[1]])

    def _make_workspace(self) -> None:
        """What a grid's barrier needs (cooperative_groups/details/driver_abi.h): two words."""
        x, y, z = self.launch.grid
        fit = self.max_resident * self.launch.cluster_blocks
        if x * y * z > fit:
            fits, arch = self.launch.fits, self.launch.arch
            raise LaunchError(
                f"{self.launch.kernel.name}: a cooperative launch needs its {x * y * z:,} blocks "
                f"on the chip at once, and {fit:,} fit: {fits.blocks_per_sm} on each "
                f"of {arch.sm_count} SMs of {arch.name}, limited by {fits.limiter}"
            )
        workspace = self._allocate(WORKSPACE_BYTES, "the grid's barrier", poison=False)
        workspace.view()[:] = 0
        workspace.view()[:4].view(np.uint32)[0] = WORKSPACE_BYTES
        self.context.workspace = workspace.address

    def _shuffle(self, seed: int) -> np.random.Generator:
        """Shuffle everything that a program must not rely on, always the same for one seed."""
        jit.require("units.turns")
        random = np.random.default_rng(seed)
        total = self._total()
        if total * self.launch.cluster_blocks <= MOST_SHUFFLED:
            self._start_in_order(random.permutation(total).astype(np.uint64))
        self.context.random = int(random.integers(1, 1 << 63))
        return random

    def _total(self) -> int:
        """Blocks, or clusters of a launch that has them."""
        x, y, z = self.launch.grid
        return x * y * z // self.launch.cluster_blocks

    def _start_in_order(self, order: np.ndarray | None) -> None:
        """The order in which blocks (or clusters) start; None: as they come."""
        if self.launch.clustered:
            order = blocks_in_order(self.launch.grid, self.launch.cluster, order)
        if order is not None:
            self.order = order
            self.context.order = order.ctypes.data

    def _allocate(
        self,
        nbytes: int,
        name: str,
        *,
        align: int = ALIGNMENT,
        poison: bool = True,
        writable: bool = True,
    ) -> Allocation:
        allocation = self.launch.memory.allocate(
            nbytes, name, align, poison=poison, writable=writable
        )
        self.temporary.append(allocation)
        return allocation

    def run(
        self, timeout_s: float | None, progress: Callable[[int, int], None] | None = None
    ) -> None:
        self.started = time.monotonic()
        self.timeout_s = timeout_s
        total = self._total()
        following = ctypes.c_uint64(0)
        chunk = 1
        idle: list[Slot] = []
        waiting: list[Slot] = []
        while following.value < total or waiting:
            if not waiting and self._is_worth_cores(following.value, total):
                self._run_on_cores(idle, following.value, total, progress)
                return
            # As many blocks start as wait, and one: were it always one, a grid of which all wait
            # for the last would take the square of its size.
            for _ in range(min(len(waiting) + 1, self.max_resident - len(waiting))):
                if following.value == total:
                    break
                slot = idle.pop() if idle else self._new_slot()
                self._refresh_regions()
                before = time.perf_counter()
                # one block at a time beside others: a run must not depend on the host's speed
                last = min(following.value + (1 if waiting or self.random else chunk), total)
                status = self.run_blocks(
                    ctypes.addressof(self.context), slot.address,
                    following.value, last, ctypes.addressof(following),
                )  # fmt: skip
                took = time.perf_counter() - before
                chunk = min(chunk * 2, 1 << 30) if took < CHUNK_SECONDS else max(chunk // 2, 1)
                (waiting if self._goes_on(slot, self._insist(slot, status)) else idle).append(slot)
                self._stop_when_late(waiting)
            if self.random is not None:
                self.random.shuffle(waiting)
            several = self.random is not None or len(waiting) > FEW
            self.context.budget = 0 if several else BUDGET
            for slot in list(waiting):
                if not self._goes_on(slot, self._step(slot)):
                    waiting.remove(slot)
                    idle.append(slot)
            self.context.budget = BUDGET if self.random is None else 0
            may_start = following.value < total and len(waiting) < self.max_resident
            if self.random is not None and self.stillness.rounds > ORDERLY_AFTER:
                self.random, self.context.random = None, 0
            self.stillness.look(waiting, following.value - len(waiting), may_start)
            self._tell(following.value - len(waiting), total, progress)
            if following.value < total or waiting:
                self._stop_when_late(waiting)

    def _tell(self, finished: int, total: int, progress: Callable[[int, int], None] | None) -> None:
        """Say how many blocks have finished, given blocks (or clusters) of ``total``."""
        each = self.launch.cluster_blocks
        self.progress = f"{finished * each} of {total * each} blocks had finished"
        if progress is not None:
            progress(finished * each, total * each)

    def _is_worth_cores(self, started: int, total: int) -> bool:
        """Whether the blocks that are left, at the speed of those before, repay the threads."""
        took = time.monotonic() - self.started
        if self.cores < 2 or total - started < 2 or took < WORTH_SECONDS or not started:
            return False
        if took / started * (total - started) < WORTH_SECONDS:
            return False
        if not blocks_are_alone(self.launch.kernel):
            self.cores = 1
        return self.cores > 1

    def _run_on_cores(
        self,
        slots: list[Slot],
        started: int,
        total: int,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        """Share the blocks that are left among the host's cores."""
        while len(slots) < min(self.cores, total - started):
            slots.append(self._new_slot())
        self._refresh_regions()
        crew = Crew(
            self.launch, slots[: self.cores], started, total, self.run_blocks, self.step_block
        )

        def look(finished: int) -> None:
            self._tell(started + finished, total, progress)
            self._stop_when_late(slots)

        crew.run(look)
        failure = crew.first_failure()
        if failure is not None:
            if failure.error is not None:
                raise failure.error
            launch = failure.worker.launch
            if failure.status == STUCK:
                raise_deadlock(launch, launch.slots)
            raise_fault(launch)
        for worker in crew.workers:
            self.launch.block_counts += worker.launch.block_counts
            self.context.copies_forced += worker.launch.context.copies_forced

    def _step(self, slot: Slot) -> int:
        context = ctypes.addressof(self.context)
        return int(self.step_block(context, slot.address))

    def _insist(self, slot: Slot, status: int) -> int:
        """Go on with a block that takes long before others start: they would need memory, too."""
        for _ in range(PATIENCE if self.random is None else 0):
            if status != PAUSE:
                break
            self._stop_when_late()
            status = self._step(slot)
        return status

    def _stop_when_late(self, waiting: Sequence[Slot] | None = None) -> None:
        """Raise :class:`LaunchTimeout` when the launch has had its time."""
        if self.timeout_s is None or time.monotonic() - self.started <= self.timeout_s:
            return
        slots = self.launch.slots if waiting is None else list(waiting)
        raise LaunchTimeout(
            f"{self.launch.kernel.name} was stopped after {self.timeout_s:g} s: {self.progress}. "
            + where_threads_are(self.launch, slots)
        )

    def _goes_on(self, slot: Slot, status: int) -> bool:
        self.host_calls.raise_error()
        if status == FAULT:
            raise_fault(self.launch)
        if status == STUCK:
            raise_deadlock(self.launch, [slot])
        if status not in (DONE, YIELD, PAUSE):
            raise AssertionError(f"the block scheduler returned {status}")
        return status != DONE

    def _new_slot(self) -> Slot:
        """Room for a block, or for a cluster's blocks; the first of them stands for all."""
        if not self.launch.clustered:
            return self._room_for_block()
        cluster = Cluster()
        cluster.size = self.launch.cluster_blocks
        blocks = [self._room_for_block() for _ in range(cluster.size)]
        for rank, slot in enumerate(blocks):
            cluster.blocks[rank] = ctypes.addressof(slot.state)
            slot.state.cluster = ctypes.addressof(cluster)
            slot.state.rank = rank
            slot.cluster = cluster
        blocks[0].peers = blocks
        return blocks[0]

    def _room_for_block(self) -> Slot:
        context = self.context
        nbytes = context.warps * context.warp_bytes
        raw = np.zeros(nbytes + 64, dtype=np.uint8)
        start = -raw.ctypes.data % 64
        storage = raw[start : start + nbytes]
        shared = self._allocate(
            max(context.shared_bytes, 16), "shared memory", align=SHARED_ALIGNMENT
        )
        self.kinds[shared.address] = SHARED
        local = None
        if context.local_bytes:
            local = self._allocate(
                context.local_bytes * 32 * context.warps, "local memory",
                poison=not context.stack_bytes,  # a stack takes RAM only where it is used
            )  # fmt: skip
            self.kinds[local.address] = LOCAL
        state = BlockState()
        state.warps = storage.ctypes.data
        state.shared = shared.address
        state.local = local.address if local else 0
        state.turns[: context.warps] = range(context.warps)
        kept = np.zeros(context.stack_bytes * 32 * context.warps, dtype=np.uint8)
        slot = Slot(state, storage, shared, local, kept)
        self._number_threads(slot)
        self.launch.slots.append(slot)
        if self.launch.watch is not None:
            self.launch.watch.add_slot(state)
        return slot

    def _number_threads(self, slot: Slot) -> None:
        """What is the same for every block that will run in the slot."""
        context = self.context
        x, y, _ = self.launch.block
        rows = slot.storage.reshape(context.warps, context.warp_bytes)

        def column(name: str, kind: type, lanes: int) -> np.ndarray:
            start = getattr(Warp, name).offset
            return rows[:, start : start + lanes * np.dtype(kind).itemsize].view(kind)

        index = np.arange(context.warps, dtype=np.uint64)[:, None]
        column("block", np.uint64, 1)[...] = ctypes.addressof(slot.state)
        column("index", np.uint32, 1)[...] = index
        column("local", np.uint64, 1)[...] = slot.state.local + index * 32 * context.local_bytes
        kept = slot.kept.ctypes.data
        column("kept", np.uint64, 1)[...] = kept + index * 32 * context.stack_bytes
        linear = np.arange(32 * context.warps, dtype=np.uint32).reshape(-1, 32)
        column("tid_x", np.uint32, 32)[...] = linear % x
        column("tid_y", np.uint32, 32)[...] = linear // x % y
        column("tid_z", np.uint32, 32)[...] = linear // (x * y)

    def _refresh_regions(self) -> None:
        """The table of what a kernel may touch."""
        memory = self.launch.memory
        if self.regions_version == memory.version:
            return
        self.regions = memory.regions()
        at = np.searchsorted(self.regions[:, 0], np.fromiter(self.kinds, dtype=np.uint64))
        self.regions[at, 2] = list(self.kinds.values())
        self.context.regions = self.regions.ctypes.data
        self.context.region_count = len(self.regions)
        self.regions_version = memory.version
        # what a site knew may be gone
        words = np.frombuffer(memoryview(self.launch.sites).cast("B"), dtype=np.uint64)
        words = words.reshape(-1, SITE_BYTES // 8)
        words[:, SITE_BOUNDS] = 0
