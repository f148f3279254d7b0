"""Running a grid: check the launch, run its blocks, turn what stopped it into an error."""

from __future__ import annotations

import ctypes
import math
import os
import weakref
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from emulator.arch import H100, Arch
from emulator.caches import Caches
from emulator.checks import OBSERVE, Watch, checks_named
from emulator.clusters import ALONE, cluster_shape, grid_in_blocks
from emulator.copying import copies_mode, end_copies
from emulator.counting import collect
from emulator.errors import DeviceFault, LaunchError
from emulator.lower.special import RESERVED_SHARED
from emulator.memory import Allocation, DeviceMemory
from emulator.model import modelled_time
from emulator.module import Kernel
from emulator.native import jit
from emulator.native.layout import (
    ATOMIC,
    CACHES,
    COUNTERS,
    LOAD,
    REDUCTION,
    STORE,
    Context,
    Site,
)
from emulator.occupancy import occupancy
from emulator.reconcile import apply
from emulator.report import Dim3, Report
from emulator.runner import Runner
from emulator.running import Launch
from emulator.sass import MachineCode
from emulator.synccheck import sync_findings
from emulator.timeline.lanes import timeline_of
from emulator.timeline.recording import Recording
from emulator.watch.sync import Complaints

STACK_BYTES = 64 << 10  # a thread; hardware's default is 1 KiB
BACK_EDGES_A_SLICE = 1 << 14
OPERATIONS = {"st": STORE, "stmatrix": STORE, "atom": ATOMIC, "red": REDUCTION,
              "mbarrier": ATOMIC}  # fmt: skip
