"""The table by which ``kernels.topk.topk`` picks a step, from the recorded times.

``python -m benchmarks.topk_fastest`` writes ``kernels/topk/fastest.json``; with ``--check`` it says
whether that file is what the record makes. It needs no GPU.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from typing import Any

from benchmarks.origin import RESULTS
from kernels.topk import BY_NAME
from kernels.topk.dispatch import TABLE

MODULE = "benchmarks.topk_fastest"
RECORD = RESULTS / "topk_h100.json"
OURS = "topk_filtered"  # as the record's "ours"


def made(record: dict[str, Any]) -> dict[str, Any]:
    """The table: at each point of the ladder, the step of the least time over all kinds of data."""
    times: dict[tuple[int, int, int], dict[str, list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in record["ladder"]:
        for name, value in row.items():
            step = OURS if name == "ours_us" else name.removesuffix("_us")
            if step in BY_NAME and "failure" not in row:  # others are timed beside ours
                times[row["rows"], row["n"], row["k"]][step].append(float(value))
    lines = []
    for (rows, n, k), by_step in sorted(times.items()):
        kinds = max(len(found) for found in by_step.values())
        whole = {step: sum(found) for step, found in by_step.items() if len(found) == kinds}
        # ours, unless another is faster by more than the noise of a run
        best = min(whole, key=lambda step: whole[step] * (1 if step == OURS else 1.02))
        lines.append({"rows": rows, "n": n, "k": k, "step": best})
    origin = {name: record["origin"][name] for name in ("device", "date", "command")}
    return {"generated": f"by python -m {MODULE}", "origin": origin, "fastest": lines}


def text(table: dict[str, Any]) -> str:
    """The file's text: a line for each point."""
    lines = ",\n".join("  " + json.dumps(line) for line in table["fastest"])
    head = {name: table[name] for name in ("generated", "origin")}
    return json.dumps(head, indent=1)[:-2] + f',\n "fastest": [\n{lines}\n ]\n}}\n'


def main() -> int:
    """Write, or compare; 1 when the file is out of date."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    wanted = text(made(json.loads(RECORD.read_text())))
    if not parser.parse_args().check:
        TABLE.write_text(wanted)
        print(f"written to {TABLE}")
    elif not TABLE.exists() or TABLE.read_text() != wanted:
        print(f"{TABLE.name} is out of date: python -m {MODULE}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
