"""How far the software GPU's modelled times are from those measured on an H100.

``python -m benchmarks.model_error`` runs every launch whose time ``coalescing_h100.json`` records
on the software GPU, prints both times, and writes ``benchmarks/results/model_error.json``. It needs
no GPU; arrays are as large as on the GPU, so it takes minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.origin import RESULTS, origin, write
from kernels.coalescing import BY_NAME, place
from kernels.runtime import open_device

MODULE = "benchmarks.model_error"
MEASURED = RESULTS / "coalescing_h100.json"


def compared(device: Any, largest: int) -> Iterator[dict[str, Any]]:
    """Each recorded time of at most ``largest`` elements beside the modelled one."""
    rng = np.random.default_rng(0)
    for recorded in json.loads(MEASURED.read_text())["kernels"]:
        if recorded["n"] > largest or "median_us" not in recorded:
            continue
        entry = BY_NAME[recorded["kernel"]]
        given = recorded.get("numbers", {})
        numbers = tuple(given[name] for name in entry.numbers)
        placed = place(device, entry, recorded["n"], numbers, rng)
        launch = placed.launch(device)
        report = device.profile(launch.kernel, launch.grid, launch.block, launch.args)
        measured = recorded["median_us"]
        yield {
            "kernel": entry.name,
            "case": recorded["case"],
            "n": recorded["n"],
            "measured_us": measured,
            "modelled_us": round(report.time_us, 3),
            "times_measured": round(report.time_us / measured, 4),
            "bound": max(report.bounds, key=lambda name: report.bounds[name]),
            "bounds_us": {name: round(us, 3) for name, us in report.bounds.items()},
        }


def summed_up(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The spread of modelled over measured time, and how well the order of kernels is kept."""
    ratios = [row["times_measured"] for row in rows]
    errors = sorted(abs(ratio - 1) for ratio in ratios)
    pairs = [
        (a["measured_us"] - b["measured_us"]) * (a["modelled_us"] - b["modelled_us"])
        for i, a in enumerate(rows) for b in rows[:i]
        if abs(a["measured_us"] - b["measured_us"]) > 0.05 * a["measured_us"]
    ]  # fmt: skip
    return {
        "launches": len(rows),
        "median_error": round(statistics.median(errors), 4),
        "worst_error": round(errors[-1], 4),
        "within_a_quarter": round(sum(error <= 0.25 for error in errors) / len(errors), 4),
        "geometric_mean_ratio": round(
            math.exp(statistics.fmean(math.log(ratio) for ratio in ratios)), 4
        ),
        "pairs_in_order": round(sum(p > 0 for p in pairs) / max(len(pairs), 1), 4),
    }


def main() -> int:
    """Compare, print and write."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULTS / "model_error.json")
    parser.add_argument("--largest", type=int, default=1 << 27, help="elements, at most")
    arguments = parser.parse_args()
    device: Any = open_device("emulated")
    rows = []
    for row in compared(device, arguments.largest):
        rows.append(row)
        print(
            f"{row['kernel']:22} {row['case']:10} {row['measured_us']:9.2f} us measured, "
            f"{row['modelled_us']:9.2f} modelled ({row['times_measured']:.2f}x, {row['bound']})"
        )
    figures = summed_up(rows)
    record = {
        "origin": origin(MODULE, device.name),
        "measured": json.loads(MEASURED.read_text())["origin"],
        "summary": figures,
        "launches": rows,
    }
    write(arguments.output, record)
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items()))
    print(f"written to {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
