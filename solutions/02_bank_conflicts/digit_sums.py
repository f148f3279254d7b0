"""Lab 02, task 3: a weighted histogram whose lanes do not wait for one another.

Keys have weights, and what is asked for is how much each digit weighs. For every tile of 4096 keys:

    sums[t, d] = the sum of weights[k] over the keys k in tile t with (keys[k] >> shift) & 15 == d

modulo 2**32. The kernel in digit_sums.cu is correct. Its sums are in shared memory, 16 of them for
a block. Keys are seldom spread evenly: often most of a warp's 32 have the same digit, and then 32
additions to one word follow one after the other. (Were each weight 1, the hardware would count the
lanes first, and add once.)

Give the lanes of a warp sums of their own. 16 sums and 32 lanes: where in shared memory does each
have to be, so that 32 lanes that add at once never meet in a bank, whatever their digits are? And
how are they added up in the end without a conflict?

    python -m grader check 02_bank_conflicts --task digit_sums
"""

from pathlib import Path

from kernels.runtime import cuda_program

TILE = 4096  # keys a block
DIGITS = 16

program = cuda_program(Path(__file__).with_name("digit_sums.cu"))


def solve(device, keys, weights, shift):
    """(tiles, 16) uint32, of ``keys`` and ``weights``: (n,) uint32, and ``shift``: int, 0 to 28."""
    n = keys.shape[0]
    tiles = -(-n // TILE)
    sums = device.empty((tiles, DIGITS), "uint32")
    if tiles > 0:  # a grid of zero blocks is an error
        device.launch(program["digit_sums"], tiles, 256, (keys, weights, sums, shift, n))
    return sums
