"""How fast an H100 adds to few and to many words of global memory: what the time model needs.

``python -m benchmarks.atomic_rates`` takes some 10 s on a GPU and writes
``benchmarks/results/atomic_rates_h100.json``: additions a second, by how many words are shared.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.origin import RESULTS, gpu_origin, write
from kernels.runtime import cuda_program, open_device

MODULE = "benchmarks.atomic_rates"
SOURCE = Path(__file__).with_name("atomic_rates.cu")
BLOCKS_PER_SM, THREADS, TURNS = 8, 256, 16
# words in use, and the distance of those that neighbouring lanes use
SPANS = tuple((span, stride) for stride in (1, 8, 32) for span in
              (1, 8, 32, 256, 1024, 8192, 1 << 17, 1 << 20, 1 << 24)
              if span % stride == 0)  # fmt: skip


def measured(device: Any) -> list[dict[str, Any]]:
    """Every kernel at every span; sums are checked."""
    program = cuda_program(SOURCE)
    blocks = BLOCKS_PER_SM * device.arch.sm_count
    total = blocks * THREADS * TURNS
    out = device.empty((1,), np.uint32)
    rows = []
    for name in ("reduce", "fetch", "scatter"):
        for span, stride in SPANS:
            words = device.asarray(np.zeros(span, np.uint32))
            arguments = (words, np.uint32(span), np.uint32(stride), np.int32(TURNS))
            arguments += (out,) if name == "fetch" else ()
            device.launch(program[name], blocks, THREADS, arguments)
            found = int(device.to_host(words).astype(np.uint64).sum())
            if found != total:
                raise SystemExit(f"{name}: {found:,} additions arrived, not {total:,}")
            timing = device.time(program[name], blocks, THREADS, arguments, repeat=5, warmup=1)
            rate = total / timing.median_us / 1e3
            rows.append({"kernel": name, "words": span, "stride": stride, "additions": total,
                         "median_us": timing.median_us, "additions_per_ns": rate})  # fmt: skip
            print(f"{name:8} {span:9,} words, stride {stride:2}: {timing.median_us:10.1f} us, "
                  f"{rate:8.2f} additions/ns")  # fmt: skip
    return rows


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULTS / "atomic_rates_h100.json")
    output = parser.parse_args().output
    device: Any = open_device("cuda")
    write(output, {"origin": gpu_origin(MODULE, device), "rates": measured(device)})
    print(f"written to {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
