"""Wavefronts of the bank conflicts topic, as Nsight Compute reads them on a GPU.

``python -m benchmarks.ncu_bank_conflicts`` runs every launch of :func:`cases` once under ``ncu``,
writes ``benchmarks/results/bank_conflicts_counters_h100.json``, and says where the software GPU
counts otherwise.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bank_conflicts_h100 import patterns
from benchmarks.ncu import find_ncu, number, profile, rows, version
from benchmarks.origin import RESULTS, gpu_origin, write
from kernels.bank_conflicts import BY_NAME, ENTRIES, place
from kernels.bank_conflicts.patterns import table_elements
from kernels.launches import Launch
from kernels.placed import Placed
from kernels.runtime import open_device

MODULE = "benchmarks.ncu_bank_conflicts"
SHARED = ("ld", "st", "atom")
METRICS = (
    *(f"l1tex__data_pipe_lsu_wavefronts_mem_shared_op_{d}.sum" for d in SHARED),
    *(f"l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_{d}.sum" for d in SHARED),
    *(f"l1tex__t_requests_pipe_lsu_mem_global_op_{d}.sum" for d in ("ld", "st")),
    *(f"l1tex__t_sectors_pipe_lsu_mem_global_op_{d}.sum" for d in ("ld", "st")),
)
MATRICES = ((32, 32), (64, 128), (100, 77), (256, 192), (255, 192), (256, 190), (255, 191))
LENGTHS = (1, 1000, 70_001)


@dataclass(frozen=True)
class Case:
    """One launch: an entry of the catalogue, its sizes and numbers, and a pattern of places."""

    entry: str
    sizes: tuple[int, ...]
    numbers: tuple[int, ...] = ()
    pattern: str = ""

    def on(self, device: Any) -> Placed:
        """The case's arrays on a device: the same numbers on every device."""
        rng, inputs = np.random.default_rng(0), None
        if self.pattern:
            words = table_elements(self.numbers[0]) * self.numbers[0] // 4
            table = rng.integers(0, 1 << 32, words, dtype=np.uint32)
            inputs = (table, dict(patterns())[self.pattern])
        entry = BY_NAME[self.entry]
        return place(device, entry, self.sizes, self.numbers, rng, inputs=inputs)


def cases() -> Iterator[Case]:
    """All of them, in order."""
    for entry in ENTRIES:
        if entry.numbers:
            for width in (4, 8, 16):
                for name, _ in patterns():
                    yield Case(entry.name, (256,), (width, 2), name)
        elif len(entry.sizes) == 2:
            yield from (Case(entry.name, size) for size in MATRICES)
        else:
            yield from (Case(entry.name, (n,)) for n in LENGTHS)


def launches(device: Any) -> list[tuple[Case, Placed, Launch]]:
    """Every case with its arrays and what it launches."""
    placed = [(case, case.on(device)) for case in cases()]
    return [(case, one, one.launch(device)) for case, one in placed]


def replay() -> None:
    """Launch every case; only these launches are profiled."""
    from cuda.bindings import driver as cu

    from kernels.runtime.cuda import driver

    device: Any = open_device("cuda")
    every = launches(device)
    device.synchronize()
    for _, _, launch in every:
        driver(cu.cuProfilerStart())
        device.launch(launch.kernel, launch.grid, launch.block, launch.args)
        device.synchronize()
        driver(cu.cuProfilerStop())


def recorded(table: str, every: Sequence[tuple[Case, Placed, Launch]]) -> list[dict[str, Any]]:
    """What each case counted. Raises SystemExit when launches and rows do not match."""
    found = rows(table)
    if len(found) != len(every):
        raise SystemExit(f"ncu saw {len(found)} launches; {len(every)} were expected")
    records = []
    for row, (case, _, launch) in zip(found, every, strict=True):
        name = launch.kernel.name
        if row["Kernel Name"].split("(")[0].split()[-1] != name:
            raise SystemExit(f"ncu saw {row['Kernel Name']} where {name} was launched")
        counters = {m: number(row[m]) for m in METRICS if m in row}
        records.append({**asdict(case), "kernel": name, "counters": counters})
    return records


def report(records: Sequence[dict[str, Any]]) -> int:
    """A line for each launch where the software GPU counts otherwise; how many there are."""
    device = open_device("emulated")
    differing = 0
    for record, (case, _, launch) in zip(records, launches(device), strict=True):
        ours = device.profile(launch.kernel, launch.grid, launch.block, launch.args).counters
        theirs = record["counters"]
        differ = {m: (ours[m], theirs.get(m)) for m in METRICS if ours[m] != theirs.get(m)}
        if differ:
            differing += 1
            print(case, "(emulated, ncu):", differ)
    return differing


def main() -> int:
    """Record; 1 when ncu gave nothing."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    default = RESULTS / "bank_conflicts_counters_h100.json"
    parser.add_argument("--output", type=Path, default=default)
    parser.add_argument("--replay", action="store_true", help="launch only; what ncu runs")
    arguments = parser.parse_args()
    if arguments.replay:
        replay()
        return 0
    ncu = find_ncu()
    device: Any = open_device("cuda")
    every = launches(device)  # compiles before the profiler watches
    table, said = profile(ncu, METRICS, MODULE)
    if not rows(table):
        print(f"ncu gave no table: {said}\n{table[-4000:]}")
        return 1
    records = recorded(table, every)
    origin = gpu_origin(MODULE, device)
    write(arguments.output, {"origin": origin, "ncu": version(ncu), "launches": records})
    differing = report(records)
    print(f"{len(records)} launches, {differing} differ; written to {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
