"""Lab 01, task 1: scan an array of structures.

A detector writes one record a pulse: 31 floats, its samples, one record after another. For each
pulse we want the energy of all pulses so far in its chunk of 256 records:

    energy[j] = gain * (the sum of the squares of record j's 31 samples)
    out[i]    = sum of energy[j] for j = 256 * (i / 256) to i

The kernel in aos_scan.cu is correct. But thread i reads record i, so that the threads of a warp,
which all read the same sample at once, read floats that lie 124 bytes apart: every request touches
32 sectors where 4 would hold as many floats.

Change the kernel so that neighbouring threads read neighbouring floats. Each record is still needed
by one thread, so the floats have to change hands inside the block on their way.

    python -m grader check 01_coalescing --task aos_scan
"""

from pathlib import Path

from kernels.runtime import cuda_program

CHUNK = 256  # records a block

program = cuda_program(Path(__file__).with_name("aos_scan.cu"))


def solve(device, records, gain):
    """The running energies: (n,) float32, of ``records``: (n, 31) float32; ``gain``: float."""
    n = records.shape[0]
    out = device.empty(n, "float32")
    if n > 0:  # a grid of zero blocks is an error
        blocks = -(-n // CHUNK)
        device.launch(program["energy_scan"], blocks, CHUNK, (records, out, gain, n))
    return out
