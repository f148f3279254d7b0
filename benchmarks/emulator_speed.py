"""The software GPU's speed: against Numba's CUDA simulator, and in warp instructions a second.

``python -m benchmarks.emulator_speed`` needs no GPU and takes about a minute. Both simulators run
the same Numba kernels in the same run; the software GPU runs in one thread, Numba's in many.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.numba_kernels import workload
from benchmarks.origin import RESULTS, origin, write
from kernels.coalescing import ENTRIES, place
from kernels.runtime import open_device

MODULE = "benchmarks.emulator_speed"
ROOT = Path(__file__).resolve().parent.parent
WORKLOADS = (("vector add", 16_384), ("matrix product", 64))
INSTRUCTIONS = "smsp__inst_executed.sum"
ELEMENTS = 1 << 21
TARGETS = {"ratio": 10_000, "plain": 100e6, "counted": 30e6}


def numba_seconds(name: str, n: int, repeat: int) -> list[float]:
    """Runs on Numba's simulator, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.numba_simulator", name, str(n), str(repeat)],
        cwd=ROOT, env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"Numba's simulator failed on {name}: {done.stderr.strip()[-500:]}")
    seconds: list[float] = json.loads(done.stdout)
    return seconds


def seconds_of(work: Callable[[], Any], *, at_least: float = 1.0, fewest: int = 5) -> list[float]:
    """Wall times of warm runs: compiled, and run once before. One thread, so one core."""
    work()
    found: list[float] = []
    while len(found) < fewest or sum(found) < at_least:
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return found


def against_numba(device: Any, repeat: int) -> list[dict[str, Any]]:
    """Each workload on both simulators."""
    rows = []
    for name, n in WORKLOADS:
        theirs = numba_seconds(name, n, repeat)
        kernel, grid, block, inputs, expected = workload(name, n)
        arrays = [device.asarray(a) for a in inputs]
        out = device.empty(expected.shape, expected.dtype)
        args = (*arrays, out)
        ours = seconds_of(lambda k=kernel, g=grid, b=block, a=args: device.launch(k, g, b, a))
        if not np.allclose(device.to_host(out), expected, rtol=1e-4, atol=1e-4):
            raise SystemExit(f"the software GPU computed a wrong {name}")
        counters = device.profile(kernel, grid, block, args).counters
        rows.append(
            {
                "workload": name,
                "n": n,
                "numba_seconds": statistics.median(theirs),
                "numba_runs": len(theirs),
                "seconds": statistics.median(ours),
                "runs": len(ours),
                "warp_instructions": int(counters[INSTRUCTIONS]),
                "ratio": statistics.median(theirs) / statistics.median(ours),
            }
        )
    return rows


def instruction_rates(device: Any) -> list[dict[str, Any]]:
    """Warp instructions a second of every kernel of the course, plain and with counters."""
    rng = np.random.default_rng(0)
    rows = []
    for entry in ENTRIES:
        placed = place(device, entry, ELEMENTS, entry.typical, rng)
        launch = placed.launch(device)
        call = (launch.kernel, launch.grid, launch.block, launch.args, launch.shared_bytes)
        executed = device.profile(*call).counters[INSTRUCTIONS]
        if fault := placed.wrong(device):
            raise SystemExit(fault)
        plain = statistics.median(seconds_of(lambda c=call: device.launch(*c), at_least=0.2))
        counted = statistics.median(seconds_of(lambda c=call: device.profile(*c), at_least=0.2))
        rows.append(
            {
                "kernel": entry.name,
                "n": ELEMENTS,
                "warp_instructions": int(executed),
                "plain_seconds": plain,
                "counted_seconds": counted,
                "plain_per_s": executed / plain,
                "counted_per_s": executed / counted,
            }
        )
    return rows


def main() -> int:
    """Time, print and write; the exit status is how many targets were missed."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULTS / "emulator_speed.json")
    parser.add_argument("--numba-runs", type=int, default=3)
    arguments = parser.parse_args()
    device = open_device("emulated")
    compared = against_numba(device, arguments.numba_runs)
    rates = instruction_rates(device)
    instructions = sum(row["warp_instructions"] for row in rates)
    overall = {
        "plain_per_s": instructions / sum(row["plain_seconds"] for row in rates),
        "counted_per_s": instructions / sum(row["counted_seconds"] for row in rates),
    }
    record = {
        "origin": origin(MODULE, device.name),
        "cores": 1,
        "against_numba": compared,
        "overall": overall,
        "kernels": rates,
    }
    write(arguments.output, record)
    return report(record, arguments.output)


def report(record: dict[str, Any], output: Path) -> int:
    """The short table; how many targets were missed."""
    print(f"{record['origin']['cpu']}, one core")
    for row in record["kernels"]:
        print(
            f"{row['kernel']:22} {row['plain_per_s'] / 1e6:8.1f} M warp instructions/s, "
            f"{row['counted_per_s'] / 1e6:8.1f} M with counters"
        )
    for row in record["against_numba"]:
        print(
            f"{row['workload']} {row['n']}: Numba's simulator {row['numba_seconds']:.3f} s, here "
            f"{row['seconds'] * 1e3:.3f} ms: {row['ratio']:,.0f} times faster"
        )
    overall = record["overall"]
    reached = {
        f"{WORKLOADS[1][0]}: times faster than Numba's simulator": (
            record["against_numba"][1]["ratio"],
            TARGETS["ratio"],
        ),
        "warp instructions/s": (overall["plain_per_s"], TARGETS["plain"]),
        "warp instructions/s with counters": (overall["counted_per_s"], TARGETS["counted"]),
    }
    for name, (value, target) in reached.items():
        met = "met" if value >= target else "MISSED"
        print(f"{name}: {value:,.0f}, target {target:,.0f}: {met}")
    print(f"written to {output}")
    return sum(value < target for value, target in reached.values())


if __name__ == "__main__":
    sys.exit(main())
