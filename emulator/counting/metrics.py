"""Names of counters: Nsight Compute's, and plain ones, in the sections of a report.

Names are those that ``ncu --query-metrics`` gives on an H100, with ``.sum`` or another rollup.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A counter: Nsight Compute's name, a plain one, and where a report shows it."""

    name: str
    plain: str
    section: str


MEMORY, SHARED, LOCAL = "Global memory", "Shared memory", "Local memory"
EXECUTED, BRANCHES, WORK = "Instructions", "Branches", "Arithmetic"
CACHES = "Caches and DRAM (modelled)"
BULK = "Tensor memory accelerator and mbarriers"
OCCUPANCY = "Occupancy"
SECTIONS = (OCCUPANCY, MEMORY, CACHES, SHARED, BULK, LOCAL, EXECUTED, BRANCHES, WORK)

INSTRUCTIONS = "smsp__inst_executed.sum"
THREAD_INSTRUCTIONS = "smsp__thread_inst_executed.sum"
PREDICATED_ON = "smsp__thread_inst_executed_pred_on.sum"
THREADS_AN_INSTRUCTION = "smsp__thread_inst_executed_per_inst_executed.ratio"
PREDICATED_ON_RATIO = "smsp__thread_inst_executed_pred_on_per_inst_executed.ratio"

BRANCH_INSTRUCTIONS = "smsp__inst_executed_op_branch.sum"
BRANCH_TARGETS = "smsp__sass_branch_targets.sum"
DIVERGENT_TARGETS = "smsp__sass_branch_targets_threads_divergent.sum"
UNIFORM_TARGETS = "smsp__sass_branch_targets_threads_uniform.sum"
BRANCH_EFFICIENCY = "smsp__sass_average_branch_targets_threads_uniform.pct"

L1_HITS = "l1tex__t_sectors_pipe_lsu_mem_global_op_ld_lookup_hit.sum"
L1_HIT_RATE = "l1tex__t_sector_pipe_lsu_mem_global_op_ld_hit_rate.pct"
L1_FROM_L2 = "l1tex__m_xbar2l1tex_read_sectors.sum"
L2_OPERATIONS = {"ld": "read", "st": "write", "atom": "atom", "red": "red"}
# What L1 sends, once: ``lts__t_sectors`` alone also has what an H100's two halves of L2 send on.
L2_SECTORS = "lts__t_sectors_srcunit_tex.sum"
L2_HITS = "lts__t_sectors_srcunit_tex_lookup_hit.sum"
L2_HIT_RATE = "lts__t_sector_hit_rate.pct"
DRAM_READ, DRAM_WRITTEN = "dram__bytes_read.sum", "dram__bytes_write.sum"

OCCUPANCY_LIMITS = {
    "warps": "launch__occupancy_limit_warps", "blocks": "launch__occupancy_limit_blocks",
    "shared memory": "launch__occupancy_limit_shared_mem",
    "registers": "launch__occupancy_limit_registers",
}  # fmt: skip
WAVES = "launch__waves_per_multiprocessor"
THEORETICAL = "sm__maximum_warps_per_active_cycle_pct"
ACHIEVED = "sm__warps_active.avg.pct_of_peak_sustained_active"

SHARED_WAVEFRONTS = "memory_l1_wavefronts_shared"
SHARED_IDEAL = "memory_l1_wavefronts_shared_ideal"
SHARED_EXCESSIVE = "derived__memory_l1_wavefronts_shared_excessive"
# Of a cluster's blocks to one another; ncu has no counters of these.
REMOTE_REQUESTS, REMOTE_BYTES = "memory_remote_shared_requests", "memory_remote_shared_bytes"

# Boxes, or runs of plain bytes, that threads asked for; their bytes in shared memory, what a box
# reaches out of its array included; passes over the banks; ncu has no counters of these, nor of
# waits at mbarriers: those that ended, and tests of phases that were not complete.
BULK_REQUESTS, BULK_BYTES = "memory_tma_requests", "memory_tma_shared_bytes"
BULK_WAVEFRONTS = "memory_tma_wavefronts_shared"
SWIZZLES = ("none", "32B", "64B", "128B")
BULK_DIRECTIONS = {"ld": "loads", "st": "stores", "red": "reductions"}
MBARRIER_WAITS, MBARRIER_EARLY = "memory_mbarrier_waits", "memory_mbarrier_early_tests"

