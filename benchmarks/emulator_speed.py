"""The software GPU's speed: warp instructions a second, compilation, cores, Numba's simulator.

``python -m benchmarks.emulator_speed`` needs no GPU and takes about two minutes. Both simulators
run the same Numba kernels in the same run; the software GPU runs in one thread, Numba's in many.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import emulator
from benchmarks.classics import Placed, classics, program
from benchmarks.long_kernel import long_kernel
from benchmarks.numba_kernels import workload
from benchmarks.origin import RESULTS, origin, write
from emulator.native import jit
from emulator.nvrtc import compile_cuda
from kernels.coalescing import ENTRIES, place
from kernels.runtime import EmulatedDevice

MODULE = "benchmarks.emulator_speed"
ROOT = Path(__file__).resolve().parent.parent
WORKLOADS = (("vector add", 16_384), ("matrix product", 64))
INSTRUCTIONS = "smsp__inst_executed.sum"
ELEMENTS = 1 << 21
TARGETS = {"ratio": 10_000, "plain": 100e6, "counted": 30e6, "checked": 10e6, "compile": 2.0}
WAYS = ("plain", "counted", "checked")
PRODUCT_SCALE = 4  # of the matrix product that several cores share: 1024 x 1024


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
        works = {
            "plain": lambda c=call: device.launch(*c),
            "counted": lambda c=call: device.profile(*c),
            "checked": lambda c=call: device.profile(*c, checks="all"),
        }
        row: dict[str, Any] = {
            "kernel": entry.name, "n": ELEMENTS, "warp_instructions": int(executed)
        }  # fmt: skip
        for way in WAYS:
            seconds = statistics.median(seconds_of(works[way], at_least=0.2))
            row |= {f"{way}_seconds": seconds, f"{way}_per_s": executed / seconds}
        rows.append(row)
    return rows


def compilation() -> dict[str, Any]:
    """A long kernel from PTX to machine code, in an empty cache and then from it."""
    ptx = compile_cuda(long_kernel(), "long_kernel.cu", "compute_90").ptx
    jit.machine()  # the routines that all kernels share
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get("COALESCE_CACHE")
        os.environ["COALESCE_CACHE"] = folder
        try:
            for way in ("compile", "cached"):
                kernel = emulator.Module(ptx)["product"]
                started = time.perf_counter()
                kernel.address  # noqa: B018
                seconds[way] = time.perf_counter() - started
        finally:
            del os.environ["COALESCE_CACHE"]
            if before is not None:
                os.environ["COALESCE_CACHE"] = before
    return {"ptx_instructions": len(kernel.instructions),
            "compile_seconds": seconds["compile"], "cached_seconds": seconds["cached"]}  # fmt: skip


def scaling() -> list[dict[str, Any]]:
    """The matrix product of the textbooks on one core and on more."""
    classic = next(c for c in classics(PRODUCT_SCALE) if c.name == "matmul_tiled")
    available = len(os.sched_getaffinity(0))
    kernels, rows = program(), []
    for cores in sorted({1, 2, available // 2, available} - {0}):
        device = EmulatedDevice(cores=cores)
        call = Placed.on(device, classic).call(kernels)
        seconds = statistics.median(seconds_of(lambda d=device, c=call: d.launch(*c), fewest=3))
        rows.append({"cores": cores, "kernel": classic.name, "seconds": seconds})
    for row in rows:
        row["speedup"] = rows[0]["seconds"] / row["seconds"]
    return rows


def main() -> int:
    """Time, print and write; the exit status is how many targets were missed."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULTS / "emulator_speed.json")
    parser.add_argument("--numba-runs", type=int, default=3)
    arguments = parser.parse_args()
    device = EmulatedDevice(cores=1)
    compared = against_numba(device, arguments.numba_runs)
    rates = instruction_rates(device)
    instructions = sum(row["warp_instructions"] for row in rates)
    overall = {
        f"{way}_per_s": instructions / sum(row[f"{way}_seconds"] for row in rates) for way in WAYS
    }
    record = {
        "origin": origin(MODULE, device.name),
        "cores": 1,
        "against_numba": compared,
        "overall": overall,
        "kernels": rates,
        "compilation": compilation(),
        "scaling": scaling(),
    }
    write(arguments.output, record)
    return report(record, arguments.output)


def report(record: dict[str, Any], output: Path) -> int:
    """The short table; how many targets were missed."""
    print(f"{record['origin']['cpu']}, one core")
    for row in record["kernels"]:
        print(
            f"{row['kernel']:22} {row['plain_per_s'] / 1e6:8.1f} M warp instructions/s, "
            f"{row['counted_per_s'] / 1e6:8.1f} M with counters, "
            f"{row['checked_per_s'] / 1e6:8.1f} M with all checks"
        )
    for row in record["against_numba"]:
        print(
            f"{row['workload']} {row['n']}: Numba's simulator {row['numba_seconds']:.3f} s, here "
            f"{row['seconds'] * 1e3:.3f} ms: {row['ratio']:,.0f} times faster"
        )
    for row in record["scaling"]:
        print(f"{row['kernel']} on {row['cores']} cores: {row['seconds']:.3f} s, "
              f"{row['speedup']:.2f} times as fast as on one")  # fmt: skip
    compiled = record["compilation"]
    overall = record["overall"]
    reached = {
        f"{WORKLOADS[1][0]}: times faster than Numba's simulator": (
            record["against_numba"][1]["ratio"],
            TARGETS["ratio"],
        ),
        "warp instructions/s": (overall["plain_per_s"], TARGETS["plain"]),
        "warp instructions/s with counters": (overall["counted_per_s"], TARGETS["counted"]),
        "warp instructions/s with all checks": (overall["checked_per_s"], TARGETS["checked"]),
    }
    seconds, most = compiled["compile_seconds"], TARGETS["compile"]
    print(f"{compiled['ptx_instructions']:,} instructions compiled in {seconds:.2f} s, "
          f"target {most}: {'met' if seconds <= most else 'MISSED'}; from the cache in "
          f"{compiled['cached_seconds']:.3f} s")  # fmt: skip
    for name, (value, target) in reached.items():
        met = "met" if value >= target else "MISSED"
        print(f"{name}: {value:,.0f}, target {target:,.0f}: {met}")
    print(f"written to {output}")
    return sum(value < target for value, target in reached.values()) + (seconds > most)


if __name__ == "__main__":
    sys.exit(main())
