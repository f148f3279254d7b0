"""Times one workload on Numba's CUDA simulator; ``emulator_speed`` runs it in a process of its own.

``NUMBA_ENABLE_CUDASIM=1 python -m benchmarks.numba_simulator "vector add" 16384 3`` prints the
seconds of each run as JSON.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from numba import config


def main() -> None:
    """Time and check; exit with a message when the simulator is not on or is wrong."""
    if not config.ENABLE_CUDASIM:
        raise SystemExit("set NUMBA_ENABLE_CUDASIM=1: this times Numba's simulator")
    from benchmarks.numba_kernels import TILE, workload

    name, n, repeat = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    seconds = []
    for size in [TILE] + [n] * repeat:  # the first, small, warms up
        kernel, grid, block, inputs, expected = workload(name, size)
        out = np.full_like(expected, np.nan)
        started = time.perf_counter()
        kernel[grid, block](*inputs, out)
        seconds.append(time.perf_counter() - started)
        if not np.allclose(out, expected, rtol=1e-4, atol=1e-4):
            raise SystemExit(f"Numba's simulator computed a wrong {name}")
    print(json.dumps(seconds[1:]))


if __name__ == "__main__":
    main()
