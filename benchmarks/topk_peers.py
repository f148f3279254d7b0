"""Keep figures of other libraries' top-k, which were taken elsewhere, beside ours.

``python -m benchmarks.topk_peers FILE`` reads times in milliseconds, named as in
``{"1x2^20_k32_uniform": {"cub": 0.057, ...}}``, and writes ``results/topk_peers_h100.json``.
Nothing is measured here: whoever has a new file says where it comes from.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from benchmarks.origin import RESULTS, write

POINT = re.compile(r"(\d+)x2\^(\d+)_k(\d+)_(\w+)")


def main() -> int:
    """Convert a file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.topk_peers", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--date", default="date not stated", help="when the times were taken")
    parser.add_argument("--output", type=Path, default=RESULTS / "topk_peers_h100.json")
    arguments = parser.parse_args()
    points = []
    for name, times in json.loads(arguments.file.read_text()).items():
        found = POINT.fullmatch(name)
        if found is None:
            raise SystemExit(f"{name!r} is no point: expected for example 1x2^20_k32_uniform")
        rows, bits, k = (int(one) for one in found.groups()[:3])
        points.append({
            "rows": rows, "n": 1 << bits, "k": k, "data": found[4],
            **{f"{peer}_us": round(1e3 * ms, 2) for peer, ms in times.items() if ms is not None},
        })  # fmt: skip
    origin = {
        "device": "NVIDIA H100 80GB HBM3",
        "date": arguments.date,
        "command": "RAFT's matrix::select_k, CUB's top-k and torch.topk on float32, medians with "
        "L2 flushed; given with the course, not taken by this repository",
        "driver": "580",
    }
    write(arguments.output, {"origin": origin, "points": points})
    print(f"{len(points)} points written to {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
