"""Lab 02, task 3: a histogram whose lanes do not wait for one another.

A radix sort begins by counting digits. For every tile of 4096 keys:

    counts[t, d] = the number of keys k in tile t with (k >> shift) & 15 == d

The kernel in digit_counts.cu is correct. Its counters are in shared memory, 16 of them for a block.
Keys are seldom spread evenly: often most of a warp's 32 have the same digit, and then 32 additions
to one word follow one after the other.

Give the lanes of a warp counters of their own. 16 counters and 32 lanes: where in shared memory
does each have to be, so that 32 lanes that add at once never meet in a bank, whatever their digits
are? And how are they added up in the end without a conflict?

    python -m grader check 02_bank_conflicts --task digit_counts
"""

from pathlib import Path

from kernels.runtime import cuda_program

TILE = 4096  # keys a block
DIGITS = 16

program = cuda_program(Path(__file__).with_name("digit_counts.cu"))


def solve(device, keys, shift):
    """(tiles, 16) uint32, of ``keys``: (n,) uint32, and ``shift``: int, 0 to 28."""
    n = keys.shape[0]
    tiles = -(-n // TILE)
    counts = device.empty((tiles, DIGITS), "uint32")
    if tiles > 0:  # a grid of zero blocks is an error
        device.launch(program["digit_counts"], tiles, 256, (keys, counts, shift, n))
    return counts