CACHED_COPY = "ldgsts_cache_access"
DIRECTIONS = {"ld": "load", "st": "store", "atom": "atomic", "red": "reduction",
              CACHED_COPY: "asynchronous copy", "ldgsts": "asynchronous copy",
              "ldsm": "matrix load", "stsm": "matrix store"}  # fmt: skip
UNNAMED = {"ldgsts": "smsp__inst_executed_op_ldgsts.sum", "ldsm": "smsp__inst_executed_op_ldsm.sum",
           "stsm": "smsp__inst_executed_op_shared_stsm.sum"}  # fmt: skip
GLOBAL_DIRECTIONS = ("ld", "st", "atom", "red", CACHED_COPY)
SHARED_DIRECTIONS = ("ld", "st", "atom")  # reductions count as atomics
LOCAL_DIRECTIONS = ("ld", "st")
PIPES = {
    "alu": "integer and logic", "fma": "FP32 multiply and add, integer multiply",
    "fp64": "FP64", "lsu": "load/store", "xu": "transcendental and conversion",
    "tensor": "tensor", "tma": "tensor memory accelerator", "cbu": "branches",
    "adu": "barriers", "uniform": "uniform",
}  # fmt: skip
FLOATING = {
    "fadd": "FP32 additions", "fmul": "FP32 multiplications", "ffma": "FP32 fused multiply-adds",
    "dadd": "FP64 additions", "dmul": "FP64 multiplications", "dfma": "FP64 fused multiply-adds",
    "hadd": "FP16 additions", "hmul": "FP16 multiplications", "hfma": "FP16 fused multiply-adds",
}  # fmt: skip
CLASSES = {
    "fp32": "FP32", "fp64": "FP64", "fp16": "FP16", "integer": "integer", "bit": "bit",
    "conversion": "conversion", "control": "control", "memory": "memory",
    "inter_thread_communication": "between threads", "misc": "other",
}  # fmt: skip


TENSOR_PATHS = ("fp16", "bf16_dst_fp32", "tf32_dst_fp32", "fp64", "fp8", "int8", "int4", "int1")


def requests(direction: str, space: str = "global") -> str:
    """Warp-level requests to L1; ``direction`` is one of :data:`DIRECTIONS`."""
    return f"l1tex__t_requests_pipe_lsu_mem_{space}_op_{direction}.sum"


def sectors(direction: str, space: str = "global") -> str:
    """32-byte sectors those requests touched."""
    return f"l1tex__t_sectors_pipe_lsu_mem_{space}_op_{direction}.sum"


def sectors_per_request(direction: str, space: str = "global") -> str:
    """Sectors a request, on average."""
    return f"l1tex__average_t_sectors_per_request_pipe_lsu_mem_{space}_op_{direction}.ratio"


def bytes_asked(direction: str, space: str = "global") -> str:
    """Bytes that active lanes asked for."""
    return f"smsp__sass_data_bytes_mem_{space}_op_{direction}.sum"


def instructions(direction: str, space: str = "global") -> str:
    """Warp instructions that name a space, or none ("generic")."""
    if direction in UNNAMED:
        return UNNAMED[direction]
    if (space, direction) == ("global", "atom"):
        return "smsp__sass_inst_executed_op_global_atom.sum"
    if direction == "red" and space != "global":  # reductions there are atomics
        direction = "atom"
    return f"smsp__inst_executed_op_{space}_{direction}.sum"


def l2_sectors(operation: str) -> str:
    """Sectors that reached L2; ``operation`` is one of :data:`L2_OPERATIONS`' values."""
    return f"lts__t_sectors_srcunit_tex_op_{operation}.sum"


def shared_wavefronts(direction: str) -> str:
    """Passes over the banks of shared memory."""
    return f"l1tex__data_pipe_lsu_wavefronts_mem_shared_op_{direction}.sum"


