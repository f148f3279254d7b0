"""Lab 03, task 1: saturate DRAM with four warps an SM.

    out[i] = a * x[i] + b * y[i]

The kernel in blend.cu is correct. It may have one block of 128 threads on each SM, four warps: the
rest of the SM belongs to somebody else. By Little's law the SMs of an H100 need some 7500 bytes in
flight each to keep DRAM busy. These threads have 8 bytes in flight, 1024 an SM.

You cannot have more threads. What can each of them have more of?

Arrays begin at multiples of 16 bytes; n is any number.

    python -m grader check 03_ilp_tlp --task blend
"""

from pathlib import Path

from kernels.runtime import cuda_program

THREADS = 128  # as in blend.cu

program = cuda_program(Path(__file__).with_name("blend.cu"))


def solve(device, x, y, a, b):
    """(n,) float32, of ``x`` and ``y``: (n,) float32, and the floats ``a`` and ``b``."""
    n = x.shape[0]
    out = device.empty(n, "float32")
    blocks = device.arch.sm_count  # one block an SM
    device.launch(program["blend"], blocks, THREADS, (x, y, out, a, b, n))
    return out


# Generated from solutions/03_ilp_tlp/blend.py by `make generate`; 7deb8274d3247ace
