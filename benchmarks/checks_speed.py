"""The software GPU's speed with all checks on: warp instructions a second of the course's kernels.

``python -m benchmarks.checks_speed`` needs no GPU and takes about half a minute.
"""

from __future__ import annotations

import argparse
import statistics
import sys

import numpy as np

from benchmarks.emulator_speed import ELEMENTS, INSTRUCTIONS, seconds_of
from kernels.coalescing import ENTRIES, place
from kernels.runtime import open_device

TARGET = 10e6
SETS: tuple[tuple[str, ...], ...] = (("racecheck",), ("initcheck",), ("all",))


def main() -> int:
    """Time and print; the exit status says whether the target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checks_speed", description=__doc__)
    parser.add_argument("--elements", type=int, default=ELEMENTS)
    elements = parser.parse_args().elements
    device = open_device("emulated")
    rng = np.random.default_rng(0)
    instructions = 0.0
    total = dict.fromkeys(SETS, 0.0)
    print(f"{'M warp instructions/s':28}" + "".join(f"{'+'.join(s):>12}" for s in SETS))
    for entry in ENTRIES:
        launch = place(device, entry, elements, entry.typical, rng).launch(device)
        call = (launch.kernel, launch.grid, launch.block, launch.args, launch.shared_bytes)
        executed = device.profile(*call).counters[INSTRUCTIONS]
        instructions += executed
        row = f"{entry.name:28}"
        for checks in SETS:
            times = seconds_of(lambda c=call, s=checks: device.profile(*c, checks=s), fewest=3)
            total[checks] += statistics.median(times)
            row += f"{executed / statistics.median(times) / 1e6:12.1f}"
        print(row)
    rates = {checks: instructions / seconds for checks, seconds in total.items()}
    print(f"{'overall':28}" + "".join(f"{rates[s] / 1e6:12.1f}" for s in SETS))
    met = rates["all",] >= TARGET
    print(f"all checks: target {TARGET / 1e6:.0f} M: {'met' if met else 'MISSED'}")
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
