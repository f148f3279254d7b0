"""Textbook kernels on an H100: counters, times and results, to hold the software GPU's against.

``python -m benchmarks.ncu_classics`` checks and times every kernel of ``classics``, runs each once
under Nsight Compute and writes ``benchmarks/results/classics_h100.json``.
:mod:`benchmarks.approximate` compares.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.classics import Classic, Placed, classics, program
from benchmarks.ncu import available, find_ncu, number, profile, rows, version
from benchmarks.origin import RESULTS, gpu_origin, write
from kernels.runtime import open_device

MODULE = "benchmarks.ncu_classics"
RECORD = RESULTS / "classics_h100.json"
SCALES = (1, 4)
REPEAT = 30
METRICS = (
    r"l1tex__t_(requests|sectors)_pipe_lsu_mem_(global|local)_op_(ld|st|atom|red)",
    r"l1tex__t_sectors_pipe_lsu_mem_global_op_ld_lookup_(hit|miss)",
    r"l1tex__data_pipe_lsu_wavefronts_mem_shared(_op_(ld|st|atom))?",
    r"l1tex__data_bank_conflicts_pipe_lsu_mem_shared(_op_(ld|st|atom))?",
    r"lts__t_sectors_(op_(read|write|atom|red)|srcunit_tex(_op_read|_op_write)?(_lookup_hit)?)",
    r"dram__bytes_(read|write)",
    r"smsp__inst_executed(_pipe_(alu|fma|fp64|lsu|xu|cbu|uniform|adu|tensor))?",
    r"smsp__inst_executed_op_(shared|global|local)_(ld|st|atom|red)",
    r"smsp__thread_inst_executed",
    r"smsp__sass_thread_inst_executed_op_(f|d|h)(add|mul|fma)_pred_on",
    r"smsp__sass_thread_inst_executed_op_(integer|conversion|control|memory|bit)_pred_on",
    r"smsp__sass_branch_targets(_threads_(divergent|uniform))?",
)
EXTRA = ("sm__warps_active.avg.pct_of_peak_sustained_active",
         "sm__maximum_warps_per_active_cycle_pct", "launch__registers_per_thread",
         "launch__occupancy_limit_registers", "launch__occupancy_limit_shared_mem",
         "launch__occupancy_limit_warps", "launch__occupancy_limit_blocks")  # fmt: skip


def launches() -> Iterator[tuple[int, Classic]]:
    """Every launch: its scale and kernel."""
    for scale in SCALES:
        for classic in classics(scale):
            yield scale, classic


def digest(device: Any, placed: Placed) -> str:
    """Of the output's bytes."""
    return hashlib.sha256(device.to_host(placed.output).tobytes()).hexdigest()[:16]


def replay() -> None:
    """Launch every kernel under the profiler."""
    from cuda.bindings import driver as cu

    from kernels.runtime.cuda import driver

    device: Any = open_device("cuda")
    kernels = program()
    for _, classic in launches():
        placed = Placed.on(device, classic)
        device.synchronize()
        driver(cu.cuProfilerStart())
        device.launch(*placed.call(kernels))
        device.synchronize()
        driver(cu.cuProfilerStop())


def measured(device: Any) -> Iterator[dict[str, Any]]:
    """Check every launch, then time it."""
    kernels = program()
    for scale, classic in launches():
        placed = Placed.on(device, classic)
        device.launch(*placed.call(kernels))
        if fault := placed.wrong(device):
            raise SystemExit(fault)
        output = digest(device, placed)
        timing = device.time(*placed.call(kernels), repeat=REPEAT, warmup=3)
        yield {
            "kernel": classic.name,
            "scale": scale,
            "n": classic.n,
            "exact": classic.tolerance == 0,
            "output": output,
            "median_us": timing.median_us,
        }


def record(output: Path) -> int:
    """Measure on a GPU; 1 when ncu gave nothing."""
    ncu = find_ncu()
    device: Any = open_device("cuda")
    found = list(measured(device))
    names = sorted(set(available(ncu)))
    wanted = [n for n in names if any(re.fullmatch(pattern, n) for pattern in METRICS)]
    metrics = [*(f"{name}.sum" for name in wanted), *EXTRA]
    table, said = profile(ncu, metrics, MODULE)
    counted = rows(table)
    if len(counted) != len(found):
        print(f"ncu saw {len(counted)} launches of {len(found)}: {said}\n{table[-4000:]}")
        return 1
    for row, one in zip(counted, found, strict=True):
        if row["Kernel Name"].split("(")[0].split()[-1] != one["kernel"]:
            raise SystemExit(f"ncu saw {row['Kernel Name']} where {one['kernel']} was launched")
        values = {m: number(row[m]) for m in metrics if m in row}
        one["counters"] = {m: v for m, v in values.items() if v}
    write(output, {"origin": gpu_origin(MODULE, device), "ncu": version(ncu), "metrics": metrics,
                   "launches": found})  # fmt: skip
    print(f"{len(found)} launches; written to {output}")
    return 0


def main() -> int:
    """Record on a GPU."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--output", type=Path, default=RECORD)
    parser.add_argument("--replay", action="store_true", help="launch only; what ncu runs")
    arguments = parser.parse_args()
    if arguments.replay:
        replay()
        return 0
    return record(arguments.output)


if __name__ == "__main__":
    sys.exit(main())
