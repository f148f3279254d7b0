"""Lab 07, task 2: a pass of radix select, by weight, on keys that hardly differ.

Top-p sampling keeps the likeliest tokens until their probabilities add up to p. That is radix
select in which each key has a weight; with weights of 1 it finds the k-th largest. It goes digit by
digit, the highest first. A pass knows what the digits above begin with (the prefix), and what the
best of the keys that begin so have to weigh together (the goal):

    candidates:   keys with (key >> shift) >> 8 == prefix
    sums[d]:      what the candidates with (key >> shift) & 255 == d weigh together
    found[0]:     prefix * 256 + d, for the highest d at which sums[d] + sums[d + 1] + ...
                  + sums[255] reaches the goal
    found[1]:     what of the goal is left for d: the goal less sums[d + 1] + ... + sums[255]

Four passes, with shifts 24, 16, 8 and 0, find the key itself. The pass in digit_pass.cu is correct.
But the lanes of a warp add to 256 sums that all threads of the block share, and with keys that
begin alike it is the same sum for all: 32 additions, one after the other. (An H100 can add many
*ones* to a word at once; with weights it cannot.)

Let lanes find out, before they add, who else of their warp has the same digit.

    python -m grader check 07_topk --task digit_pass
"""

from pathlib import Path

from kernels.runtime import cuda_program

THREADS = 256  # a block's: one a digit
DIGITS = 256

program = cuda_program(Path(__file__).with_name("digit_pass.cu"))


def solve(device, keys, weights, state, shift):
    """sums (256,) and found (2,), both uint32.

    ``keys``, ``weights``: (n,) uint32; ``state``: (2,) uint32, the prefix and the goal; ``shift``:
    0, 8, 16 or 24. The goal is at least 1, and at most what all candidates weigh: less than 2^32.
    """
    n = keys.shape[0]
    sums = device.empty((DIGITS,), "uint32")
    found = device.empty((2,), "uint32")
    done = device.empty((1,), "uint32")  # blocks that have handed in their sums
    device.launch(program["clear"], 1, DIGITS, (sums, done))
    blocks = min(-(-n // (THREADS * 64)), 8 * device.arch.sm_count)
    arguments = (keys, weights, state, sums, found, done, shift, n)
    device.launch(program["digit_pass"], blocks, THREADS, arguments)
    return sums, found


# Generated from solutions/07_topk/digit_pass.py by `make generate`; eca8b94ce27b4fdc
