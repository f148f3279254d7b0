"""Lab 07, task 2: a pass of radix select on keys that hardly differ.

Radix select finds the k-th largest of n keys digit by digit, the highest first. A pass knows what
the digits above begin with (the prefix), and which of the keys that begin so is sought:

    candidates:   keys with (key >> shift) >> 8 == prefix
    counts[d]:    how many candidates have (key >> shift) & 255 == d
    found[0]:     prefix * 256 + d, for the digit d of the k-th largest candidate
    found[1]:     which of those that have this digit, too, is the k-th: it counts from 1

Four passes, with shifts 24, 16, 8 and 0, find the key itself. The pass in digit_pass.cu is correct.
But the lanes of a warp add to 256 counters that all threads of the block share, and in keys that
begin alike one counter gets them all: 32 additions, one after the other.

Let lanes find out, before they add, who else of their warp has the same digit.

    python -m grader check 07_topk --task digit_pass
"""

from pathlib import Path

from kernels.runtime import cuda_program

THREADS = 256  # a block's: one a digit
DIGITS = 256

program = cuda_program(Path(__file__).with_name("digit_pass.cu"))


def solve(device, keys, state, shift):
    """counts (256,) and found (2,), both uint32.

    ``keys``: (n,) uint32; ``state``: (2,) uint32, the prefix and k; ``shift``: 0, 8, 16 or 24.
    There are at least k candidates.
    """
    n = keys.shape[0]
    counts = device.empty((DIGITS,), "uint32")
    found = device.empty((2,), "uint32")
    done = device.empty((1,), "uint32")  # blocks that have handed in their counts
    device.launch(program["clear"], 1, DIGITS, (counts, done))
    blocks = min(-(-n // (THREADS * 64)), 8 * device.arch.sm_count)
    device.launch(
        program["digit_pass"], blocks, THREADS, (keys, state, counts, found, done, shift, n)
    )
    return counts, found


# Generated from solutions/07_topk/digit_pass.py by `make generate`; 5342f8556dbbec74