def bank_conflicts(direction: str) -> str:
    """Passes beyond those that the access would need without conflicts."""
    return f"l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_{direction}.sum"


def bulk_instructions(direction: str) -> str:
    """Warp instructions of bulk copies; ``direction`` is one of :data:`BULK_DIRECTIONS`."""
    prefix = "smsp__sass_inst" if direction == "red" else "smsp__inst"
    return f"{prefix}_executed_op_tma_{direction}.sum"


def bulk_sectors(direction: str) -> str:
    """32-byte sectors of global memory that bulk copies read or wrote."""
    way = "xbar2l1tex_read" if direction == "ld" else "l1tex2xbar_write"
    return f"l1tex__m_{way}_sectors_mem_global_op_tma_{direction}.sum"


def bulk_wavefronts(swizzle: str) -> str:
    """Passes over the banks of copies by one swizzle, of :data:`SWIZZLES`."""
    return f"{BULK_WAVEFRONTS}_swizzle_{swizzle}"


def pipe(name: str) -> str:
    """Warp instructions that a pipe executed; ``name`` is one of :data:`PIPES`."""
    return f"smsp__inst_executed_pipe_{name}.sum"


def thread_operations(name: str) -> str:
    """Instructions by threads, predicated-off ones left out: of :data:`FLOATING`, :data:`CLASSES`.

    A packed instruction on two halves counts twice.
    """
    return f"smsp__sass_thread_inst_executed_op_{name}_pred_on.sum"


def tensor_operations(path: str) -> str:
    """Tensor-core operations, a multiply-add as two; ``path`` is one of :data:`TENSOR_PATHS`."""
    return f"sm__ops_path_tensor_src_{path}.sum"


def _all() -> Iterator[Metric]:
    for limit, name in OCCUPANCY_LIMITS.items():
        yield Metric(name, f"blocks an SM that {limit} allow", OCCUPANCY)
    yield Metric(WAVES, "waves", OCCUPANCY)
    yield Metric(THEORETICAL, "warps an SM can hold, %", OCCUPANCY)
    yield Metric(ACHIEVED, "warps an SM holds on average, %", OCCUPANCY)
    yield from _global_memory()
    yield from _caches()
    yield from _shared_memory()
    yield from _bulk()
    for direction in LOCAL_DIRECTIONS:
        one = DIRECTIONS[direction]
        yield Metric(instructions(direction, "local"), f"local {one} instructions", LOCAL)
        yield Metric(requests(direction, "local"), f"local {one} requests", LOCAL)
        yield Metric(sectors(direction, "local"), f"local {one} sectors", LOCAL)
        yield Metric(sectors_per_request(direction, "local"), f"sectors a local {one}", LOCAL)
        yield Metric(bytes_asked(direction, "local"), f"bytes asked by local {one}", LOCAL)
    yield Metric(INSTRUCTIONS, "warp instructions", EXECUTED)
    yield Metric(THREAD_INSTRUCTIONS, "thread instructions", EXECUTED)
    yield Metric(PREDICATED_ON, "thread instructions not predicated off", EXECUTED)
    yield Metric(THREADS_AN_INSTRUCTION, "threads a warp instruction", EXECUTED)
    yield Metric(PREDICATED_ON_RATIO, "threads not predicated off", EXECUTED)
    for name, plain in PIPES.items():
        yield Metric(pipe(name), f"warp instructions: {plain}", EXECUTED)
    yield Metric(BRANCH_INSTRUCTIONS, "branches", BRANCHES)
    yield Metric(BRANCH_TARGETS, "branch targets", BRANCHES)
    yield Metric(UNIFORM_TARGETS, "branches taken alike", BRANCHES)
    yield Metric(DIVERGENT_TARGETS, "branches where lanes parted", BRANCHES)
    yield Metric(BRANCH_EFFICIENCY, "branch efficiency, %", BRANCHES)
    for name, plain in FLOATING.items():
        yield Metric(thread_operations(name), plain, WORK)
    for name, plain in CLASSES.items():
        yield Metric(thread_operations(name), f"thread instructions: {plain}", WORK)
    for path in TENSOR_PATHS:
        yield Metric(tensor_operations(path), f"tensor operations, {path}", WORK)


