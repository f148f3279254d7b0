"""The topic's hardware counters, as Nsight Compute reads them on a GPU.

``python -m benchmarks.ncu_counters`` runs every launch of ``counter_cases`` once under ``ncu`` and
writes ``benchmarks/results/coalescing_counters_h100.json``, which a test holds the software GPU to.
Clocks are left alone (``--clock-control none``): counts do not depend on them.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.counter_cases import CounterCase, counter_cases
from benchmarks.ncu import available, find_ncu, number, profile, rows, version
from benchmarks.origin import RESULTS, gpu_origin, write
from kernels.coalescing import BY_NAME, place
from kernels.launches import Launch
from kernels.placed import Placed
from kernels.runtime import open_device

MODULE = "benchmarks.ncu_counters"
DIRECTIONS = ("ld", "st")
REQUIRED = (
    *(f"l1tex__t_requests_pipe_lsu_mem_global_op_{d}.sum" for d in DIRECTIONS),
    *(f"l1tex__t_sectors_pipe_lsu_mem_global_op_{d}.sum" for d in DIRECTIONS),
    "smsp__inst_executed.sum",
    "smsp__thread_inst_executed.sum",
)
OPTIONAL = (
    *(f"l1tex__average_t_sectors_per_request_pipe_lsu_mem_global_op_{d}.ratio" for d in DIRECTIONS),
    "smsp__thread_inst_executed_per_inst_executed.ratio",
    *(f"smsp__sass_data_bytes_mem_global_op_{d}.sum" for d in DIRECTIONS),
    *(f"smsp__inst_executed_op_global_{d}.sum" for d in DIRECTIONS),
    *(f"smsp__sass_inst_executed_op_global_{d}.sum" for d in DIRECTIONS),
    "smsp__sass_thread_inst_executed.sum",
    "l1tex__t_sectors_pipe_lsu_mem_global_op_ld_lookup_hit.sum",
    "l1tex__m_xbar2l1tex_read_sectors.sum",
    "lts__t_sectors_srcunit_tex_op_read.sum",
    "lts__t_sectors_srcunit_tex_op_write.sum",
)


def placed_cases(device: Any) -> list[tuple[CounterCase, Placed, Launch]]:
    """Every case with its arrays and what it launches."""
    rng = np.random.default_rng(0)  # counts do not depend on the data
    found = []
    for case in counter_cases():
        placed = place(
            device, BY_NAME[case.entry], case.n, case.numbers, rng,
            shift_in=case.shift_in, shift_out=case.shift_out,
        )  # fmt: skip
        found.append((case, placed, placed.launch(device)))
    return found


def kernel_name(launch: Launch) -> str:
    """The name that a profiler shows."""
    function = getattr(launch.kernel, "py_func", None)
    return str(function.__name__ if function is not None else launch.kernel.name)


def replay() -> None:
    """Launch every case; only these launches are profiled."""
    from cuda.bindings import driver as cu

    from kernels.runtime.cuda import driver

    device: Any = open_device("cuda")
    cases = placed_cases(device)
    device.synchronize()
    for _, placed, launch in cases:
        driver(cu.cuProfilerStart())
        device.launch(launch.kernel, launch.grid, launch.block, launch.args, launch.shared_bytes)
        device.synchronize()
        driver(cu.cuProfilerStop())
        if fault := placed.wrong(device):
            print(fault, file=sys.stderr)


def recorded(table: str, metrics: Sequence[str]) -> list[dict[str, Any]]:
    """What each case counted. Raises SystemExit when launches and rows do not match."""
    device: Any = open_device("cuda")
    found = rows(table)
    cases = placed_cases(device)
    if len(found) != len(cases):
        raise SystemExit(f"ncu saw {len(found)} launches; {len(cases)} were expected")
    launches = []
    for row, (case, _, launch) in zip(found, cases, strict=True):
        name = kernel_name(launch)
        if row["Kernel Name"].split("(")[0].split()[-1] != name:
            raise SystemExit(f"ncu saw {row['Kernel Name']} where {name} was launched")
        values = {m: number(row[m]) for m in metrics if m in row}
        counters = {m: int(v) if v.is_integer() else v for m, v in values.items() if v is not None}
        launches.append(
            {
                **dataclasses.asdict(case),
                "kernel": name,
                "grid": launch.blocks,
                "block": launch.threads,
                "counters": counters,
            }
        )
    return launches


def main() -> int:
    """Record; 1 when ncu gave nothing."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    default = RESULTS / "coalescing_counters_h100.json"
    parser.add_argument("--output", type=Path, default=default)
    parser.add_argument("--replay", action="store_true", help="launch only; what ncu runs")
    arguments = parser.parse_args()
    if arguments.replay:
        replay()
        return 0
    ncu = find_ncu()
    known = set(available(ncu))
    there = [metric for metric in OPTIONAL if metric.split(".")[0] in known]
    # some versions refuse a name they do not know, some leave its column empty
    for optional in (list(OPTIONAL), there, []):
        metrics = [*REQUIRED, *optional]
        table, said = profile(ncu, metrics, MODULE)
        if rows(table):
            break
        print(f"no table from ncu with {len(metrics)} metrics: {table[-500:]} {said[-500:]}")
    if not rows(table):
        print(f"ncu gave no table: {said}\n{table[-4000:]}")
        return 1
    launches = recorded(table, metrics)
    device: Any = open_device("cuda")
    record = {
        "origin": gpu_origin(MODULE, device),
        "ncu": version(ncu),
        "metrics": metrics,
        "not_on_this_chip": [m for m in (*REQUIRED, *OPTIONAL) if m.split(".")[0] not in known],
        "global_memory_metrics": sorted(n for n in known if "global" in n),
        "launches": launches,
    }
    write(arguments.output, record)
    print(said)
    disagreements = report(launches)
    print(f"{len(launches)} launches, {disagreements} disagree; written to {arguments.output}")
    return 0


def report(launches: Sequence[dict[str, Any]]) -> int:
    """A line for each launch where the software GPU counts otherwise."""
    device = open_device("emulated")
    rng = np.random.default_rng(0)
    wrong = 0
    for recorded_launch in launches:
        case = CounterCase.of(recorded_launch)
        placed = place(
            device, BY_NAME[case.entry], case.n, case.numbers, rng,
            shift_in=case.shift_in, shift_out=case.shift_out,
        )  # fmt: skip
        launch = placed.launch(device)
        ours = device.profile(launch.kernel, launch.grid, launch.block, launch.args).counters
        theirs = recorded_launch["counters"]
        differ = [(m.split("__")[1], ours[m], theirs[m]) for m in REQUIRED[:4]
                  if ours[m] != theirs[m]]  # fmt: skip
        if differ:
            wrong += 1
            print(case, "(metric, emulated, ncu):", differ)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
