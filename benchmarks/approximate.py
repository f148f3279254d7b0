"""How close the software GPU's counters come to an H100's on textbook kernels, counter by counter.

``python -m benchmarks.approximate`` needs no GPU: it runs the launches that
:mod:`benchmarks.ncu_classics` recorded and prints the table; ``--write`` puts it into
``emulator/README.md``, where a test holds it.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.classics import Placed, program
from benchmarks.ncu_classics import MODULE as RECORDER
from benchmarks.ncu_classics import RECORD, digest, launches
from emulator.counting.metrics import plain_name
from emulator.readme import publish
from kernels.runtime import open_device

MODULE = "benchmarks.approximate"
MODELLED = "modelled time"


@dataclass
class Compared:
    """What was found over all launches."""

    ratios: dict[str, list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))
    different_outputs: list[str] = field(default_factory=list)


def compared(scale: int, record: Path = RECORD) -> Compared:
    """Run every launch of a scale, and set its counters and time beside the recorded ones.

    Ratios are ours over the H100's, by counter, each with the kernel; nothing over nothing is 1.
    """
    told = json.loads(record.read_text())
    recorded = {(one["kernel"], one["scale"]): one for one in told["launches"]}
    device: Any = open_device("emulated")
    kernels, found = program(), Compared()
    for each, classic in launches():
        if each != scale:
            continue
        theirs = recorded[classic.name, scale]
        placed = Placed.on(device, classic)
        report = device.profile(*placed.call(kernels))
        if theirs["exact"] and digest(device, placed) != theirs["output"]:
            found.different_outputs.append(classic.name)
        ours = {name: v for name, v in report.counters.items() if name in told["metrics"]}
        for name, ratio in _ratios(ours, theirs["counters"]):
            found.ratios[name].append((ratio, classic.name))
        found.ratios[MODELLED].append((report.time_us / theirs["median_us"], classic.name))
    return found


def _ratios(ours: Mapping[str, float], theirs: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    for name, mine in ours.items():
        other = theirs.get(name, 0.0)
        yield name, mine / other if other else (1.0 if not mine else math.inf)


def table(found: Compared, record: Path = RECORD) -> str:
    """The table as Markdown: counters that are not equal on every kernel; the rest by name."""
    device = json.loads(record.read_text())["origin"]["device"]
    number = len(found.ratios[MODELLED])
    exact = [name for name, rows in found.ratios.items() if all(r == 1 for r, _ in rows)]
    lines = [
        f"The {number} textbook kernels of `benchmarks/classics.cu`, ours over what ncu gave on an",
        f"{device} (`python -m {RECORDER}`); `python -m {MODULE} --write` writes this table.",
        "A kernel for which one side has nothing and the other something shows as 0 or ∞.",
        "",
        "| counter | equal | least | median | most | farthest off |",
        "|---|---|---|---|---|---|",
    ]
    for name in sorted(set(found.ratios) - set(exact), key=lambda n: (n == MODELLED, n)):
        values = sorted(ratio for ratio, _ in found.ratios[name])
        equal = sum(value == 1 for value in values)
        worst = max(found.ratios[name], key=_distance)[1]
        shown = " | ".join(map(_short, (values[0], statistics.median(values), values[-1])))
        lines.append(f"| {plain_name(name)} | {equal} of {len(values)} | {shown} | `{worst}` |")
    lines += ["", f"Equal on all of them: {', '.join(sorted(map(plain_name, exact)))}."]
    return "\n".join(lines)


def _distance(row: tuple[float, str]) -> float:
    ratio = row[0]
    return abs(math.log(ratio)) if 0 < ratio < math.inf else math.inf


def _short(ratio: float) -> str:
    return "∞" if ratio == math.inf else f"{ratio:.2f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; the status is how many outputs differ from the H100's, or 1 when not current."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="put the table into the README")
    parser.add_argument("--check", action="store_true", help="say whether the README has it")
    options = parser.parse_args(arguments)
    found = compared(options.scale)
    for name in found.different_outputs:
        print(f"{name}: the output differs from the H100's", file=sys.stderr)
    wanted = table(found)
    if not options.write and not options.check:
        print(wanted)
        return len(found.different_outputs)
    stale = publish("approximate", wanted, f"python -m {MODULE}", write=options.write)
    return stale or len(found.different_outputs)


if __name__ == "__main__":
    sys.exit(main())