def _global_memory() -> Iterator[Metric]:
    for direction in GLOBAL_DIRECTIONS:
        one = DIRECTIONS[direction]
        copy = "ldgsts" if direction == CACHED_COPY else direction
        yield Metric(instructions(copy), f"global {one} instructions", MEMORY)
        yield Metric(requests(direction), f"global {one} requests", MEMORY)
        yield Metric(sectors(direction), f"global {one} sectors", MEMORY)
        yield Metric(sectors_per_request(direction), f"sectors a global {one} request", MEMORY)
        yield Metric(bytes_asked(copy), f"bytes asked by global {one}", MEMORY)
    for direction in ("ld", "st", "atom"):
        one = DIRECTIONS[direction]
        yield Metric(instructions(direction, "generic"), f"generic {one} instructions", MEMORY)


def _bulk() -> Iterator[Metric]:
    for direction, plain in BULK_DIRECTIONS.items():
        yield Metric(bulk_instructions(direction), f"instructions of bulk {plain}", BULK)
        yield Metric(bulk_sectors(direction), f"global sectors of bulk {plain}", BULK)
    yield Metric(BULK_REQUESTS, "boxes and runs of bytes copied", BULK)
    yield Metric(BULK_BYTES, "bytes of them in shared memory", BULK)
    yield Metric(BULK_WAVEFRONTS, "wavefronts of bulk copies", BULK)
    for swizzle in SWIZZLES:
        yield Metric(bulk_wavefronts(swizzle), f"wavefronts with swizzle {swizzle}", BULK)
    yield Metric(MBARRIER_WAITS, "waits at mbarriers", BULK)
    yield Metric(MBARRIER_EARLY, "tests of mbarriers that were not complete", BULK)


def _caches() -> Iterator[Metric]:
    yield Metric(L1_HITS, "global load sectors found in L1", CACHES)
    yield Metric(L1_HIT_RATE, "L1 hit rate of global loads, %", CACHES)
    yield Metric(L1_FROM_L2, "sectors from L2 to L1", CACHES)
    yield Metric(L2_SECTORS, "sectors at L2", CACHES)
    for operation in L2_OPERATIONS.values():
        yield Metric(l2_sectors(operation), f"sectors at L2: {operation}", CACHES)
    yield Metric(L2_HITS, "sectors found in L2", CACHES)
    yield Metric(L2_HIT_RATE, "L2 hit rate, %", CACHES)
    yield Metric(DRAM_READ, "bytes read from DRAM", CACHES)
    yield Metric(DRAM_WRITTEN, "bytes written to DRAM", CACHES)


def _shared_memory() -> Iterator[Metric]:
    for direction in SHARED_DIRECTIONS:
        one = DIRECTIONS[direction]
        yield Metric(instructions(direction, "shared"), f"shared {one} instructions", SHARED)
        yield Metric(shared_wavefronts(direction), f"shared {one} wavefronts", SHARED)
        yield Metric(bank_conflicts(direction), f"bank conflicts of shared {one}", SHARED)
        yield Metric(bytes_asked(direction, "shared"), f"bytes asked by shared {one}", SHARED)
    for direction in ("ldsm", "stsm"):
        one = DIRECTIONS[direction]
        yield Metric(instructions(direction), f"{one} instructions", SHARED)
        yield Metric(bytes_asked(direction, "shared"), f"bytes asked by {one}", SHARED)
    yield Metric(REMOTE_REQUESTS, "requests to other blocks' shared memory", SHARED)
    yield Metric(REMOTE_BYTES, "bytes asked of other blocks' shared memory", SHARED)
    yield Metric(SHARED_WAVEFRONTS, "shared wavefronts", SHARED)
    yield Metric(SHARED_IDEAL, "shared wavefronts without conflicts", SHARED)
    yield Metric(SHARED_EXCESSIVE, "shared wavefronts that conflicts cost", SHARED)


METRICS: dict[str, Metric] = {metric.name: metric for metric in _all()}


def plain_name(name: str) -> str:
    """A counter's name in plain words; its own where it has no other."""
    metric = METRICS.get(name)
    return metric.plain if metric else name
