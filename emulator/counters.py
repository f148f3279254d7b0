"""Counters of a launch, in total and by source line, under Nsight Compute's names.

Requests, sectors and bytes of global memory are counted as the hardware's L1 counts them. What is
counted as instructions are PTX instructions: machine code has other, usually fewer, ones.
"""

from __future__ import annotations

from collections import defaultdict

from emulator.native.layout import GLOBAL
from emulator.report import LineReport, Report
from emulator.running import Launch

INSTRUCTIONS = "smsp__inst_executed.sum"
THREAD_INSTRUCTIONS = "smsp__thread_inst_executed.sum"
THREADS_AN_INSTRUCTION = "smsp__thread_inst_executed_per_inst_executed.ratio"

APPROXIMATE = (
    "Instruction counts are of PTX instructions; the machine code that ptxas makes of them has "
    "other, usually fewer, ones."
)


DIRECTIONS = {"ld": "ld", "ldu": "ld", "st": "st", "atom": "atom", "red": "red"}


def requests(direction: str) -> str:
    """Warp-level global requests; ``direction`` is one of :data:`DIRECTIONS`' values."""
    return f"l1tex__t_requests_pipe_lsu_mem_global_op_{direction}.sum"


def sectors(direction: str) -> str:
    """32-byte sectors those requests touched."""
    return f"l1tex__t_sectors_pipe_lsu_mem_global_op_{direction}.sum"


def sectors_per_request(direction: str) -> str:
    """Sectors a request, on average."""
    return f"l1tex__average_t_sectors_per_request_pipe_lsu_mem_global_op_{direction}.ratio"


def bytes_asked(direction: str) -> str:
    """Bytes that active lanes asked for."""
    return f"smsp__sass_data_bytes_mem_global_op_{direction}.sum"


def report(launch: Launch) -> Report:
    """All counters of a finished launch; the time is added by the model."""
    kernel = launch.kernel
    lines: dict[tuple[str, int], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    texts: dict[tuple[str, int], str] = {}
    total: dict[str, float] = defaultdict(float)
    for block, (warps, lanes) in zip(kernel.graph.blocks, launch.block_counts, strict=False):
        for offset, inst in enumerate(block.body):
            place = kernel.module.source_line(inst)
            key = (place.file, place.line) if place else ("", 0)
            texts.setdefault(key, place.text.rstrip() if place else "")
            added = {INSTRUCTIONS: float(warps), THREAD_INSTRUCTIONS: float(lanes)}
            site = launch.sites[kernel.sites[block.function.name, block.first + offset]]
            if site.requests and site.kind == GLOBAL:
                direction = DIRECTIONS[inst.opcode]
                added[requests(direction)] = float(site.requests)
                added[sectors(direction)] = float(site.sectors)
                added[bytes_asked(direction)] = float(site.bytes)
            for name, amount in added.items():
                lines[key][name] += amount
                total[name] += amount
    for direction in ("ld", "st"):
        for name in (requests(direction), sectors(direction), bytes_asked(direction)):
            total.setdefault(name, 0.0)
    return Report(
        kernel=kernel.name,
        grid=launch.grid,
        block=launch.block,
        shared_bytes=launch.dynamic_shared_bytes,
        device=f"emulated {launch.arch.name}",
        counters=_with_ratios(total),
        lines=tuple(
            LineReport(file, line, texts[file, line], _with_ratios(found))
            for (file, line), found in sorted(lines.items())
            if line
        ),
        notes=(APPROXIMATE,),
    )


def _with_ratios(found: dict[str, float]) -> dict[str, float]:
    counters = dict(found)
    for direction in DIRECTIONS.values():
        asked = found.get(requests(direction))
        if asked is not None:
            ratio = found[sectors(direction)] / asked if asked else 0.0
            counters[sectors_per_request(direction)] = ratio
    executed = found.get(INSTRUCTIONS, 0.0)
    threads = found.get(THREAD_INSTRUCTIONS, 0.0)
    counters[THREADS_AN_INSTRUCTION] = threads / executed if executed else 0.0
    return counters
