"""ILP and TLP: what must be in flight, and that it may come from many warps or from one.

Each kernel has a function of its name, ``copy_in_flight(device, x, y, 8)``, which launches it on
either device; :func:`profile`, :func:`time` and :func:`launch_of` take that function in place of
calling it.

================== ================================================= =============================
file               kernels                                           what changes
================== ================================================= =============================
``dram.cu``        copy_in_flight                                    loads in flight, and warps
``ffma.cu``        ffma_chains                                       chains a thread, and warps
``ffma.cu``        ffma_registers, ffma_shared                       where operands come from
``polynomial.cu``  polynomial_horner, _estrin, _elements,            independent FFMAs a thread,
                   polynomial_constants                              where coefficients are read
``latency.cu``     latency_ffma, latency_global, latency_shared      what one thread waits for
================== ================================================= =============================

:mod:`kernels.ilp_tlp.littles_law` says how much must be in flight. Source: the talk's chapter "What
are ILP and TLP".
"""

from kernels.ilp_tlp.catalogue import BY_NAME, ENTRIES, Entry, gentle, place, stamps
from kernels.ilp_tlp.dram import copy_in_flight, copy_in_flight_kernel
from kernels.ilp_tlp.ffma import (
    ffma_chains,
    ffma_chains_kernel,
    ffma_registers,
    ffma_registers_kernel,
    ffma_shared,
    ffma_shared_kernel,
)
from kernels.ilp_tlp.latency import chain, latency_ffma, latency_global, latency_shared
from kernels.ilp_tlp.launches import Launch, launch_of, profile, program, time
from kernels.ilp_tlp.littles_law import (
    InFlight,
    ffma_flops,
    ffma_issue_clocks,
    in_flight,
    independent_ffmas,
    of_memory,
)
from kernels.ilp_tlp.polynomial import (
    DEGREE,
    polynomial_constants,
    polynomial_elements,
    polynomial_elements_kernel,
    polynomial_estrin,
    polynomial_horner,
)
from kernels.ilp_tlp.rates import arithmetic_us, clocks_of

__all__ = [
    "BY_NAME",
    "DEGREE",
    "ENTRIES",
    "Entry",
    "InFlight",
    "Launch",
    "arithmetic_us",
    "chain",
    "clocks_of",
    "copy_in_flight",
    "copy_in_flight_kernel",
    "ffma_chains",
    "ffma_chains_kernel",
    "ffma_flops",
    "ffma_issue_clocks",
    "ffma_registers",
    "ffma_registers_kernel",
    "ffma_shared",
    "ffma_shared_kernel",
    "gentle",
    "in_flight",
    "independent_ffmas",
    "latency_ffma",
    "latency_global",
    "latency_shared",
    "launch_of",
    "of_memory",
    "place",
    "polynomial_constants",
    "polynomial_elements",
    "polynomial_elements_kernel",
    "polynomial_estrin",
    "polynomial_horner",
    "profile",
    "program",
    "stamps",
    "time",
]
