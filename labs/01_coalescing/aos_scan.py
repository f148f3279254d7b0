"""Lab 01, task 1: scan an array of structures.

A detector writes one record a particle: five floats, vx, vy, vz, mass and charge, one record after
another. For each particle we want the energy of all particles so far in its chunk of 256 records:

    energy[j] = mass * (vx*vx + vy*vy + vz*vz) / 2 + charge * potential
    out[i]    = sum of energy[j] for j = 256 * (i / 256) to i

The kernel in aos_scan.cu is correct. But thread i reads record i, so that the threads of a warp,
which all read the same field at once, read floats that lie 20 bytes apart: every request touches 20
sectors where 4 would hold as many floats.

Change the kernel so that neighbouring threads read neighbouring floats. Each record is still needed
by one thread, so the floats have to change hands inside the block on their way.

    python -m grader check 01_coalescing --task aos_scan
"""

from pathlib import Path

from kernels.runtime import cuda_program

CHUNK = 256  # records a block

program = cuda_program(Path(__file__).with_name("aos_scan.cu"))


def solve(device, records, potential):
    """The running energies: (n,) float32, of ``records``: (n, 5) float32; ``potential``: float."""
    n = records.shape[0]
    out = device.empty(n, "float32")
    if n > 0:  # a grid of zero blocks is an error
        blocks = -(-n // CHUNK)
        device.launch(program["energy_scan"], blocks, CHUNK, (records, out, potential, n))
    return out


# Generated from solutions/01_coalescing/aos_scan.py by `make generate`; 83212783e6a4c75c
