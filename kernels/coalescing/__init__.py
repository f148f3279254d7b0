"""Global memory coalescing: the talk's experiments, from one float a thread to the fastest copy.

Each kernel has a function of its name, ``copy_offset(device, x, y, 5)``, which launches it on
either device; :func:`profile`, :func:`time` and :func:`launch_of` take that function in place of
calling it.

====================== ============================================== ========================
file                   kernels                                        what changes
====================== ============================================== ========================
``patterns.cu``        copy_aligned, copy_offset, copy_stride         addresses of a warp
``block_copy.cu``      copy_strided, copy_coalesced, each also _no_l1 which thread copies what
``vectors.cu``         copy_float, copy_float2, copy_float4           bytes an instruction
``loads_in_flight.cu`` copy_ilp1, copy_ilp2, copy_ilp4, copy_ilp8     independent loads a thread
``structures.cu``      energy_aos, energy_aos_float4, energy_soa      layout of the data
``elements.cu``        copy_elements                                  all three, at run time
``best.cu``            copy_best                                      everything together
``numba_copies.py``    numba_copy_strided, numba_copy_coalesced       the language
====================== ============================================== ========================

Source: the talk's chapter "Global memory coalescing"; the access unit is a sector of 32 bytes.
"""

from kernels.coalescing.best import copy_best
from kernels.coalescing.block_copy import (
    copy_coalesced,
    copy_coalesced_no_l1,
    copy_strided,
    copy_strided_no_l1,
)
from kernels.coalescing.catalogue import BY_NAME, ENTRIES, Entry, place
from kernels.coalescing.elements import copy_elements, copy_elements_kernels
from kernels.coalescing.launches import Launch, launch_of, profile, program, time
from kernels.coalescing.loads_in_flight import copy_ilp1, copy_ilp2, copy_ilp4, copy_ilp8
from kernels.coalescing.numba_copies import numba_copy_coalesced, numba_copy_strided
from kernels.coalescing.patterns import copy_aligned, copy_offset, copy_stride
from kernels.coalescing.structures import FIELDS, energy_aos, energy_aos_float4, energy_soa
from kernels.coalescing.vectors import copy_float, copy_float2, copy_float4

__all__ = [
    "BY_NAME",
    "ENTRIES",
    "FIELDS",
    "Entry",
    "Launch",
    "copy_aligned",
    "copy_best",
    "copy_coalesced",
    "copy_coalesced_no_l1",
    "copy_elements",
    "copy_elements_kernels",
    "copy_float",
    "copy_float2",
    "copy_float4",
    "copy_ilp1",
    "copy_ilp2",
    "copy_ilp4",
    "copy_ilp8",
    "copy_offset",
    "copy_stride",
    "copy_strided",
    "copy_strided_no_l1",
    "energy_aos",
    "energy_aos_float4",
    "energy_soa",
    "launch_of",
    "numba_copy_coalesced",
    "numba_copy_strided",
    "place",
    "profile",
    "program",
    "time",
]
