"""Running a grid: check the launch, run its blocks, turn what stopped it into an error."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence

import numpy as np

from emulator import counters as counting
from emulator.arch import H100, Arch
from emulator.errors import LaunchError, LaunchTimeout
from emulator.faults import raise_deadlock, raise_fault, where_warps_are
from emulator.memory import Allocation, DeviceMemory
from emulator.model import modelled_time
from emulator.module import Kernel
from emulator.native import jit
from emulator.native.layout import (
    ATOMIC,
    CONSTANT,
    COUNTERS,
    DONE,
    FAULT,
    GLOBAL,
    LOAD,
    LOCAL,
    REDUCTION,
    SHARED,
    SITE_BYTES,
    STORE,
    STUCK,
    YIELD,
    BlockState,
    Context,
    Region,
    Site,
    Warp,
)
from emulator.report import Dim3, Report
from emulator.running import Launch, Slot, resident_blocks

BACK_EDGES_A_SLICE = 1 << 14
CHUNK_SECONDS = 0.02  # how long native code runs before Python may look at the clock or at Ctrl-C
SITE_BOUNDS = slice(Site.low.offset // 8, Site.high.offset // 8 + 1)
OPERATIONS = {"st": STORE, "atom": ATOMIC, "red": REDUCTION}
MAX_GRID = (2**31 - 1, 65535, 65535)
MAX_BLOCK = (1024, 1024, 64)


def launch(
    kernel: Kernel,
    grid: Dim3,
    block: Dim3,
    params: bytes,
    memory: DeviceMemory,
    *,
    shared_bytes: int = 0,
    counters: bool = False,
    arch: Arch = H100,
    registers: int | None = None,
    timeout_s: float | None = None,
    argument_names: Sequence[str] | None = None,
) -> Report:
    """Run ``kernel`` over ``grid`` x ``block`` threads and return what it cost.

    ``params`` is the packed parameter block: each value at its ``Parameter.offset``, little-endian,
    pointers as 8-byte addresses in ``memory``. ``registers`` a thread (from the cubin) limit
    occupancy. Without ``counters`` the report holds no counters and no time.

    Raises :class:`LaunchError` for what no GPU would start, :class:`DeviceFault` for what ends a
    launch (out of bounds, misaligned, trap, deadlock), :class:`UnsupportedInstruction`, and
    :class:`LaunchTimeout` after ``timeout_s`` seconds.
    """
    check_launch(kernel, grid, block, params, shared_bytes, arch, registers)
    run = _prepare(
        kernel, grid, block, params, memory, shared_bytes, counters, arch, argument_names
    )
    temporary: list[Allocation] = []
    try:
        run_ = _Runner(run, params, counters, registers, temporary)
        run_.run(timeout_s)
        if not counters:
            return Report(kernel.name, grid, block, shared_bytes, f"emulated {arch.name}")
        report = counting.report(run)
        return modelled_time(report, run, registers)
    finally:
        for allocation in temporary:
            memory.free(allocation)


def check_launch(
    kernel: Kernel,
    grid: Dim3,
    block: Dim3,
    params: bytes,
    shared_bytes: int,
    arch: Arch,
    registers: int | None = None,
) -> None:
    """Refuse what a GPU would refuse, saying what the limit is."""
    for what, shape, limits in (("grid", grid, MAX_GRID), ("block", block, MAX_BLOCK)):
        if len(shape) != 3:
            raise LaunchError(f"{what} {shape} must have three dimensions")
        for axis, extent, limit in zip("xyz", shape, limits, strict=True):
            if not 1 <= extent <= limit:
                raise LaunchError(
                    f"{kernel.name}: {what}.{axis} is {extent}; it must be between 1 and {limit:,}"
                )
    threads = block[0] * block[1] * block[2]
    limit = min(arch.max_threads_per_block, kernel.max_threads or arch.max_threads_per_block)
    if threads > limit:
        why = "its __launch_bounds__" if limit < arch.max_threads_per_block else arch.name
        raise LaunchError(
            f"{kernel.name}: a block of {block} is {threads} threads; {why} allows {limit}"
        )
    if registers is not None and registers * threads > arch.registers_per_sm:
        raise LaunchError(
            f"{kernel.name}: {threads} threads of {registers} registers need "
            f"{registers * threads:,}; an SM of {arch.name} has {arch.registers_per_sm:,}. "
            "Use smaller blocks or __launch_bounds__"
        )
    total = kernel.static_shared_bytes + shared_bytes
    if shared_bytes < 0 or total > arch.max_shared_per_block:
        raise LaunchError(
            f"{kernel.name}: {total:,} bytes of shared memory ({kernel.static_shared_bytes:,} "
            f"static, {shared_bytes:,} dynamic); {arch.name} allows {arch.max_shared_per_block:,} "
            "a block"
        )
    if len(params) != kernel.parameter_bytes:
        raise LaunchError(
            f"{kernel.name}: a parameter block of {len(params)} bytes; "
            f"its {len(kernel.parameters)} parameters take {kernel.parameter_bytes}"
        )


def _prepare(
    kernel: Kernel,
    grid: Dim3,
    block: Dim3,
    params: bytes,
    memory: DeviceMemory,
    shared_bytes: int,
    counters: bool,
    arch: Arch,
    argument_names: Sequence[str] | None,
) -> Launch:
    threads = block[0] * block[1] * block[2]
    context = Context()
    context.kernel = kernel.address
    context.grid = grid
    context.block = block
    context.threads = threads
    context.warps = -(-threads // 32)
    context.warp_bytes = -(-kernel.frame.nbytes // 64) * 64
    context.local_bytes = kernel.local_bytes
    context.shared_bytes = kernel.static_shared_bytes + shared_bytes
    context.dynamic_bytes = shared_bytes
    context.sm_count = arch.sm_count
    context.entry = kernel.graph.entries[kernel.name].number
    context.observe = COUNTERS if counters else 0
    context.slice = BACK_EDGES_A_SLICE
    sites = (Site * max(len(kernel.instructions), 1))()
    for site, inst in zip(sites, kernel.instructions, strict=False):
        site.operation = OPERATIONS.get(inst.opcode, LOAD)
    context.sites = ctypes.addressof(sites)
    block_counts = np.zeros((len(kernel.graph.blocks) + 1, 2), dtype=np.uint64)
    # the compiled code adds to aligned pairs
    if block_counts.ctypes.data % 16:
        block_counts = (
            np.zeros((len(kernel.graph.blocks) + 2, 2), dtype=np.uint64)
            .reshape(-1)[1:-1]
            .reshape(-1, 2)
        )
    context.block_counts = block_counts.ctypes.data
    names = tuple(argument_names or (p.name for p in kernel.parameters))
    return Launch(
        kernel, grid, block, shared_bytes, memory, arch, names, context, sites, block_counts, []
    )


class _Runner:
    """Deals blocks to slots. One slot runs block after block; a block that yields makes room."""

    def __init__(
        self,
        launch: Launch,
        params: bytes,
        counters: bool,
        registers: int | None,
        temporary: list[Allocation],
    ) -> None:
        self.launch = launch
        self.context = launch.context
        self.temporary = temporary
        memory, kernel = launch.memory, launch.kernel
        variables = kernel.module.variables_in(memory)
        table = [variables[v.name].address for v in kernel.module.global_variables]
        self.symbols = (ctypes.c_uint64 * max(len(table), 1))(*table)
        self.context.symbols = ctypes.addressof(self.symbols)
        block = self._allocate(max(len(params), 16), "the kernel's parameters", writable=False)
        block.view()[: len(params)] = np.frombuffer(params, dtype=np.uint8)
        self.context.params = block.address
        self.kinds: dict[int, int] = {block.address: CONSTANT}
        self.regions_version = -1
        self.regions: ctypes.Array[Region] = (Region * 1)()
        self.max_resident = resident_blocks(launch, registers)
        machine = jit.machine()
        self.run_blocks = jit.RunBlocks(machine.routines["coalesce_run_blocks"])
        self.step_block = jit.StepBlock(machine.routines["coalesce_step_block"])

    def _allocate(self, nbytes: int, name: str, *, writable: bool = True) -> Allocation:
        allocation = self.launch.memory.allocate(nbytes, name, writable=writable)
        self.temporary.append(allocation)
        return allocation

    def run(self, timeout_s: float | None) -> None:
        started = time.monotonic()
        x, y, z = self.launch.grid
        total = x * y * z
        following = ctypes.c_uint64(0)
        chunk = 1
        idle: list[Slot] = []
        waiting: list[Slot] = []
        while following.value < total or waiting:
            if following.value < total and len(waiting) < self.max_resident:
                slot = idle.pop() if idle else self._new_slot()
                self._refresh_regions()
                before = time.perf_counter()
                last = min(following.value + chunk, total)
                status = self.run_blocks(
                    ctypes.addressof(self.context), ctypes.addressof(slot.state),
                    following.value, last, ctypes.addressof(following),
                )  # fmt: skip
                took = time.perf_counter() - before
                chunk = min(chunk * 2, 1 << 30) if took < CHUNK_SECONDS else max(chunk // 2, 1)
                (waiting if self._goes_on(status) else idle).append(slot)
            for slot in list(waiting):
                status = self.step_block(
                    ctypes.addressof(self.context), ctypes.addressof(slot.state)
                )
                if not self._goes_on(status):
                    waiting.remove(slot)
                    idle.append(slot)
            unfinished = following.value < total or waiting
            if unfinished and timeout_s is not None and time.monotonic() - started > timeout_s:
                raise LaunchTimeout(
                    f"{self.launch.kernel.name} was stopped after {timeout_s:g} s: "
                    f"{following.value - len(waiting)} of {total} blocks had finished. "
                    + where_warps_are(self.launch, waiting)
                )

    def _goes_on(self, status: int) -> bool:
        if status == FAULT:
            raise_fault(self.launch)
        if status == STUCK:
            raise_deadlock(self.launch)
        if status not in (DONE, YIELD):
            raise AssertionError(f"the block scheduler returned {status}")
        return status == YIELD

    def _new_slot(self) -> Slot:
        context = self.context
        nbytes = context.warps * context.warp_bytes
        raw = np.zeros(nbytes + 64, dtype=np.uint8)
        start = -raw.ctypes.data % 64
        storage = raw[start : start + nbytes]
        shared = self._allocate(max(context.shared_bytes, 16), "shared memory")
        self.kinds[shared.address] = SHARED
        local = None
        if context.local_bytes:
            local = self._allocate(context.local_bytes * 32 * context.warps, "local memory")
            self.kinds[local.address] = LOCAL
        state = BlockState()
        state.warps = storage.ctypes.data
        state.shared = shared.address
        state.local = local.address if local else 0
        slot = Slot(state, storage, shared, local)
        self._number_threads(slot)
        self.launch.slots.append(slot)
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
        linear = np.arange(32 * context.warps, dtype=np.uint32).reshape(-1, 32)
        column("tid_x", np.uint32, 32)[...] = linear % x
        column("tid_y", np.uint32, 32)[...] = linear // x % y
        column("tid_z", np.uint32, 32)[...] = linear // (x * y)

    def _refresh_regions(self) -> None:
        """The table of what a kernel may touch."""
        memory = self.launch.memory
        if self.regions_version == memory.version:
            return
        live = memory.allocations
        self.regions = (Region * max(len(live), 1))()
        for region, allocation in zip(self.regions, live, strict=False):
            region.low, region.high = allocation.address, allocation.end
            region.kind = self.kinds.get(allocation.address, GLOBAL)
            region.writable = int(allocation.writable)
        self.context.regions = ctypes.addressof(self.regions)
        self.context.region_count = len(live)
        self.regions_version = memory.version
        # what a site knew may be gone
        words = np.frombuffer(memoryview(self.launch.sites).cast("B"), dtype=np.uint64)
        words = words.reshape(-1, SITE_BYTES // 8)
        words[:, SITE_BOUNDS] = 0