MAX_GRID = (2**31 - 1, 65535, 65535)
MAX_BLOCK = (1024, 1024, 64)
MAX_LOCAL_BYTES = 512 << 10  # of a thread


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
    async_copies: str = "late",
    seed: int | None = None,
    stack_bytes: int = STACK_BYTES,
    progress: Callable[[int, int], None] | None = None,
    checks: Collection[str] = (),
    machine_code: MachineCode | None = None,
    cores: int | None = None,
    cooperative: bool = False,
    cluster: Dim3 | None = None,
    timeline: int | None = None,
) -> Report:
    """Run ``kernel`` over ``grid`` x ``block`` threads and return what it cost.

    ``grid`` is in blocks, but for kernels that are launched by clusters (``__block_size__`` with
    two shapes), for which it is in clusters.

    ``params`` is the packed parameter block: each value at its ``Parameter.offset``, little-endian,
    pointers as 8-byte addresses in ``memory``. ``registers`` a thread (from the cubin) limit
    occupancy. Without ``counters`` the report holds no counters and no time.
    ``async_copies`` says when the bytes of ``cp.async`` move: "late", when the thread waits for
    them (what is not waited for is not there), "eager", at once, or "shuffled", at times in between
    that ``seed`` draws. Where a warp has more than 4096 such instructions in flight, the older half
    finish early, with a warning. ``progress`` is told now and then how many blocks have finished,
    and how many there are. ``checks``
    turns on compute-sanitizer's tools besides memcheck, which always runs: any of "racecheck",
    "initcheck", "synccheck", or "all"; what they find is in the report's ``findings``.
    With a ``seed`` blocks start, and warps take turns, in an order that it shuffles, so that what
    depends on the order shows; the same seed gives the same run.
    ``cores`` of the host (None: all that this process may use) share the blocks of a large grid
    where the kernel's blocks cannot tell, and where no counters, checks or seed ask for one order.
    ``cooperative`` launches have all blocks on the chip at once, so that they can wait for one
    another: ``cooperative_groups::this_grid().sync()``.
    ``cluster`` is the shape, in blocks, of the clusters whose blocks run together and reach one
    another's shared memory; None is what the kernel was compiled for (``__cluster_dims__``).
    ``stack_bytes`` is what a thread's calls may take where functions call themselves or are called
    through pointers (cudaLimitStackSize).
    ``timeline`` is the linear index of a block of which the report's ``timeline`` tells what it did
    when (:mod:`emulator.timeline`).
    ``machine_code`` (see :mod:`emulator.sass`) has accesses counted as ptxas joined them; without
    it the report says that they are counted as PTX has them.

    Raises :class:`LaunchError` for what no GPU would start, :class:`DeviceFault` for what ends a
    launch (out of bounds, misaligned, trap, deadlock), :class:`UnsupportedInstruction`, and
    :class:`LaunchTimeout` after ``timeout_s`` seconds.
    """
    named = checks_named(checks)
    if cores is not None and cores < 1:
        raise LaunchError(f"{kernel.name}: cores is {cores}; it must be at least 1, or None")
    grid = grid_in_blocks(kernel, grid)
    shape = cluster_shape(kernel, grid, cluster, arch)
    check_launch(kernel, grid, block, params, shared_bytes, arch, registers)
    run = _prepare(
        kernel, grid, block, memory, shared_bytes, arch, registers, argument_names, stack_bytes
    )
    run.cluster, run.clustered = shape, shape != ALONE or kernel.waits_for_clusters
    run.context.cluster, run.context.cluster_size = shape, math.prod(shape)
    if kernel.function.fixes_registers and registers is not None:  # else ptxas drops setmaxnreg
        run.context.registers = -(-registers // 8) * 8
    run.context.explicit_cluster = int(cluster is not None or kernel.required_cluster is not None)
    note = apply(run.sites, kernel, machine_code) if counters else None
    if counters:
        run.context.observe = COUNTERS | CACHES
        blocks = grid[0] * grid[1] * grid[2]
        run.caches = Caches.of(arch, run.fits, blocks, run.context.warps, memory.base)
        run.context.caches = run.caches.address
    run.context.copies = copies_mode(async_copies)
    run.context.copy_seed = (seed or 0) & 0xFFFFFFFF
    run.checks = named
    if named & OBSERVE.keys():
        run.context.observe |= sum(bit for name, bit in OBSERVE.items() if name in named)
        run.watch = Watch(run)
    if "initcheck" not in named:
        memory.unwatched += 1
    complaints = Complaints()
    if counters:
        jit.require("watch.observe", "watch.bulk")
    if run.watch:
        jit.require(
            "watch.checked", "watch.clocks", "watch.clusters", "watch.operands", "watch.proxy"
        )
    if "synccheck" in named:
        jit.require("watch.sync", "watch.products")
        run.context.complaints = ctypes.addressof(complaints)
    temporary: list[Allocation] = []
    recording = Recording(run, timeline) if timeline is not None else None
    try:
        plain = not counters and not cooperative and seed is None and named == {"memcheck"}
        plain = plain and recording is None
        run_ = Runner(
            run, params, counters, temporary, seed,
            cores=(cores or len(os.sched_getaffinity(0))) if plain else 1, cooperative=cooperative,
        )  # fmt: skip
        try:
            with run_.host_calls.catching():
                run_.run(timeout_s, progress)
        except DeviceFault as fault:
            seen = run.watch.finish() if run.watch else ()
            fault.before = seen + sync_findings(run, complaints)
            raise
        found = run.watch.finish() if run.watch else ()
        found += sync_findings(run, complaints)
        seen_block = timeline_of(recording) if recording is not None else None
        if not counters:
            device = f"emulated {arch.name}"
            return Report(
                kernel.name, grid, block, shared_bytes, device, findings=found, cluster=shape,
                timeline=seen_block,
            )  # fmt: skip
        report = replace(collect.report(run), findings=found, cluster=shape, timeline=seen_block)
        if note is not None:
            report = replace(report, notes=(*report.notes, note))
        return modelled_time(report, run)
    except MemoryError as error:
        raise LaunchError(f"{kernel.name}: {error or 'no memory left'}") from None
    finally:
        end_copies(run)
        if recording is not None:
            recording.end()
        if run.caches is not None:
            run.caches.give_back()
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
    if kernel.local_bytes > MAX_LOCAL_BYTES:
        raise LaunchError(
            f"{kernel.name}: a thread needs {kernel.local_bytes:,} bytes of local memory; a GPU "
            f"has {MAX_LOCAL_BYTES:,}"
        )
    if len(params) != kernel.parameter_bytes:
        raise LaunchError(
            f"{kernel.name}: a parameter block of {len(params)} bytes; "
            f"its {len(kernel.parameters)} parameters take {kernel.parameter_bytes}"
        )


_sites: weakref.WeakKeyDictionary[Kernel, bytes] = weakref.WeakKeyDictionary()


def _fresh_sites(kernel: Kernel) -> Any:
    """What is known and counted of every instruction: nothing yet, but what kind it is."""
    if kernel not in _sites:
        made = (Site * max(len(kernel.instructions), 1))()
        for site, inst in zip(made, kernel.instructions, strict=False):
            site.operation = OPERATIONS.get(inst.opcode, LOAD)
            if inst.opcode == "wmma" and inst.has("store"):
                site.operation = STORE
            site.rule = collect.counting_rule(inst)
            site.uncached = collect.passes_l1_by(inst)
        _sites[kernel] = bytes(made)
    return (Site * max(len(kernel.instructions), 1)).from_buffer_copy(_sites[kernel])


def _prepare(
    kernel: Kernel,
    grid: Dim3,
    block: Dim3,
    memory: DeviceMemory,
    shared_bytes: int,
    arch: Arch,
    registers: int | None,
    argument_names: Sequence[str] | None,
    stack_bytes: int,
) -> Launch:
    threads = block[0] * block[1] * block[2]
    context = Context()
    context.kernel = kernel.address
    context.grid = grid
    context.block = block
    context.threads = threads
    context.warps = -(-threads // 32)
    context.warp_bytes = -(-kernel.frame.nbytes // 64) * 64
    stack = -(-stack_bytes // 512) * 512 if kernel.frame.has_stack else 0
    context.local_bytes = kernel.local_bytes + (stack if kernel.frame.stacks_locals else 0)
    context.stack_bytes = stack
    context.shared_bytes = kernel.static_shared_bytes + shared_bytes
    if kernel.reads_reserved_shared:
        context.shared_bytes = -(-context.shared_bytes // 128) * 128 + RESERVED_SHARED
    context.dynamic_bytes = shared_bytes
    context.sm_count = arch.sm_count
    context.entry = kernel.graph.entries[kernel.name].number
    context.slice = BACK_EDGES_A_SLICE
    sites = _fresh_sites(kernel)
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
    blocks = grid[0] * grid[1] * grid[2]
    fits = occupancy(arch, threads, blocks, context.shared_bytes, registers)
    return Launch(
        kernel, grid, block, shared_bytes, memory, arch, names, context, sites, block_counts, fits,
        [],
    )  # fmt: skip
